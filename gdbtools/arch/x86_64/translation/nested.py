"""AMD's nested tables: a guest's physical addresses through tables in the format that the host's own have.

Every access of a guest is a user's here, and the reading of its tables is a write.

Source: AMD64 APM volume 2, "Nested Paging": "Nested Table Walk", "Nested versus Guest Page Faults, Fault Ordering",
"Combining Nested and Guest Attributes", "Combining Memory Types, MTRRs".
"""

from __future__ import annotations

from dataclasses import dataclass

from gdbtools.addresses import PA
from gdbtools.arch.model import (
    Access,
    AccessKind,
    Attributes,
    Decider,
    Fault,
    FaultKind,
    Refusal,
    Rights,
    Step,
    Walk,
)
from gdbtools.arch.x86_64.causes import PagingCause
from gdbtools.arch.x86_64.permissions.checks import NOTHING, is_users, lacking
from gdbtools.arch.x86_64.privileges import LEVELS
from gdbtools.arch.x86_64.registers.control import CR4
from gdbtools.arch.x86_64.registers.memory_types import DEVICE, PAT
from gdbtools.arch.x86_64.syndrome.second_stage import NestedPageFaultInfo
from gdbtools.arch.x86_64.tables.descriptors import Entry64, PresentEntry
from gdbtools.arch.x86_64.tables.entries import EntryFormat, refusal
from gdbtools.arch.x86_64.tables.geometry import LEVELS_5
from gdbtools.arch.x86_64.translation.paged import PagingTables
from gdbtools.arch.x86_64.translation.second_stage import GuestPage, SecondStage


@dataclass(frozen=True)
class NestedTables(SecondStage, PagingTables):
    """A guest's physical addresses as nCR3 has them translated."""

    root: PA
    layout: EntryFormat
    pat: PAT
    assumed: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def short_name(self) -> str:
        return f"nCR3 ({self.mode.name})"

    @property
    def stage_label(self) -> str:
        return "nested paging"

    @property
    def root_register(self) -> str:
        return "nCR3"

    @property
    def bounded_by(self) -> Decider:
        return Decider(PagingCause.GUEST_ADDRESS_TOO_LARGE, "hCR4", CR4.LA57, int(self.mode is LEVELS_5))

    def fetch_refused_through(self, via: Walk) -> Refusal | None:
        return self.update_refused(via)

    def check(self, walk: Walk, kind: AccessKind, user: bool) -> Refusal | None:  # noqa: ARG002
        if walk.leaf is None:
            return walk.refusal
        for field, granted, cause, asked in (
            (PresentEntry.US, 1, PagingCause.NOT_A_GUESTS, True),
            (PresentEntry.RW, 1, PagingCause.READ_ONLY, kind.is_write),
            (Entry64.NX, 0, PagingCause.NO_EXECUTE, kind is AccessKind.EXECUTE),
        ):
            step = lacking(walk.steps, field, granted) if asked else None
            if step is not None:
                return refusal(step, FaultKind.PERMISSION, cause, field, self.stage)
        return None

    def combined(self, memory: str, final: Walk) -> str:
        own = final.attributes
        assert own is not None, "it leads somewhere"
        if own.memory in ("WB", memory) or memory == "UC":
            return memory
        return f"{memory} through {own.memory}"

    def status(self, below: Walk, fault: Fault, access: Access, is_table: bool, page: GuestPage | None) -> int | None:  # noqa: ARG002
        """Return EXITINFO1."""
        is_fetch = access.kind is AccessKind.EXECUTE and self.layout.nx
        info = NestedPageFaultInfo(0).with_(
            P=int(fault.kind is not FaultKind.TRANSLATION),
            RW=int(is_table or access.kind.is_write),
            US=1,
            RSV=int(fault.kind is FaultKind.RESERVED_BIT),
            ID=int(is_fetch and not is_table),
            SS=int(access.kind.is_shadow_stack and not is_table),
            FINAL=int(not is_table),
            TABLE=int(is_table),
        )
        return int(info)

    def called(self, fault: Fault) -> str:
        said = {
            FaultKind.TRANSLATION: "not present",
            FaultKind.RESERVED_BIT: "reserved bit",
            FaultKind.PERMISSION: "access rights",
        }
        return f"nested page fault (VMEXIT_NPF): {said[fault.kind]}"

    def attributes(self, steps: tuple[Step, ...], final: Walk | None = None) -> Attributes | None:  # noqa: ARG002
        if not steps or not steps[-1].is_leaf:
            return None
        word = steps[-1].entry.word
        granted = NOTHING
        if is_users(steps):
            granted = Rights(
                read=True,
                write=lacking(steps, PresentEntry.RW) is None,
                execute=lacking(steps, Entry64.NX, 0) is None,
            )
        memory = self.memory_of(steps[-1])
        return Attributes(
            memory=memory,
            shareability="",
            rights=dict.fromkeys(LEVELS, granted),
            accessed=bool(PresentEntry.A.of(word)),
            dirty=bool(word.field("D").of(word)),
            is_global=True,
            contiguous=False,
            device=memory in DEVICE,
        )

"""Intel's extended page tables (EPT): a guest's physical addresses through tables of a format of their own.

Source: Intel SDM volume 3, "The Extended Page Table Mechanism (EPT)": "EPT Translation Mechanism", "EPT Violations",
"EPT Misconfigurations", "Accessed and Dirty Flags for EPT", "Memory Type Used for Translated Guest-Physical Addresses".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from gdbtools.addresses import PA
from gdbtools.arch.model import (
    Access,
    AccessKind,
    Attributes,
    Decider,
    Entry,
    Fault,
    FaultKind,
    Level,
    Refusal,
    Rights,
    Step,
    Walk,
)
from gdbtools.arch.x86_64.causes import PagingCause
from gdbtools.arch.x86_64.privileges import LEVELS
from gdbtools.arch.x86_64.registers.memory_types import DEVICE, effective
from gdbtools.arch.x86_64.registers.second_stage import EPT_TYPES, EPTP
from gdbtools.arch.x86_64.syndrome.second_stage import EPT_MISCONFIGURATION, EPT_VIOLATION, ExitQualification
from gdbtools.arch.x86_64.tables.entries import refusal
from gdbtools.arch.x86_64.tables.extended_entries import (
    ExtendedEntry,
    ExtendedFormat,
    ExtendedPage,
    decode,
    granting,
    refuse_entry,
)
from gdbtools.arch.x86_64.tables.geometry import PAGE_BITS, Mode
from gdbtools.arch.x86_64.translation.second_stage import GuestPage, SecondStage
from gdbtools.bits import Field

_GRANTS = (
    (AccessKind.READ, ExtendedEntry.R, PagingCause.EPT_NOT_READABLE),
    (AccessKind.WRITE, ExtendedEntry.W, PagingCause.EPT_NOT_WRITABLE),
    (AccessKind.EXECUTE, ExtendedEntry.X, PagingCause.EPT_NOT_EXECUTABLE),
)


@dataclass(frozen=True)
class ExtendedTables(SecondStage):
    """A guest's physical addresses as EPTP has them translated.

    `paging_writes` is the EPT paging-write control; with `advanced` the exit qualification tells of the guest's page.
    """

    eptp: EPTP
    mode: Mode
    layout: ExtendedFormat
    paging_writes: bool
    advanced: bool
    assumed: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def short_name(self) -> str:
        return f"EPT ({len(self.levels)} levels)"

    @property
    def stage_label(self) -> str:
        return "EPT"

    @property
    def root_register(self) -> str:
        return "eptp"

    @cached_property
    def root(self) -> PA:  # type: ignore[override]
        return PA(self.eptp.ROOT)

    @cached_property
    def levels(self) -> tuple[Level, ...]:  # type: ignore[override]
        return self.mode.levels

    @cached_property
    def output_last(self) -> PA:  # type: ignore[override]
        return PA((1 << self.layout.physical_bits) - 1)

    @property
    def may_be_valid(self) -> int:
        return granting(self.layout)

    @property
    def bounded_by(self) -> Decider:
        return Decider(PagingCause.GUEST_ADDRESS_TOO_LARGE, "eptp", EPTP.PWL, self.eptp.PWL)

    def decode(self, raw: bytes, level: Level) -> Entry:
        return decode(int.from_bytes(raw, "little"), level, self.layout)

    def accept(self, step: Step) -> Refusal | None:
        return refuse_entry(step, self.layout)

    def linear_bits(self, level: Level) -> int:
        return (1 << self.layout.physical_bits) - level.size_bytes

    def table_bits(self) -> int:
        return (1 << self.layout.physical_bits) - (1 << PAGE_BITS)

    def handed_down(self, entry: Entry) -> int:
        # What is withheld, so that bits join by OR.
        return ~entry.word & granting(self.layout)

    def check(self, walk: Walk, kind: AccessKind, user: bool) -> Refusal | None:
        if walk.leaf is None:
            return walk.refusal
        if self.layout.mode_based and user and kind is AccessKind.EXECUTE:
            return self._lacking(walk, ExtendedEntry.UX, PagingCause.EPT_NOT_USER_EXECUTABLE)
        asked = AccessKind.WRITE if kind.is_write else AccessKind.READ if kind.is_data else kind
        field, cause = next((field, cause) for each, field, cause in _GRANTS if each is asked)
        return self._lacking(walk, field, cause)

    def _lacking(self, walk: Walk, field: Field, cause: PagingCause) -> Refusal | None:
        step = next((step for step in walk.steps if not field.of(step.entry.word)), None)
        return None if step is None else refusal(step, FaultKind.PERMISSION, cause, field, self.stage)

    def fetch_refused_through(self, via: Walk) -> Refusal | None:
        refused = self.implicit(self.check(via, AccessKind.READ, user=False))
        return refused or (self.update_refused(via) if self.eptp.AD else None)

    def update_refused(self, via: Walk) -> Refusal | None:
        leaf = via.leaf
        assert leaf is not None, "an entry has been fetched through it"
        if self.paging_writes and ExtendedPage.PW.of(leaf.entry.word):
            return None
        return super().update_refused(via)

    def combined(self, memory: str, final: Walk) -> str:
        leaf = final.leaf
        assert leaf is not None, "it leads somewhere"
        word = leaf.entry.word
        assert isinstance(word, ExtendedPage)
        own = EPT_TYPES[word.MT]
        return own if word.IPAT else effective(own, memory)

    def status(self, below: Walk, fault: Fault, access: Access, is_table: bool, page: GuestPage | None) -> int | None:
        """Return the exit qualification of a violation; a misconfiguration has none."""
        if fault.kind is FaultKind.RESERVED_BIT:
            return None
        words, kind = [step.entry.word for step in below.steps], access.kind
        reads_table = self.fetch_refused_through(below) is not None
        said = {
            "READ": reads_table if is_table else kind.is_data and not kind.is_write,
            "WRITE": bool(self.eptp.AD) or not reads_table if is_table else kind.is_write,
            "FETCH": not is_table and kind is AccessKind.EXECUTE,
            "SS": not is_table and kind.is_shadow_stack,
            "LINEAR": True,
            "FINAL": not is_table,
            **{field.name: _all(words, field) for field in (ExtendedEntry.R, ExtendedEntry.W, ExtendedEntry.X)},
            "UX": self.layout.mode_based and _all(words, ExtendedEntry.UX),
        }
        if self.advanced and page is not None and not is_table:
            said |= {"GUEST_US": page.user, "GUEST_RW": page.writable, "GUEST_NX": page.no_execute}
        return int(ExitQualification(0).with_(**{name: int(value) for name, value in said.items()}))

    def called(self, fault: Fault) -> str:
        if fault.kind is FaultKind.RESERVED_BIT:
            return f"EPT misconfiguration (exit reason {EPT_MISCONFIGURATION})"
        what = "not present" if fault.kind is FaultKind.TRANSLATION else "access rights"
        return f"EPT violation (exit reason {EPT_VIOLATION}): {what}"

    def attributes(self, steps: tuple[Step, ...], final: Walk | None = None) -> Attributes | None:  # noqa: ARG002
        if not steps or not steps[-1].is_leaf:
            return None
        word, words = steps[-1].entry.word, [step.entry.word for step in steps]
        assert isinstance(word, ExtendedPage)
        memory = EPT_TYPES[word.MT]
        data = _all(words, ExtendedEntry.R), _all(words, ExtendedEntry.W)
        executes = {
            level: _all(words, ExtendedEntry.UX if self.layout.mode_based and level.is_user else ExtendedEntry.X)
            for level in LEVELS
        }
        return Attributes(
            memory=memory,
            shareability="",
            rights={level: Rights(*data, execute) for level, execute in executes.items()},
            accessed=bool(word.A) or not self.eptp.AD,
            dirty=bool(word.D) if self.eptp.AD else None,
            is_global=True,
            contiguous=False,
            device=memory in DEVICE,
        )


def _all(words: Sequence[int], field: Field) -> bool:
    return bool(words) and all(field.of(word) for word in words)

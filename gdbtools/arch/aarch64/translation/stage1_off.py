"""Stage 1 while its MMU is off: addresses lead to themselves, with memory types of their own."""

from __future__ import annotations

from dataclasses import dataclass

from gdbtools.addresses import VA, Input
from gdbtools.arch.aarch64.exception_levels import LEVELS
from gdbtools.arch.aarch64.permissions.checks import ALL
from gdbtools.arch.aarch64.tables import memory_types
from gdbtools.arch.aarch64.translation.controls import Controls
from gdbtools.arch.aarch64.translation.stage2 import Stage2, attributes_of_both
from gdbtools.arch.aarch64.translation.stage_off import StageOff
from gdbtools.arch.arm.memory_names import memory_type
from gdbtools.arch.model import (
    AccessKind,
    Attributes,
    Refusal,
    Step,
    Walk,
)


@dataclass(frozen=True)
class Stage1Off(StageOff):
    """A stage 1 that is off: every address is its own output (section "Stage 1 MMU disabled").

    `ignored` are the bits that are no part of an address, `ignored_by_fetches` those of an instruction's.
    `default_cacheable` is HCR_EL2.DC: memory is then Normal Write-Back, not Device, and under HCR_EL2.DCT Tagged.
    """

    controls: Controls
    why: str
    output_bits: int
    parange: int
    ignored: int
    ignored_by_fetches: int
    default_cacheable: bool
    default_tagged: bool
    unprivileged_counts: bool
    below: Stage2 | None = None
    assumed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    stage = 1

    @property
    def regime_name(self) -> str:
        return f"{self.controls.name} stage 1"

    @property
    def short_name(self) -> str:
        return f"MMU off ({self.why})"

    def admit(self, address: Input) -> Refusal | None:
        return self.refuse_beyond(VA(address & ~self.ignored))

    def tag_of(self, address: Input) -> int:
        return address & self.ignored

    def check(self, walk: Walk, kind: AccessKind) -> Refusal | None:
        """Return stage 1's refusal of an access: of a fetch by more of its address than of a load."""
        if walk.refusal is None and kind is AccessKind.EXECUTE:
            return self.refuse_beyond(VA(walk.input & ~self.ignored_by_fetches))
        return walk.refusal

    def memory(self) -> tuple[int, int]:
        """Return the attribute and the shareability of data accesses."""
        if self.default_cacheable:
            attr = memory_types.TAGGED if self.default_tagged else memory_types.WRITE_BACK
            return attr, memory_types.NON_SHAREABLE
        return memory_types.DEVICE_nGnRnE, memory_types.OUTER_SHAREABLE

    def attributes(self, steps: tuple[Step, ...], final: Walk | None = None) -> Attributes | None:
        attr, sh = self.memory()
        levels = (0, self.controls.el) if self.controls.user else (self.controls.el,)
        own = Attributes(
            memory=memory_type(attr) if self.default_cacheable else memory_types.UNTRANSLATED_DEVICE,
            shareability=memory_types.shareability(sh),
            device=memory_types.is_named_device(attr),
            unshared=memory_types.is_unshared(attr, sh),
            rights={LEVELS[el]: ALL for el in levels},
            accessed=True,
            dirty=None,
            is_global=True,
            contiguous=False,
        )
        return own if final is None else attributes_of_both(own, attr, sh, final)

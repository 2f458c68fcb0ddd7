"""AArch32: the VMSAv8-32 translation systems of PL1 and PL0, and of PL2, as one `Architecture`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from gdbtools.addresses import Input
from gdbtools.arch.aarch32 import GENERAL, IDENTITY
from gdbtools.arch.aarch32.exceptions import hyp_record
from gdbtools.arch.aarch32.exceptions.aborts import Aborts
from gdbtools.arch.aarch32.privilege_levels import LEVELS, PL0, PL2, of_mode
from gdbtools.arch.aarch32.registers import catalog
from gdbtools.arch.aarch32.registers.processor_state import CPSR
from gdbtools.arch.aarch32.registers.translation import SCTLR32, TTBCR, TTBCR_LONG
from gdbtools.arch.aarch32.syndrome import fault_status
from gdbtools.arch.aarch32.tables import memory_types
from gdbtools.arch.aarch32.tables.geometry import LAST_LONG_LEVEL, long_levels
from gdbtools.arch.aarch32.tables.long_descriptors import long_leaf
from gdbtools.arch.aarch32.tables.short_descriptors import Shape, short_leaf
from gdbtools.arch.aarch32.translation import regimes
from gdbtools.arch.aarch32.translation.hyp_stage import HypStage
from gdbtools.arch.aarch32.translation.second_stage import SecondStage32, memory_names
from gdbtools.arch.aarch32.translation.short_stage import ShortStage
from gdbtools.arch.aarch32.translation.translation_off import TranslationOff
from gdbtools.arch.aarch32.translation.under_aarch64 import UnderAArch64, check
from gdbtools.arch.capabilities import Architecture, part
from gdbtools.arch.model import (
    Access,
    Fault,
    Privilege,
    ReadRegister,
    Refusal,
    Regime,
    Walk,
    optional,
    written_down,
)
from gdbtools.bits import Word
from gdbtools.errors import UsageError


def _memory_types() -> Collection[str]:
    return memory_types.NAMES | frozenset(memory_names())


class AArch32(Architecture):
    """The Arm 32-bit execution state: what translates for PL1 and PL0, and for Hyp mode above them."""

    identity = IDENTITY
    registers = catalog.DECLARED
    principal = tuple(catalog.DECLARED)
    brief_fields = catalog.BRIEF
    leaves = (
        *(short_leaf(shape, False, False) for shape in Shape),
        *(long_leaf(level.low) for level in long_levels(32)),
    )
    memory_types = part(_memory_types)
    regime_names = regimes.NAMES
    bare_regimes = (regimes.PL1_REGIME, "")
    privileges = LEVELS
    pc = "pc"
    general = GENERAL
    exceptions = Aborts()
    other_state = UnderAArch64()

    def word(self, name: str, register: ReadRegister) -> Word:
        if name == hyp_record.HSR:
            return hyp_record.decode(register(name)).word
        return catalog.layout(name, register)(register(name))

    def register_name(self, text: str, level: int) -> str | None:
        return catalog.ALIASES.get(text.lower()) or super().register_name(text, level)

    def register_names(self) -> Collection[str]:
        return (*self.registers, *self.general)

    def laid_out_by(self, name: str) -> tuple[str, str] | None:
        return ("TTBCR", "EAE") if catalog.depends(name) else None

    def in_force(self, register: ReadRegister) -> Sequence[str]:
        hyp = regimes.is_in_hyp_mode(register)
        shown = ("cpsr", *catalog.HYP) if hyp else catalog.IN_FORCE
        return [name for name in catalog.DECLARED if name in shown or (not hyp and optional(register, name))]

    def bare_regime(self, granule: str, name: str, level: int | None) -> Regime:
        if granule != "4k":
            raise UsageError(
                "pages of AArch32 have 4k, and larger ones follow from the descriptor; leave --granule out"
            )
        return self.wider_regime(name) if level == LAST_LONG_LEVEL else _bare(TTBCR(0), name)

    def wider_regime(self, name: str) -> Regime:
        return _bare(TTBCR_LONG(0).with_(EAE=1), name)

    def privilege(self, register: ReadRegister) -> Privilege:
        return of_mode(CPSR(register("cpsr")).M)

    def state(self, register: ReadRegister) -> int:
        return register("cpsr")

    def regimes(self, register: ReadRegister, name: str | None = None) -> tuple[Regime, ...]:
        return regimes.regimes(register, name)

    def regime_for(self, register: ReadRegister, address: Input, name: str | None = None) -> Regime:
        return regimes.regime_for(register, address, name)

    def check(self, walk: Walk, access: Access, state: int) -> Refusal | None:
        if isinstance(walk.regime, HypStage):
            return walk.regime.check(walk, access.kind)
        if isinstance(walk.regime, SecondStage32):
            return walk.regime.check(walk, access.kind, 0 if access.privilege == PL0 or access.unprivileged else 1)
        return check(walk, access, state)

    def status(self, fault: Fault, access: Access | None = None, walk: Walk | None = None) -> int | None:  # noqa: ARG002
        """Return the fault status that DFSR or IFSR would have, in the format of the tables that were walked."""
        is_short = walk is None or isinstance(walk.regime, ShortStage)
        return None if walk is None else fault_status.status(fault, not is_short or fault.stage > 1)

    def privileges_of(self, regime: Regime) -> tuple[Privilege, ...]:
        is_hyps = isinstance(regime, HypStage) or (isinstance(regime, TranslationOff) and PL2 in regime.names)
        return (PL2,) if is_hyps else LEVELS[:2]


def _bare(control: Word, name: str) -> Regime:
    values: Mapping[str, int] = {"SCTLR": SCTLR32(0).with_(M=1, C=1), "TTBCR": control, "TTBR0": 0}
    return regimes.regimes(written_down(values), name)[0]


ARCHITECTURE: Final = AArch32()

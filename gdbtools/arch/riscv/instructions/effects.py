"""The code just before an instruction, read backwards: stores, fences and invalidations.

An SFENCE.VMA is barrier and invalidation in one, of this hart alone: it orders what this hart stored to a table before
what its own walks read afterwards, and it is what has a TLB forget an entry that was invalid, too.  A FENCE orders no
walk.  Svinval parts it in three: SFENCE.W.INVAL, SINVAL.VMA, SFENCE.INVAL.IR.

Source: The RISC-V Privileged Architecture, "Supervisor Memory-Management Fence Instruction", Svinval; The RISC-V
Instruction Set Manual, "RV32/64G Instruction Set Listings", "C" extension.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from gdbtools.addresses import IPA, VA, Input
from gdbtools.arch.instruction_effects import Effect, EffectKind
from gdbtools.arch.model import AccessKind, ReadRegister, Walk
from gdbtools.arch.riscv import X
from gdbtools.arch.riscv.instructions import length
from gdbtools.arch.riscv.instructions.fences import (
    AFTER,
    BEFORE,
    GUEST_ADDRESS_SHIFT,
    Fence,
    FenceOf,
    fence,
    fence_text,
)
from gdbtools.arch.riscv.instructions.memory import AMO, SYSTEM, Compact, LoadStore, Wide, memory_access
from gdbtools.arch.riscv.registers.translation import SATP32, SATP64
from gdbtools.arch.riscv.translation.guest_stage import GuestStage
from gdbtools.arch.riscv.translation.virtual_stage import VirtualStage
from gdbtools.bits import Field
from gdbtools.errors import Unavailable

ENTRY_SIZES: Final = (4, 8)
_COMPACT: Final = 8
_FULL_RD: Final = Field((11, 7))
_WITHOUT_DESTINATION: Final = frozenset(
    (0b00001, 0b01000, 0b01001, 0b10000, 0b10001, 0b10010, 0b10011, 0b11000, 0b00011)
)
"""Opcodes that write no general register: floating-point loads and arithmetic, stores, branches, fences."""
_WITH_DESTINATION: Final = frozenset(
    (0b00000, 0b00100, 0b00101, 0b00110, 0b01011, 0b01100, 0b01101, 0b01110, 0b10100, 0b10101)
)


class Stops(Exception):
    """Behind this instruction the next one is not what runs next, or not at once."""


def instructions(code: bytes) -> Sequence[tuple[int, int]]:
    """Return the instructions that end where `code` does, in order, as (offset, word).

    Of the first two halfwords one begins an instruction, so that what both ways of reading have in common is what runs;
    if only one of them comes to that end, it is that.
    """
    ways = [way for first in (0, 2) if (way := _from(code, first)) is not None]
    if len(ways) < 2:
        return ways[0] if ways else []
    common = set(ways[0]) & set(ways[1])
    return [each for each in ways[0] if each in common]


def _from(code: bytes, first: int) -> list[tuple[int, int]] | None:
    """Read code from an offset on; None where no instruction ends at its end."""
    at, found = first, list[tuple[int, int]]()
    while at < len(code):
        size = length(code[at : at + 1])
        if at + size > len(code):
            return None
        found.append((at, int.from_bytes(code[at : at + size], "little")))
        at += size
    return found


def destination(word: int, bits: int) -> int | None:
    """Return the general register that an instruction writes, None for none; raises `Stops`."""
    if word & 0b11 == 0b11:
        return _wide_destination(Wide(word))
    return _compact_destination(Compact(word), bits)


def _wide_destination(word: Wide) -> int | None:
    if word.opcode in _WITH_DESTINATION:
        return word.rd
    if word.opcode in _WITHOUT_DESTINATION:
        return None
    if word.opcode == SYSTEM and (word.funct3 or fence(word) or word in (BEFORE, AFTER)):
        return word.rd
    raise Stops


def _compact_destination(word: Compact, bits: int) -> int | None:
    full, short = _FULL_RD.of(word), _COMPACT + word.rs1
    if not word:
        raise Stops
    if word.quadrant == 0:
        return _COMPACT + word.rs2 if word.funct3 in (0b000, 0b010, 0b011, 0b100) else None
    if word.quadrant == 1:
        if word.funct3 == 0b101 or (word.funct3 == 0b001 and bits == 32):
            raise Stops
        return None if word.funct3 > 0b101 else short if word.funct3 == 0b100 else full
    if word.funct3 == 0b100 and not Field((6, 2)).of(word):
        raise Stops  # C.JR, C.JALR, C.EBREAK
    return None if word.funct3 in (0b001, 0b101, 0b110, 0b111) else full


@dataclass
class _Backwards:
    """What is known while code is read backwards: which registers were written since, and whether a fence was met."""

    register: ReadRegister
    bits: int
    guest: bool
    about: Walk
    lost: set[int] = field(default_factory=set)
    ordered: bool = False
    """Whether an SFENCE.INVAL.IR comes later."""

    def of(self, number: int) -> int | None:
        """Return what an instruction's operand was, if nothing has written it since."""
        if not number:
            return 0
        if number in self.lost:
            return None
        try:
            return self.register(X[number])
        except Unavailable:
            return None

    def effects(self, word: int, at: VA) -> list[Effect]:
        """Return what an instruction did, the latest first."""
        if word == AFTER:
            self.ordered = True
            return [Effect(at, EffectKind.SYNCHRONIZE, "sfence.inval.ir")]
        if word == BEFORE:
            return [Effect(at, EffectKind.WAIT, "sfence.w.inval")]
        found = fence(word)
        if found is not None:
            return self._fenced(found, Wide(word), at)
        access = memory_access(word, self.bits)
        if access is None or AccessKind.WRITE not in access.kinds or access.size_bytes not in ENTRY_SIZES:
            return []
        return self._stored(access, word, at)

    def _stored(self, access: LoadStore, word: int, at: VA) -> list[Effect]:
        base = self.of(access.base)
        wide = Wide(word)
        overwritten = word & 0b11 == 0b11 and wide.opcode == AMO and wide.rd == access.base
        if base is None or access.offset is None or overwritten:
            return []
        target = VA(base + access.offset & (1 << 64) - 1)
        return [Effect(at, EffectKind.STORE, access.name, target)]

    def _fenced(self, found: Fence, word: Wide, at: VA) -> list[Effect]:
        address, reaches, instead = self._scope(found, word)
        text, needs = fence_text(found, word), ""
        if found.alone:
            needs = "sfence.w.inval"
            if not self.ordered and reaches is not False:
                reaches, instead = False, "had no sfence.inval.ir behind it"
        invalidated = Effect(at, EffectKind.INVALIDATE, text, address, reaches, bool(word.rs1), instead, needs)
        if found.alone:
            return [invalidated]
        if reaches is False:
            # It orders no more than what it invalidates.
            return [invalidated]
        leaves_only = bool(word.rs1)
        return [
            Effect(at, EffectKind.SYNCHRONIZE, text, leaves_only=leaves_only),
            invalidated,
            Effect(at, EffectKind.WAIT, text, leaves_only=leaves_only),
        ]

    def _scope(self, found: Fence, word: Wide) -> tuple[Input | None, bool | None, str]:
        """Return the address that a fence names, whether it covers the translation, and what it was of if it does not.

        None stands for what is not known.
        """
        regime = self.about.regime
        # An implementation may keep what each stage says apart: a fence of one need not touch what is of the other.
        if isinstance(regime, GuestStage):
            if found.of is not FenceOf.GUEST_STAGE:
                return None, False, "was of satp" if found.of is FenceOf.OWN else "was of the VS-stage"
        elif found.of is FenceOf.GUEST_STAGE:
            return None, False, "was of the G-stage"
        else:
            of_guest = isinstance(regime, VirtualStage) and regime.holder == "vsatp"
            if of_guest is not (self.guest or found.of is FenceOf.GUEST):
                return None, False, "was of satp" if of_guest else "was of a guest"
        address, space = (self.of(each) if each else 0 for each in (word.rs1, word.rs2))
        if (word.rs1 and address is None) or (word.rs2 and space is None):
            return None, None, ""
        if isinstance(regime, GuestStage):
            return self._scope_of_guest_stage(regime, word, address or 0, space or 0)
        if not isinstance(regime, VirtualStage):
            return None, None, ""
        reaches, instead = True, ""
        if word.rs1:
            assert address is not None, "it is known"
            reaches = self._is_named(address, self.bits)
        if word.rs2 and reaches:
            assert space is not None, "it is known"
            attributes = self.about.attributes
            shared, own = attributes is not None and attributes.is_global, self._space(regime)
            reaches = not shared and own in (space, None)
            if not reaches:
                why = "the page is global" if shared else f"{regime.holder} has {own}"
                instead = f"was of address space {space}, and {why}"
        return VA(address or 0) if word.rs1 else None, reaches, instead

    def _scope_of_guest_stage(
        self, regime: GuestStage, word: Wide, shifted: int, space: int
    ) -> tuple[IPA | None, bool, str]:
        """As `_scope`, of a fence of the G-stage: it has a guest physical address shifted right by 2, and a VMID."""
        address, own = IPA(shifted << GUEST_ADDRESS_SHIFT), regime.hgatp.VMID
        named = address if word.rs1 else None
        if named is not None and not self._is_named(named, self.bits + GUEST_ADDRESS_SHIFT):
            return named, False, ""
        if word.rs2 and space != own:
            return named, False, f"was of VMID {space}, and hgatp has {own}"
        return named, True, ""

    def _is_named(self, address: int, bits: int) -> bool:
        """Return whether an address is in the page that the translation is of."""
        leaf = self.about.leaf
        size_bytes = leaf.level.size_bytes if leaf is not None else 1 << 12
        return not (address ^ self.about.input) & -size_bytes & (1 << bits) - 1

    def _space(self, regime: VirtualStage) -> int | None:
        """Return the address space that is in force; None where that is not known."""
        try:
            return (SATP64 if self.bits == 64 else SATP32)(self.register(regime.holder)).ASID
        except Unavailable:
            return None


def recent(code: bytes, end: VA, register: ReadRegister, bits: int, guest: bool, about: Walk) -> tuple[Effect, ...]:
    """Return what the code that ends at `end` did, the latest first, for the translation `about`.

    `guest` says that it runs where V is 1.
    """
    state, found = _Backwards(register, bits, guest, about), list[Effect]()
    for offset, word in reversed(instructions(code)):
        try:
            written = destination(word, bits)
        except Stops:
            break
        found += state.effects(word, VA(end - len(code) + offset))
        if written:
            state.lost.add(written)
    return tuple(found)

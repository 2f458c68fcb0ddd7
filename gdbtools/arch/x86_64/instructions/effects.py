"""The code just before an instruction, read backwards: stores, and what has a TLB forget.

Instructions have no fixed length: where one ends is known, where it began is not.  What every way of reading the bytes
before has in common, from whichever of the last few it begins, is what runs.

A store to an entry needs no barrier before a walk of its own CPU sees it.  What invalidates does so on its own CPU
alone, but for AMD's INVLPGB.

Source: Intel SDM volume 3, "Operations that Invalidate TLBs and Paging-Structure Caches", "Optional Invalidation";
AMD64 APM volume 2, "TLB Management".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from gdbtools.addresses import VA
from gdbtools.arch.instruction_effects import Effect, EffectKind
from gdbtools.arch.model import ReadRegister, Walk, memory_of, optional
from gdbtools.arch.walk import read_virtual
from gdbtools.arch.x86_64.instructions.decoding import (
    LONGEST_BYTES,
    REGISTERS,
    THREE_38,
    TWO,
    X86Instruction,
    address,
    decode,
)
from gdbtools.arch.x86_64.instructions.destinations import LeadsElsewhere, system, written
from gdbtools.arch.x86_64.registers.control import CR4, CR3WithPCID
from gdbtools.arch.x86_64.translation import regimes
from gdbtools.bits import Field
from gdbtools.errors import GdbtoolsError, Unavailable

INVPCID: Final = THREE_38 + 0x82
_KEEPS: Final = Field(63, doc="of what is moved to cr3: nothing is invalidated")
_ADDRESS, _CONTEXT, _EVERYTHING, _ALL_BUT_GLOBAL = range(4)
_STORES: Final[Mapping[int, str]] = {
    **{base + each: name for base, name in zip(range(0, 0x38, 8), ("add", "or", "adc", "sbb", "and", "sub", "xor"),
                                               strict=True) for each in (0, 1)},
    0x86: "xchg", 0x87: "xchg", 0x88: "mov", 0x89: "mov", 0xC6: "mov", 0xC7: "mov",
    TWO + 0xAB: "bts", TWO + 0xB3: "btr", TWO + 0xBB: "btc", TWO + 0xB0: "cmpxchg", TWO + 0xB1: "cmpxchg",
    TWO + 0xC0: "xadd", TWO + 0xC1: "xadd", TWO + 0xC3: "movnti", TWO + 0xC7: "cmpxchg8b",
}  # fmt: skip
_ALU: Final = ("add", "or", "adc", "sbb", "and", "sub", "xor", "")
_OF_GROUP: Final[Mapping[int, Sequence[str]]] = {
    0x80: _ALU, 0x81: _ALU, 0x83: _ALU,
    0xF6: ("", "", "not", "neg"), 0xF7: ("", "", "not", "neg"), 0xFE: ("inc", "dec"), 0xFF: ("inc", "dec"),
    TWO + 0xBA: ("", "", "", "", "", "bts", "btr", "btc"),
}  # fmt: skip


def store(instruction: X86Instruction) -> str:
    """Return the mnemonic of what may write an entry in memory; empty for every other instruction."""
    if instruction.memory is None:
        return ""
    group = _OF_GROUP.get(instruction.opcode)
    name = _STORES.get(instruction.opcode, "")
    if group is not None:
        name = group[instruction.extension] if instruction.extension < len(group) else ""
    return f"lock {name}" if name and 0xF0 in instruction.prefixes else name


def instructions(code: bytes) -> Sequence[tuple[int, X86Instruction]]:
    """Return the instructions that end where `code` does, in order, as (offset, instruction).

    Of the first bytes one begins an instruction: what all ways of reading that come to the end have in common is what
    runs.
    """
    ways = [way for first in range(min(LONGEST_BYTES, len(code))) if (way := _from(code, first)) is not None]
    if not ways:
        return []
    common = set.intersection(*(set(way) for way in ways))
    return [(offset, ways[0][offset]) for offset in sorted(common)]


def _from(code: bytes, first: int) -> dict[int, X86Instruction] | None:
    """Read code from an offset on; None where no instruction ends at its end."""
    at, found = first, dict[int, X86Instruction]()
    while at < len(code):
        instruction = decode(code[at : at + LONGEST_BYTES])
        if instruction is None:
            return None
        found[at] = instruction
        at += instruction.size_bytes
    return found


@dataclass
class _ReadBackwards:
    """What is known while code is read backwards: which general registers were written since."""

    register: ReadRegister
    about: Walk
    lost: set[int] = field(default_factory=set)

    def read(self, name: str) -> int:
        if name in REGISTERS and REGISTERS.index(name) in self.lost:
            raise Unavailable(f"{name} has been written since")
        return self.register(name)

    def effects(self, instruction: X86Instruction, at: VA) -> Sequence[Effect]:
        """Return what an instruction did, the latest first."""
        name = store(instruction)
        if name:
            target = address(instruction, at, self.read)
            if target is None:
                return ()
            # A part of an entry is written, too, by what sets one bit.
            entry = VA(target & -self.about.regime.entry_bytes)
            done = Effect(at, EffectKind.SYNCHRONIZE, name), Effect(at, EffectKind.WAIT, name)
            return (*done, Effect(at, EffectKind.STORE, name, entry))
        invalidates = self._invalidation(instruction)
        return () if invalidates is None else (invalidates(instruction, at),)

    def _invalidation(self, instruction: X86Instruction) -> Callable[[X86Instruction, VA], Effect] | None:
        opcode, memory = instruction.opcode, instruction.memory
        if opcode == TWO + 0x01 and memory is not None and instruction.extension == 7:
            return self._page
        if opcode == TWO + 0x22 and instruction.reg in (0, 3, 4):
            return self._root if instruction.reg == 3 else self._mode
        if opcode == INVPCID and memory is not None and 0x66 in instruction.prefixes:
            return self._context
        return self._broadcast if system(instruction) == 0xFE else None

    def _page(self, instruction: X86Instruction, at: VA) -> Effect:
        """Of one page in the current context and of what is global; of tables, all of the context that is cached."""
        assert instruction.memory is not None, "it has an operand"
        named, text = address(instruction, at, self.read), f"invlpg {instruction.memory.text}"
        reaches = None if named is None else self._is_named(named)
        return Effect(at, EffectKind.INVALIDATE, text, named, reaches, of_tables=True)

    def _root(self, instruction: X86Instruction, at: VA) -> Effect:
        text = f"mov cr3, {REGISTERS[instruction.rm or 0]}"
        if self._is_global:
            return self._of_others(at, text, "leaves what is global, and the page is")
        if not self._identified:
            return Effect(at, EffectKind.INVALIDATE, text, None, True)
        value = optional(self.read, REGISTERS[instruction.rm or 0])
        if value is None:
            return Effect(at, EffectKind.INVALIDATE, text)
        if _KEEPS.of(value):
            return self._of_others(at, text, "had bit 63 set, which keeps everything")
        return self._of_identifier(at, text, CR3WithPCID(value).PCID)

    def _mode(self, instruction: X86Instruction, at: VA) -> Effect:
        """What changes PGE, PCIDE or PG invalidates everything: whether one was changed, the value before would say."""
        text = f"mov cr{instruction.reg}, {REGISTERS[instruction.rm or 0]}"
        return Effect(at, EffectKind.INVALIDATE, text)

    def _broadcast(self, instruction: X86Instruction, at: VA) -> Effect:  # noqa: ARG002
        return Effect(at, EffectKind.INVALIDATE, "invlpgb")

    def _context(self, instruction: X86Instruction, at: VA) -> Effect:
        assert instruction.memory is not None, "it has an operand"
        text = f"invpcid {REGISTERS[instruction.reg]}, {instruction.memory.text}"
        kind = optional(self.read, REGISTERS[instruction.reg])
        if kind == _EVERYTHING:
            return Effect(at, EffectKind.INVALIDATE, text, None, True)
        if kind is not None and self._is_global:
            return self._of_others(at, text, "leaves what is global, and the page is")
        if kind == _ALL_BUT_GLOBAL:
            return Effect(at, EffectKind.INVALIDATE, text, None, True)
        described = self._described(instruction, at) if kind in (_ADDRESS, _CONTEXT) else None
        if described is None:
            return Effect(at, EffectKind.INVALIDATE, text)
        identifier, named = described
        if kind == _ADDRESS and not self._is_named(named):
            return Effect(at, EffectKind.INVALIDATE, text, named, False)
        return self._of_identifier(at, text, identifier)

    def _described(self, instruction: X86Instruction, at: VA) -> tuple[int, VA] | None:
        """Return the PCID and the address of INVPCID's descriptor, as memory has them now."""
        where = address(instruction, at, self.read)
        if where is None:
            return None
        try:
            raw = read_virtual(regimes.regime(self.register), where, 16, memory_of(self.register))
        except GdbtoolsError:
            return None
        return CR3WithPCID(int.from_bytes(raw[:8], "little")).PCID, VA(int.from_bytes(raw[8:], "little"))

    def _of_identifier(self, at: VA, text: str, identifier: int) -> Effect:
        own = CR3WithPCID(self.register("cr3")).PCID if self._identified else 0
        if identifier == own:
            return Effect(at, EffectKind.INVALIDATE, text, None, True)
        return self._of_others(at, text, f"was of PCID {identifier:#x}, and cr3 has {own:#x}")

    def _of_others(self, at: VA, text: str, why: str) -> Effect:
        return Effect(at, EffectKind.INVALIDATE, text, None, False, instead=why)

    def _is_named(self, named: VA) -> bool:
        """Return whether an address is in the page that the translation is of."""
        leaf = self.about.leaf
        size_bytes = leaf.level.size_bytes if leaf is not None else 1 << 12
        return not (named ^ self.about.input) & -size_bytes

    @property
    def _is_global(self) -> bool:
        return self.about.attributes is not None and self.about.attributes.is_global

    @property
    def _identified(self) -> bool:
        """Whether translations have process-context identifiers."""
        return bool(CR4(self.register("cr4")).PCIDE)


def recent(code: bytes, end: VA, register: ReadRegister, about: Walk) -> tuple[Effect, ...]:
    """Return what the code that ends at `end` did, the latest first, for the translation `about`."""
    state, found = _ReadBackwards(register, about), list[Effect]()
    for offset, instruction in reversed(instructions(code)):
        try:
            lost = written(instruction)
        except LeadsElsewhere:
            break
        # What an operand's register was before, it is not any more if this one wrote it.
        state.lost |= lost
        found += state.effects(instruction, VA(end - len(code) + offset))
    return tuple(found)

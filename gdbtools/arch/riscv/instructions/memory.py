"""Loads and stores: which kinds of access an instruction can make, of how many bytes, and by which base.

Source: The RISC-V Instruction Set Manual, "RV32I Base Integer Instruction Set", "A", "F" and "V" extensions, "C"
extension (its tables of instruction formats), Zcb, "Zicbom"; for HLV and HSV the privileged manual, "Hypervisor
Instructions".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gdbtools.arch.model import AccessKind
from gdbtools.bits import Field, Word

_READ, _WRITE, _CODE = AccessKind.READ, AccessKind.WRITE, AccessKind.READ_EXECUTABLE
SP: Final = 2
_COMPACT: Final = 8
"""Where the registers begin that three bits name: x8."""


class Wide(Word):
    """An instruction of four bytes."""

    width = 32
    funct7 = Field((31, 25))
    rs2 = Field((24, 20))
    rs1 = Field((19, 15))
    funct3 = Field((14, 12))
    rd = Field((11, 7))
    opcode = Field((6, 2))
    low = Field((1, 0))


class Compact(Word):
    """An instruction of two bytes."""

    width = 16
    funct3 = Field((15, 13))
    rest = Field((12, 10))
    rs1 = Field((9, 7))
    bits = Field((6, 5))
    rs2 = Field((4, 2))
    quadrant = Field((1, 0))


@dataclass(frozen=True, slots=True)
class LoadStore:
    """What a load or store is: its assembler's name, its kinds, and its operands as far as they are known.

    `register` is the one that is transferred, `base` the one that the address is made of; `offset` is None where the
    address is not base and constant alone.
    """

    name: str
    kinds: frozenset[AccessKind]
    size_bytes: int | None
    register: int | None
    base: int
    offset: int | None
    signed: bool = False


LOAD, LOAD_FP, MISC, STORE, STORE_FP, AMO, SYSTEM = 0b00000, 0b00001, 0b00011, 0b01000, 0b01001, 0b01011, 0b11100
_I_IMMEDIATE: Final = Field((31, 20))
_S_IMMEDIATE: Final = Field((31, 25), (11, 7))
_AMO_OPERATION: Final = Field((31, 27))
_LR, _SC = 0b00010, 0b00011
_LOADS: Final = {0: "lb", 1: "lh", 2: "lw", 3: "ld", 4: "lbu", 5: "lhu", 6: "lwu"}
_STORES: Final = {0: "sb", 1: "sh", 2: "sw", 3: "sd"}
_FLOATS: Final = {1: "h", 2: "w", 3: "d", 4: "q"}
_CACHE: Final = {0: "cbo.inval", 1: "cbo.clean", 2: "cbo.flush", 4: "cbo.zero"}
_BY_CACHE_BLOCK: Final = 0b010
_HYPERVISOR: Final = 0b100
"""funct3 of HLV, HLVX and HSV."""
_HYPERVISOR_LOADS: Final = {0: "", 1: "u", 3: "x"}
_SIZES: Final = ("b", "h", "w", "d")
_UNSIGNED: Final = 4


def memory_access(word: int, bits: int) -> LoadStore | None:
    """Return what an instruction does with memory where XLEN is `bits`; None for one that does nothing of it."""
    return _wide(Wide(word)) if word & 0b11 == 0b11 else _compact(Compact(word & 0xFFFF), bits)


def _signed(value: int, width: int) -> int:
    return value - (1 << width) if value >> width - 1 else value


def _wide(word: Wide) -> LoadStore | None:
    size = word.funct3
    if word.opcode == LOAD and size in _LOADS:
        offset = _signed(_I_IMMEDIATE.of(word), 12)
        signed = size < _UNSIGNED
        return LoadStore(_LOADS[size], frozenset((_READ,)), 1 << size % 4, word.rd, word.rs1, offset, signed)
    if word.opcode == STORE and size in _STORES:
        offset = _signed(_S_IMMEDIATE.of(word), 12)
        return LoadStore(_STORES[size], frozenset((_WRITE,)), 1 << size, word.rs2, word.rs1, offset)
    if word.opcode in (LOAD_FP, STORE_FP):
        return _floating(word)
    if word.opcode == AMO:
        return _atomic(word)
    if word.opcode == MISC and size == _BY_CACHE_BLOCK and word.rd == 0:
        name = _CACHE.get(_I_IMMEDIATE.of(word))
        return None if name is None else LoadStore(name, frozenset((_WRITE,)), None, None, word.rs1, 0)
    return _hypervisor(word) if word.opcode == SYSTEM and size == _HYPERVISOR else None


def _floating(word: Wide) -> LoadStore:
    """A load or store of the F, D, Q or Zfh extension, or of V: those have other widths in the same place."""
    loads = word.opcode == LOAD_FP
    kinds = frozenset((_READ if loads else _WRITE,))
    letter = _FLOATS.get(word.funct3)
    if letter is None:
        return LoadStore("vector load" if loads else "vector store", kinds, None, None, word.rs1, None)
    offset = _signed((_I_IMMEDIATE if loads else _S_IMMEDIATE).of(word), 12)
    return LoadStore(f"f{'l' if loads else 's'}{letter}", kinds, 1 << word.funct3, None, word.rs1, offset)


def _atomic(word: Wide) -> LoadStore:
    operation, size_bytes = _AMO_OPERATION.of(word), 1 << word.funct3
    letter = _SIZES[word.funct3 % 4]
    if operation == _LR:
        return LoadStore(f"lr.{letter}", frozenset((_READ,)), size_bytes, word.rd, word.rs1, 0, True)
    name = "sc" if operation == _SC else "amo"
    # An AMO needs both rights, and its faults are a store's.
    return LoadStore(f"{name}.{letter}", frozenset((_WRITE,)), size_bytes, None, word.rs1, 0)


def _hypervisor(word: Wide) -> LoadStore | None:
    """HLV, HLVX and HSV: funct7 is 0110, two bits of size, and whether it stores."""
    if word.funct7 >> 3 != 0b0110:
        return None
    size, stores = word.funct7 >> 1 & 3, word.funct7 & 1
    if stores:
        return LoadStore(f"hsv.{_SIZES[size]}", frozenset((_WRITE,)), 1 << size, word.rs2, word.rs1, 0)
    sort = _HYPERVISOR_LOADS.get(word.rs2)
    if sort is None:
        return None
    name = f"hlvx.{_SIZES[size]}u" if sort == "x" else f"hlv.{_SIZES[size]}{sort}"
    kinds = frozenset((_CODE if sort == "x" else _READ, _READ))
    return LoadStore(name, kinds, 1 << size, word.rd, word.rs1, 0, not sort)


_WORD_OFFSET: Final = Field(5, (12, 10), 6)
_DOUBLE_OFFSET: Final = Field((6, 5), (12, 10))
_SP_LOAD_WORD: Final = Field((3, 2), 12, (6, 4))
_SP_LOAD_DOUBLE: Final = Field((4, 2), 12, (6, 5))
_SP_STORE_WORD: Final = Field((8, 7), (12, 9))
_SP_STORE_DOUBLE: Final = Field((9, 7), (12, 10))
_FULL_RD: Final = Field((11, 7))
_FULL_RS2: Final = Field((6, 2))


def _compact(word: Compact, bits: int) -> LoadStore | None:
    """An instruction of the C extension: of quadrant 0 by a register, of quadrant 2 by the stack pointer."""
    loads = word.funct3 < 0b100
    # Where XLEN is 32, what would be of 64 bits is of a floating-point register of 32.
    kind = {0b001: "fd", 0b010: "w", 0b011: "d" if bits == 64 else "fw"}.get(word.funct3 & 0b011)
    if word.quadrant == 0 and word.funct3 == 0b100:
        return _compact_bytes(word)
    if word.quadrant not in (0, 2) or kind is None:
        return None
    double = kind.endswith("d")
    kinds = frozenset((_READ if loads else _WRITE,))
    name = f"c.{'f' if kind.startswith('f') else ''}{'l' if loads else 's'}{kind[-1]}"
    size_bytes = 8 if double else 4
    if word.quadrant == 0:
        offset = (_DOUBLE_OFFSET if double else _WORD_OFFSET).of(word) * size_bytes
        register, base = _COMPACT + word.rs2, _COMPACT + word.rs1
    elif loads:
        name, base = f"{name}sp", SP
        offset = (_SP_LOAD_DOUBLE if double else _SP_LOAD_WORD).of(word) * size_bytes
        register = _FULL_RD.of(word)
    else:
        name, base = f"{name}sp", SP
        offset = (_SP_STORE_DOUBLE if double else _SP_STORE_WORD).of(word) * size_bytes
        register = _FULL_RS2.of(word)
    moved = None if kind.startswith("f") else register
    return LoadStore(name, kinds, size_bytes, moved, base, offset, loads)


def _compact_bytes(word: Compact) -> LoadStore | None:
    """Bytes and halfwords (Zcb)."""
    register, base = _COMPACT + word.rs2, _COMPACT + word.rs1
    byte_offset, half_offset = Field(5, 6).of(word), 2 * Field(5).of(word)
    if word.rest == 0b000:
        return LoadStore("c.lbu", frozenset((_READ,)), 1, register, base, byte_offset)
    if word.rest == 0b001:
        signed = bool(Field(6).of(word))
        return LoadStore("c.lh" if signed else "c.lhu", frozenset((_READ,)), 2, register, base, half_offset, signed)
    if word.rest == 0b010:
        return LoadStore("c.sb", frozenset((_WRITE,)), 1, register, base, byte_offset)
    return LoadStore("c.sh", frozenset((_WRITE,)), 2, register, base, half_offset) if word.rest == 0b011 else None

"""Which general registers an instruction writes, and where one does not lead on to the next.

What is not known well is taken to write all of them: who reads code backwards then knows less, and nothing false.

Source: Intel SDM volume 2, the instruction reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gdbtools.arch.x86_64.instructions.decoding import REGISTERS, TWO, VECTOR, X86Instruction, codes

ALL: Final = frozenset(range(len(REGISTERS)))
_RAX, _RCX, _RDX, _RBX, _RSP, _RBP, _RSI, _RDI = range(8)
_NONE: Final = frozenset[int]()


class LeadsElsewhere(Exception):
    """Behind this instruction the next one is not what runs next, or not at once."""


_STOPS: Final = codes("c2 c3 ca cb cc cd cf e8 e9 eb f1 f4 105 107 10b 134 135 1ff")
"""Returns, calls, jumps, software interrupts, system calls, and what is undefined on purpose."""
_BY_OPCODE: Final[Mapping[int, frozenset[int]]] = {
    opcode: registers
    for listed, registers in (
        # Tests, conditional jumps, flags, stores of rax, moves to control and debug registers, WRMSR, hints.
        ("38-3d 70-7f 84 85 9b a2 a3 a8 a9 e3 f5 f8-fd", _NONE),
        ("106 108 109 10d 118-11f 122 123 130 177 180-18f 1a3 1c3", _NONE),
        # INVPCID, and MOVBE to memory.
        ("282 2f1", _NONE),
        ("04 05 0c 0d 14 15 1c 1d 24 25 2c 2d 34 35 98 a0 a1", frozenset((_RAX,))),
        ("99", frozenset((_RDX,))),
        ("131 132 133 1c7", frozenset((_RAX, _RDX))),
        ("1a2", frozenset((_RAX, _RBX, _RCX, _RDX))),
        ("50-57 68 6a 9c 9d 1a0 1a1 1a8 1a9", frozenset((_RSP,))),
        ("c9", frozenset((_RSP, _RBP))),
        ("e0-e2", frozenset((_RCX,))),
        ("a4-a7", frozenset((_RCX, _RSI, _RDI))),
        ("aa ab ae af", frozenset((_RCX, _RDI))),
    )
    for opcode in codes(listed)
}
_TO_RM: Final = codes(
    "00 01 08 09 10 11 18 19 20 21 28 29 30 31 88 89 c0 c1 c6 c7 d0-d3 120 121 190-19f 1a4 1a5 1ab-1ad 1b3 1bb"
)
_TO_REG: Final = codes("02 03 0a 0b 12 13 1a 1b 22 23 2a 2b 32 33 63 69 6b 8a 8b 8d 140-14f 1af 1b6-1b9 1bc-1bf")
_BY_EXTENSION: Final[Mapping[int, Mapping[int, str]]] = {
    0x80: {7: ""}, 0x81: {7: ""}, 0x83: {7: ""},
    0xF6: {0: "", 1: "", 4: "ad", 5: "ad", 6: "ad", 7: "ad"},
    0xF7: {0: "", 1: "", 4: "ad", 5: "ad", 6: "ad", 7: "ad"},
    0xFE: {}, TWO + 0xBA: {4: ""},
}  # fmt: skip
"""Of the rest of these the operand is written: nothing by a comparison, rax and rdx ("ad") by a multiplication."""


def written(instruction: X86Instruction) -> frozenset[int]:
    """Return the numbers of the general registers that an instruction writes; raises `LeadsElsewhere`."""
    opcode, rm = instruction.opcode, instruction.rm
    operand = _NONE if rm is None else _parts(instruction, rm)
    if opcode in _STOPS or (opcode == 0xFF and instruction.extension in (2, 3, 4, 5)):
        raise LeadsElsewhere
    if opcode in _BY_OPCODE:
        return _BY_OPCODE[opcode]
    if opcode in _TO_RM:
        return operand
    if opcode in _TO_REG:
        return _parts(instruction, instruction.reg) if opcode == 0x8A else frozenset((instruction.reg,))
    if opcode in _BY_EXTENSION:
        named = _BY_EXTENSION[opcode].get(instruction.extension)
        return operand if named is None else frozenset((_RAX, _RDX)) if named else _NONE
    return _others(instruction, operand)


def _others(instruction: X86Instruction, operand: frozenset[int]) -> frozenset[int]:
    opcode, low = instruction.opcode, instruction.low
    if opcode in (0x86, 0x87, TWO + 0xC0, TWO + 0xC1):
        return operand | _parts(instruction, instruction.reg)
    if opcode in (TWO + 0xB0, TWO + 0xB1):
        return operand | {_RAX}
    if opcode == 0xFF:
        return operand if instruction.extension < 2 else frozenset((_RSP,))
    if 0x58 <= opcode <= 0x5F:
        return frozenset((_RSP, low))
    if 0x90 <= opcode <= 0x97:
        return frozenset((_RAX, low)) if low else _NONE
    if 0xB0 <= opcode <= 0xB7:
        return frozenset((low, low & 3))
    if 0xB8 <= opcode <= 0xBF or TWO + 0xC8 <= opcode <= TWO + 0xCF:
        return frozenset((low,))
    if opcode == TWO + 0x01:
        # INVLPG and the loads of descriptor tables have memory; of what is left, SWAPGS, STAC and CLAC write none.
        return _NONE if instruction.memory is not None or _system(instruction) in _HARMLESS else ALL
    if opcode == TWO + 0xAE:
        return _NONE if instruction.memory is not None or 0xF3 not in instruction.prefixes else ALL
    return ALL


_HARMLESS: Final = (0xF8, 0xCA, 0xCB, 0xFE, 0xFF)
"""SWAPGS, CLAC, STAC, INVLPGB, TLBSYNC, by the byte behind 0F 01."""


def _system(instruction: X86Instruction) -> int:
    rm = instruction.rm
    return 0 if rm is None else 0xC0 | instruction.extension << 3 | rm % 8


def system(instruction: X86Instruction) -> int:
    """Return the byte behind 0F 01 of an instruction without memory; 0 for every other."""
    return _system(instruction) if instruction.opcode == TWO + 0x01 else 0


def _parts(instruction: X86Instruction, number: int) -> frozenset[int]:
    """Return a register that an operand may be: of bytes, 4 to 7 are others' second bytes where there is no REX."""
    byte = instruction.opcode < VECTOR and not instruction.opcode & 1
    return frozenset((number, number & 3)) if byte and 4 <= number < 8 else frozenset((number,))

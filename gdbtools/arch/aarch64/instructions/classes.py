"""A64 instructions in words, as far as exceptions are about them, and which can never be undefined.

Source: DDI 0487, "A64 instruction set encoding".
"""

from __future__ import annotations

from typing import Final

from gdbtools.arch.aarch64.instructions.memory_instructions import InstructionEncoding, memory_access
from gdbtools.arch.aarch64.instructions.system_instructions import Operation, assembly
from gdbtools.bits import Field, Word


class SystemAccess(Word):
    """MSR, MRS, SYS and SYSL, hints and barriers: the class of System instructions."""

    width = 32
    L = Field(21, doc="read")
    op0 = Field((20, 19), doc="op0")
    op1 = Field((18, 16), doc="op1")
    CRn = Field((15, 12), doc="CRn")
    CRm = Field((11, 8), doc="CRm")
    op2 = Field((7, 5), doc="op2")
    Rt = Field((4, 0), doc="register")


_SYSTEM: Final = InstructionEncoding(0xFFC0_0000, 0xD500_0000)
_HINT: Final = InstructionEncoding(0xFFFF_F01F, 0xD503_201F)
_HINTS: Final = {0: "NOP", 1: "YIELD", 2: "WFE", 3: "WFI", 4: "SEV", 5: "SEVL"}
_HINT_NUMBER: Final = Field((11, 5))
_BARRIER: Final = InstructionEncoding(0xFFFF_F01F, 0xD503_301F)
_BARRIERS: Final = {2: "CLREX", 4: "DSB", 5: "DMB", 6: "ISB", 7: "SB"}
_IMMEDIATE: Final = Field((20, 5))
_GENERATES: Final = (
    (InstructionEncoding(0xFFE0_001F, 0xD400_0001), "SVC"),
    (InstructionEncoding(0xFFE0_001F, 0xD400_0002), "HVC"),
    (InstructionEncoding(0xFFE0_001F, 0xD400_0003), "SMC"),
    (InstructionEncoding(0xFFE0_001F, 0xD420_0000), "BRK"),
    (InstructionEncoding(0xFFE0_001F, 0xD440_0000), "HLT"),
)
_ALL: Final = 0xFFFF_FFFF
_RN: Final = Field((9, 5))
_NAMED: Final = (
    (InstructionEncoding(0xFC00_0000, 0x1400_0000), "B"),
    (InstructionEncoding(0xFC00_0000, 0x9400_0000), "BL"),
    (InstructionEncoding(0xFF00_0010, 0x5400_0000), "B.cond"),
    (InstructionEncoding(0x7F00_0000, 0x3400_0000), "CBZ"),
    (InstructionEncoding(0x7F00_0000, 0x3500_0000), "CBNZ"),
    (InstructionEncoding(0x7F00_0000, 0x3600_0000), "TBZ"),
    (InstructionEncoding(0x7F00_0000, 0x3700_0000), "TBNZ"),
    (InstructionEncoding(_ALL, 0xD65F_03C0), "RET"),
    (InstructionEncoding(_ALL, 0xD69F_03E0), "ERET"),
    (InstructionEncoding(_ALL, 0xD503_233F), "PACIASP"),
    (InstructionEncoding(_ALL, 0xD503_23BF), "AUTIASP"),
)
_REGISTER_BRANCHES: Final = (
    (InstructionEncoding(0xFFFF_FC1F, 0xD61F_0000), "BR"),
    (InstructionEncoding(0xFFFF_FC1F, 0xD63F_0000), "BLR"),
    (InstructionEncoding(0xFFFF_FC1F, 0xD65F_0000), "RET"),
)
_DATA_PROCESSING: Final = (
    (InstructionEncoding(0x1F00_0000, 0x1000_0000), "ADR or ADRP"),
    (InstructionEncoding(0x7F80_0000, 0x1100_0000), "ADD"),
    (InstructionEncoding(0x7F80_0000, 0x3100_0000), "ADDS"),
    (InstructionEncoding(0x7F80_0000, 0x5100_0000), "SUB"),
    (InstructionEncoding(0x7F80_0000, 0x7100_0000), "SUBS"),
    (InstructionEncoding(0xFF80_0000, 0x9280_0000), "MOVN"),
    (InstructionEncoding(0xFF80_0000, 0xD280_0000), "MOVZ"),
    (InstructionEncoding(0xFF80_0000, 0xF280_0000), "MOVK"),
    (InstructionEncoding(0x7FE0_0000, 0x2A00_0000), "ORR"),
    (InstructionEncoding(0x7FE0_0000, 0x0B00_0000), "ADD"),
)
"""All of these are defined in every A64, but for the shifts of the last two, which 32 bits have half of."""
_MEMORY: Final = (
    InstructionEncoding(0x3F20_0C00, 0x3800_0400),
    InstructionEncoding(0x3F20_0C00, 0x3800_0C00),
    InstructionEncoding(0x3F00_0000, 0x3900_0000),
    InstructionEncoding(0x7E00_0000, 0x2800_0000),
)
"""Loads and stores of general-purpose registers, of one by an immediate and of two."""
_UNALLOCATED: Final = (
    InstructionEncoding(0x7FE0_8000, 0x2A00_8000),
    InstructionEncoding(0x7FE0_8000, 0x0B00_8000),
    InstructionEncoding(0xFFC0_0000, 0xB8C0_0000),
    InstructionEncoding(0xFFC0_0000, 0xB9C0_0000),
    InstructionEncoding(0xFFC0_0000, 0xF8C0_0000),
    InstructionEncoding(0xFFC0_0000, 0xF9C0_0000),
    InstructionEncoding(0xFF80_0000, 0xF880_0000),
)


def text(word: int) -> str:
    """Return an instruction in the assembler's words where it is one that exceptions are about, else its number."""
    for encoding, name in _GENERATES:
        if word in encoding:
            return f"{name} #{_IMMEDIATE.of(word):#x}"
    for encoding, name in _NAMED:
        if word in encoding:
            return name
    for encoding, name in _REGISTER_BRANCHES:
        if word in encoding:
            return f"{name} X{_RN.of(word)}"
    access = memory_access(word)
    if access is not None:
        return access.text
    for encoding, name in _DATA_PROCESSING:
        if word in encoding:
            return f"{name} ({word:#010x})"
    return _system(word) if word in _SYSTEM else f"{word:#010x}"


def _system(word: int) -> str:
    if word in _HINT:
        number = _HINT_NUMBER.of(word)
        return _HINTS.get(number, f"HINT #{number}")
    found = SystemAccess(word)
    if word in _BARRIER and found.op2 in _BARRIERS:
        return _BARRIERS[found.op2]
    return assembly(Operation(found.op0, found.op1, found.CRn, found.CRm, found.op2), bool(found.L), found.Rt)


def is_always_defined(word: int) -> bool:
    """Return whether an instruction is one that no A64 implementation and no level has undefined."""
    if any(word in each for each in _UNALLOCATED):
        return False
    named = (*_NAMED[:8], *_DATA_PROCESSING, *_REGISTER_BRANCHES)
    return any(word in encoding for encoding, _ in named) or any(word in each for each in _MEMORY)

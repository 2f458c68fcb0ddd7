"""How long an instruction is, and where its memory operand leads: no more of it than that.

Source: Intel SDM volume 2, "X86Instruction Format", "Opcode Map" (tables of one-byte, two-byte and three-byte opcodes),
"Addressing-Mode Encoding of ModR/M and SIB Bytes"; what 64-bit mode does not have is no instruction here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gdbtools.addresses import VA
from gdbtools.arch.model import ReadRegister, optional
from gdbtools.bits import Field, Word

LONGEST_BYTES: Final = 15
REGISTERS: Final = (
    *("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"),
    *(f"r{number}" for number in range(8, 16)),
)
"""General registers, as ModR/M and SIB number them."""
ONE, TWO, THREE_38, THREE_3A = 0x000, 0x100, 0x200, 0x300
"""What is added to an opcode of each map: none, 0F, 0F 38, 0F 3A."""
VECTOR: Final = 0x1000
"""What is added where VEX or EVEX stand before it."""


def codes(text: str) -> frozenset[int]:
    """Return the opcodes of a list in hexadecimal, with ranges, and each with its map added."""
    found = set[int]()
    for each in text.split():
        first, _, last = each.partition("-")
        found |= set(range(int(first, 16), int(last or first, 16) + 1))
    return frozenset(found)


_REX: Final = range(0x40, 0x50)
_PREFIXES: Final = frozenset((0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3))
_ADDRESSES: Final = (1 << 64) - 1


class ModRM(Word):
    """The byte that names operands."""

    width = 8
    MOD = Field((7, 6), doc="a register, or memory with a displacement of so many bytes")
    REG = Field((5, 3), doc="a register, or more of the opcode")
    RM = Field((2, 0), doc="a register, or the base of memory")


class SIB(Word):
    """Scale, index and base of a memory operand."""

    width = 8
    SCALE = Field((7, 6), doc="by what the index is multiplied, as a power of 2")
    INDEX = Field((5, 3))
    BASE = Field((2, 0))


class REX(Word):
    """The prefix that widens operands and register numbers."""

    width = 8
    FIXED = Field((7, 4), doc="0100")
    W = Field(3, doc="operands of 64 bits")
    R = Field(2, doc="of REG")
    X = Field(1, doc="of INDEX")
    B = Field(0, doc="of RM or BASE")


@dataclass(frozen=True, slots=True)
class Operand:
    """A memory operand: registers by number, None where there is none; `relative` is one of the next instruction."""

    base: int | None
    index: int | None
    scale: int
    displacement: int
    relative: bool
    segment: str

    @property
    def text(self) -> str:
        """As the manual writes it."""
        scaled = "" if self.index is None else f"{REGISTERS[self.index]}*{self.scale}"
        base = "rip" if self.relative else "" if self.base is None else REGISTERS[self.base]
        inside = "+".join(filter(None, (base, scaled)))
        if self.displacement or not inside:
            sign = "-" if self.displacement < 0 else "+" if inside else ""
            inside += f"{sign}{abs(self.displacement):#x}"
        return f"{f'{self.segment}:' if self.segment else ''}[{inside}]"


@dataclass(frozen=True, slots=True)
class X86Instruction:
    """One instruction: `opcode` has its map added, `reg` and `rm` are numbers of registers with REX in them.

    `rm` is None where the operand is memory, `memory` where it is none.  `prefixes` are those before REX.
    """

    size_bytes: int
    opcode: int
    prefixes: frozenset[int]
    wide: bool
    reg: int = 0
    rm: int | None = None
    memory: Operand | None = None
    low: int = 0
    """The register that the opcode itself names, with REX."""

    @property
    def extension(self) -> int:
        """The part of ModR/M that is more of the opcode."""
        return self.reg % 8

    def operand_bytes(self) -> int:
        """Return how wide its operands are, if it has the usual ones."""
        return 8 if self.wide else 2 if 0x66 in self.prefixes else 4


def address(instruction: X86Instruction, at: VA, register: ReadRegister) -> VA | None:
    """Return where the memory operand of an instruction at `at` leads; None where a register of it is not known.

    Of segments only fs and gs have a base in 64-bit mode.
    """
    operand = instruction.memory
    if operand is None:
        return None
    found = operand.displacement + (at + instruction.size_bytes if operand.relative else 0)
    for number, scale in ((operand.base, 1), (operand.index, operand.scale)):
        if number is not None:
            value = optional(register, REGISTERS[number])
            if value is None:
                return None
            found += scale * value
    if operand.segment:
        base = optional(register, f"{operand.segment}_base")
        if base is None:
            return None
        found += base
    return VA(found & (_ADDRESSES if 0x67 not in instruction.prefixes else (1 << 32) - 1))


def decode(code: bytes) -> X86Instruction | None:
    """Return the instruction that code begins with; None where it is none of 64-bit mode, or not whole."""
    try:
        return _decode(code[:LONGEST_BYTES])
    except IndexError:
        return None


def _decode(code: bytes) -> X86Instruction | None:
    at, prefixes = 0, set[int]()
    while code[at] in _PREFIXES:
        prefixes.add(code[at])
        at += 1
    rex = REX(0)
    if code[at] in _REX:
        rex, at = REX(code[at]), at + 1
    opcode, at = code[at], at + 1
    if opcode in (0xC4, 0xC5, 0x62):
        return _vector(code, at, opcode, frozenset(prefixes))
    if opcode == 0x0F:
        opcode, at = TWO + code[at], at + 1
        if opcode in (TWO + 0x38, TWO + 0x3A):
            opcode, at = (THREE_38 if opcode == TWO + 0x38 else THREE_3A) + code[at], at + 1
    if opcode in _INVALID:
        return None
    return _operands(code, at, opcode, frozenset(prefixes), rex)


def _vector(code: bytes, at: int, lead: int, prefixes: frozenset[int]) -> X86Instruction | None:
    """Decode what VEX or EVEX begin: the map is in them, and so are the upper bits of register numbers, inverted."""
    size = {0xC5: 1, 0xC4: 2, 0x62: 3}[lead]
    payload = code[at]
    which = 1 if lead == 0xC5 else payload & (0x1F if lead == 0xC4 else 0x07)
    if which not in (1, 2, 3):
        return None
    upper = REX(0).with_(R=~payload >> 7 & 1)
    if lead != 0xC5:
        upper = upper.with_(X=~payload >> 6 & 1, B=~payload >> 5 & 1)
    opcode = VECTOR + 0x100 * which + code[at + size]
    return _operands(code, at + size + 1, opcode, prefixes, upper)


def _operands(code: bytes, at: int, opcode: int, prefixes: frozenset[int], rex: REX) -> X86Instruction | None:
    wide, reg, rm, memory = bool(rex.W), 0, None, None
    low = opcode % 8 + 8 * rex.B
    immediate = _immediate_bytes(opcode, 0, wide, prefixes)
    if _has_operands(opcode):
        modrm, at = ModRM(code[at]), at + 1
        reg = modrm.REG + 8 * rex.R
        immediate = _immediate_bytes(opcode, modrm.REG, wide, prefixes)
        if modrm.MOD == 3 or opcode in _OF_REGISTERS:
            rm = modrm.RM + 8 * rex.B
        else:
            memory, at = _memory(code, at, modrm, rex, prefixes)
    size = at + immediate
    if size > len(code):
        return None
    return X86Instruction(size, opcode, prefixes, wide, reg, rm, memory, low)


def _memory(code: bytes, at: int, modrm: ModRM, rex: REX, prefixes: frozenset[int]) -> tuple[Operand, int]:
    base: int | None = modrm.RM + 8 * rex.B
    index, scale, size, relative = None, 1, (0, 1, 4)[modrm.MOD], False
    if modrm.RM == 4:
        sib, at = SIB(code[at]), at + 1
        number = sib.INDEX + 8 * rex.X
        index, scale = (None if number == 4 else number), 1 << sib.SCALE
        base = sib.BASE + 8 * rex.B
        if sib.BASE == 5 and modrm.MOD == 0:
            base, size = None, 4
    elif modrm.RM == 5 and modrm.MOD == 0:
        base, size, relative = None, 4, True
    displacement = int.from_bytes(code[at : at + size], "little", signed=True)
    if len(code) < at + size:
        raise IndexError
    segment = "fs" if 0x64 in prefixes else "gs" if 0x65 in prefixes else ""
    return Operand(base, index, scale, displacement, relative, segment), at + size


_INVALID: Final = codes(
    "06 07 0e 16 17 1e 1f 27 2f 37 3f 60 61 82 9a ce d4 d5 d6 ea 104 10a 10c 124-127 136 139 13b-13f 17a 17b"
)
_WITH_OPERANDS: Final = codes(
    "00-03 08-0b 10-13 18-1b 20-23 28-2b 30-33 38-3b 63 69 6b 80-8f c0 c1 c6 c7 d0-d3 d8-df f6 f7 fe ff"
    " 100-103 10d 10f 110-123 128-12f 140-176 178-17f 190-19f 1a3-1a5 1ab-1af 1b0-1c7 1d0-1ff"
)
_OF_REGISTERS: Final = codes("120-123")
"""Moves to and from control and debug registers: whatever MOD says, both are registers."""
_BYTE: Final = codes(
    "04 0c 14 1c 24 2c 34 3c 6a 6b 70-7f 80 83 a8 b0-b7 c0 c1 c6 cd e0-e7 eb"
    " 10f 170-173 1a4 1ac 1ba 1c2 1c4-1c6 1170-1173 11c2 11c4-11c6"
)
_DOUBLEWORD: Final = codes("05 0d 15 1d 25 2d 35 3d 68 69 81 a9 c7 b8-bf")
"""Four bytes, and two with the prefix that says so."""
_DISPLACEMENT: Final = codes("e8 e9 180-18f")
_TESTS: Final = {0xF6: 1, 0xF7: 4}
_MOVES: Final = codes("b8-bf")
_ABSOLUTE: Final = codes("a0-a3")


def _has_operands(opcode: int) -> bool:
    if opcode >= VECTOR:
        return opcode != VECTOR + TWO + 0x77
    return opcode >= THREE_38 or opcode in _WITH_OPERANDS


def _immediate_bytes(opcode: int, extension: int, wide: bool, prefixes: frozenset[int]) -> int:
    """Return how many bytes follow the operands."""
    narrow = 0x66 in prefixes and not wide
    if opcode in _TESTS and extension < 2:
        return 2 if narrow and opcode == 0xF7 else _TESTS[opcode]
    if opcode in _MOVES and wide:
        return 8
    if opcode in _DOUBLEWORD:
        return 2 if narrow else 4
    if opcode in _ABSOLUTE:
        return 4 if 0x67 in prefixes else 8
    if opcode in _DISPLACEMENT:
        return 4
    if opcode in (0xC2, 0xCA):
        return 2
    if opcode == 0xC8:
        return 3
    return int(opcode in _BYTE or opcode % VECTOR & ~0xFF == THREE_3A)

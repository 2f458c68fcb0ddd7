"""What the code at a vector entry makes of TTBR1 and VBAR: its first instructions, carried out on paper.

A trampoline is an entry that moves TTBR1 to another root before it does anything else, and the kernel's own vectors
into VBAR after that.  It computes both from TTBR1 itself and from constants, so that its instructions say where they
lead, whoever wrote them.

Source: DDI 0487, "A64 instruction set encoding": "Add/subtract (immediate)", "Logical (immediate)", "Load register
(literal)", "System register move", "Unconditional branch (immediate)"; for the constants, DecodeBitMasks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from gdbtools.addresses import VA
from gdbtools.arch.isolation import Load
from gdbtools.bits import Field, Word
from gdbtools.errors import GdbtoolsError

INSTRUCTION_BYTES: Final = 4
MOST: Final = 128
"""How many instructions are followed: some entries first empty the branch predictor in a loop, passed over once."""
_MASK: Final = (1 << 64) - 1
_X31: Final = 31


class AddSubtract(Word):
    """`ADD` or `SUB` of an immediate."""

    width = 32
    opcode = Field((31, 23), doc="size and operation")
    sh = Field(22, doc="immediate shifted by 12")
    imm12 = Field((21, 10), doc="immediate")
    Rn = Field((9, 5), doc="source")
    Rd = Field((4, 0), doc="destination")

    @property
    def amount(self) -> int:
        return self.imm12 << 12 * self.sh


class Logical(Word):
    """`AND`, `ORR` or `EOR` of a bitmask."""

    width = 32
    opcode = Field((31, 23), doc="size and operation")
    N = Field(22, doc="size of the element, with imms")
    immr = Field((21, 16), doc="rotation")
    imms = Field((15, 10), doc="size of the element, and its ones")
    Rn = Field((9, 5), doc="source")
    Rd = Field((4, 0), doc="destination")

    @property
    def mask(self) -> int:
        """The 64-bit mask: elements that repeat, each some ones, rotated to the right."""
        length = (self.N << 6 | ~self.imms & 0b111111).bit_length() - 1
        if length < 1:
            return 0
        size = 1 << length
        ones, rotation = (self.imms & size - 1) + 1, self.immr & size - 1
        element = (1 << ones) - 1
        element = (element >> rotation | element << size - rotation) & (1 << size) - 1
        return sum(element << at for at in range(0, 64, size))


class LoadLiteral(Word):
    """`LDR Xt, label`."""

    width = 32
    opcode = Field((31, 24), doc="size and operation")
    imm19 = Field((23, 5), doc="offset from here in words, signed")
    Rt = Field((4, 0), doc="destination")

    @property
    def offset(self) -> int:
        return (self.imm19 - (self.imm19 >> 18 << 19)) * INSTRUCTION_BYTES


class Branch(Word):
    """`B` or `BL`."""

    width = 32
    opcode = Field((31, 26), doc="operation")
    imm26 = Field((25, 0), doc="offset from here in words, signed")

    @property
    def offset(self) -> int:
        return (self.imm26 - (self.imm26 >> 25 << 26)) * INSTRUCTION_BYTES


class SystemMove(Word):
    """`MRS` or `MSR` of a system register."""

    width = 32
    opcode = Field((31, 20), doc="operation", values={0xD53: "MRS", 0xD51: "MSR"})
    name = Field((19, 5), doc="o0:op1:CRn:CRm:op2")
    Rt = Field((4, 0), doc="general register")


class Unknown(Word):
    """An instruction of which only this is asked: what it may write, and whether it leads away."""

    width = 32
    op0 = Field((28, 25), doc="the group")
    Rt2 = Field((14, 10), doc="second of a pair")
    Rn = Field((9, 5), doc="base")
    Rt = Field((4, 0), doc="destination")


_ADD, _SUB = 0b100100010, 0b110100010
_AND, _ORR, _EOR = 0b100100100, 0b101100100, 0b110100100
_LDR_LITERAL: Final = 0x58
_B, _BL = 0b000101, 0b100101
_MRS, _MSR = 0xD53, 0xD51
_TTBR1: Final = SystemMove.name.of(0xD538_2020)
_VBAR: Final = SystemMove.name.of(0xD538_C000)
_LEAVES: Final = ((0xFE00_0000, 0xD600_0000), (0xFF00_0000, 0xD400_0000))
"""BR, BLR, RET and ERET; SVC, HVC, SMC, BRK and HLT."""
_LOADS_AND_STORES: Final = (0b0101, 0b0100)
_UNSIGNED_OFFSET: Final = (0x3B00_0000, 0x3900_0000)
"""One register at [Xn, #imm]: PRFM among them.  It leaves Xn alone, and has no second register."""


@dataclass
class Followed:
    """What an entry's code has done so far: `root` is the value that it wrote to TTBR1, None: none yet; so `vectors`.

    `at` is where it wrote TTBR1, `moved` by how much it had moved the register's value, and `cleared` the bits that it
    cleared.
    """

    root: int | None = None
    vectors: int | None = None
    at: int = 0
    _known: dict[int, int] = field(default_factory=dict)


def follow(entry: int, ttbr1: int, code: Callable[[int | None], Load]) -> Followed:
    """Carry out the code at `entry` until it has written VBAR, or leads where it cannot be followed.

    `code` gives memory as TTBR1 has it: None for its value now, else the value that was written.  Conditional branches
    are passed over: what they jump over or repeat are barriers and mitigations, which touch no register that counts;
    and what is read wrongly so fails when the root is held against the tables.  Raises what the first fetch raises.
    """
    done, pc = Followed(), entry
    load = code(None)
    for count in range(MOST):
        try:
            word = int.from_bytes(load(VA(pc), INSTRUCTION_BYTES), "little")
        except GdbtoolsError:
            if not count:
                raise
            break
        if any(word & mask == match for mask, match in _LEAVES):
            break
        branch = Branch(word)
        if branch.opcode in (_B, _BL):
            if not branch.offset:
                break
            if branch.opcode == _BL:
                done._known.pop(30, None)
            pc += branch.offset
            continue
        before = done.root
        _carry_out(word, pc, ttbr1, load, done)
        if done.vectors is not None:
            break
        if done.root != before:
            done.at, load = pc, code(done.root)
        pc += INSTRUCTION_BYTES
    return done


def _carry_out(word: int, pc: int, ttbr1: int, load: Load, done: Followed) -> None:
    """Carry out one instruction that leads on to the next; what it writes and is not understood is unknown then."""
    known = done._known
    move, add, logical = SystemMove(word), AddSubtract(word), Logical(word)
    if move.opcode == _MSR:
        value = known.get(move.Rt)
        if move.name == _TTBR1 and value is not None:
            done.root = value
        elif move.name == _VBAR and done.root is not None:
            done.vectors = value
    elif move.opcode == _MRS and move.name == _TTBR1:
        known[move.Rt] = ttbr1 if done.root is None else done.root
    elif add.opcode in (_ADD, _SUB) and add.Rn in known and _X31 not in (add.Rn, add.Rd):
        amount = add.amount if add.opcode == _ADD else -add.amount
        known[add.Rd] = known[add.Rn] + amount & _MASK
    elif logical.opcode in (_AND, _ORR, _EOR) and logical.Rn in known and logical.Rd != _X31:
        value, mask = known[logical.Rn], logical.mask
        results = {_AND: value & mask, _ORR: value | mask, _EOR: value ^ mask}
        known[logical.Rd] = results[logical.opcode]
    elif LoadLiteral(word).opcode == _LDR_LITERAL:
        literal = LoadLiteral(word)
        known.pop(literal.Rt, None)
        try:
            known[literal.Rt] = int.from_bytes(load(VA(pc + literal.offset), 8), "little")
        except GdbtoolsError:
            return
    else:
        _forget(Unknown(word), known)


def _forget(word: Unknown, known: dict[int, int]) -> None:
    known.pop(word.Rt, None)
    (mask, match), (alone_mask, alone) = _LOADS_AND_STORES, _UNSIGNED_OFFSET
    if word.op0 & mask == match and word & alone_mask != alone:
        known.pop(word.Rt2, None)
        known.pop(word.Rn, None)

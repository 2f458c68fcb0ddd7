"""Where A64's loads and stores have their operands, one layout a group.

Source: DDI 0487, "A64 instruction set encoding", "Loads and Stores".
"""

from __future__ import annotations

from gdbtools.bits import Field, Word


class Sized(Word):
    """A load or store of one register, of whatever addressing."""

    width = 32
    size = Field((31, 30), doc="size")
    V = Field(26, doc="of a SIMD and FP register")
    opc = Field((23, 22), doc="which way")
    Rm = Field((20, 16), doc="index, status, or what is added")
    option = Field((15, 13), doc="extension of the index", values={2: "UXTW", 3: "LSL", 6: "SXTW", 7: "SXTX"})
    S = Field(12, doc="scaled")
    form = Field((11, 10), doc="addressing")
    Rn = Field((9, 5), doc="base")
    Rt = Field((4, 0), doc="transferred")


class Pair(Word):
    """A load or store of two registers."""

    width = 32
    opc = Field((31, 30), doc="size")
    V = Field(26, doc="of SIMD and FP registers")
    mode = Field((24, 23), doc="addressing", values={0: "non-temporal", 1: "post", 2: "offset", 3: "pre"})
    L = Field(22, doc="load")
    imm7 = Field((21, 15), doc="offset, signed, in units of a register")
    Rt2 = Field((14, 10), doc="second")
    Rn = Field((9, 5), doc="base")
    Rt = Field((4, 0), doc="first")


class Ordered(Word):
    """An exclusive or ordered load or store, or a compare and swap."""

    width = 32
    size = Field((31, 30), doc="size")
    o2 = Field(23, doc="not exclusive")
    L = Field(22, doc="load")
    o1 = Field(21, doc="of a pair, or a compare and swap")
    Rs = Field((20, 16), doc="status, or what is compared")
    o0 = Field(15, doc="acquire or release")
    Rt2 = Field((14, 10), doc="second of a pair")
    Rn = Field((9, 5), doc="base")
    Rt = Field((4, 0), doc="transferred")


class Structures(Word):
    """A load or store of SIMD structures."""

    width = 32
    single = Field(24, doc="one element")
    L = Field(22, doc="load")
    R = Field(21, doc="how many, its low bit")
    opcode = Field((15, 12), doc="how many")
    Rn = Field((9, 5), doc="base")
    Rt = Field((4, 0), doc="first")


class LiteralLoad(Word):
    """A load relative to the pc."""

    width = 32
    opc = Field((31, 30), doc="size")
    V = Field(26, doc="of a SIMD and FP register")
    imm19 = Field((23, 5), doc="offset, in words")
    Rt = Field((4, 0), doc="transferred")

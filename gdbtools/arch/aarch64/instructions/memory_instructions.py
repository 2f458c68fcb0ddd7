"""A64's loads and stores, as data: which way they go, how much they move, and from what base.

Source: DDI 0487, "A64 instruction set encoding", "Loads and Stores", "SVE Memory", "SME Memory"; "A64 System
instructions for cache maintenance".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from gdbtools.arch.aarch64.instructions.gadgets import SystemInstruction, Unscaled, UnsignedOffset
from gdbtools.arch.aarch64.instructions.memory_encodings import LiteralLoad, Ordered, Pair, Sized, Structures
from gdbtools.arch.aarch64.instructions.system_instructions import Operation, assembly
from gdbtools.arch.model import AccessKind
from gdbtools.bits import Field

_READ, _WRITE, _MAINTENANCE = AccessKind.READ, AccessKind.WRITE, AccessKind.MAINTENANCE
_READS, _WRITES, _BOTH = frozenset((_READ,)), frozenset((_WRITE,)), frozenset((_READ, _WRITE))
_X31: Final = 31
_LINE_BYTES: Final = 1 << 11
"""The most that one DC is about: DCZID_EL0.BS and CTR_EL0 allow no more."""


@dataclass(frozen=True, slots=True)
class Index:
    """A register that is added to a base: its number, how many bits of it, whether signed, and how far shifted."""

    number: int
    bits: int
    signed: bool
    shift: int

    def of(self, value: int) -> int:
        """Return what is added where the register holds `value`."""
        low = value & (1 << self.bits) - 1
        return (low - (low >> self.bits - 1 << self.bits) if self.signed else low) << self.shift


@dataclass(frozen=True, slots=True)
class MemoryAccess:
    """What an instruction does to memory.

    `kinds` are what it can be refused as.  `size_bytes` is all that it moves, None where that is not told here;
    `register` is the number of the one general-purpose register that it moves, None for another kind or for more of
    them.  `base` is the number of its base register, and `offset` what is added, None where that is not in the
    instruction alone; `index` is the register that is added where one is.
    """

    text: str
    kinds: frozenset[AccessKind]
    size_bytes: int | None = None
    register: int | None = None
    signed: bool = False
    base: int | None = None
    offset: int | None = None
    index: Index | None = None


def _general(number: int, size_bytes: int) -> str:
    width = "X" if size_bytes == 8 else "W"
    return f"{width}ZR" if number == _X31 else f"{width}{number}"


def _vector(number: int, size_bytes: int) -> str:
    return f"{'BHSDQ'[size_bytes.bit_length() - 1]}{number}"


def _base(number: int) -> str:
    return "SP" if number == _X31 else f"X{number}"


def _where(base: int, offset: int, after: str = "") -> str:
    return f"[{_base(base)}{f', #{offset}' if offset else ''}]{after}"


_SUFFIX: Final = {1: "B", 2: "H", 4: "", 8: "", 16: ""}


def _single(word: int, stem: str) -> tuple[str, frozenset[AccessKind], int, bool] | None:
    """Return (mnemonic and register, kinds, bytes, signed) of a load or store of one register; None for a prefetch."""
    found = Sized(word)
    if found.V:
        size_bytes = 16 if found.opc & 0b10 else 1 << found.size
        load = bool(found.opc & 1)
        return (
            f"{'LD' if load else 'ST'}{stem} {_vector(found.Rt, size_bytes)}",
            _READS if load else _WRITES,
            size_bytes,
            False,
        )
    size_bytes = 1 << found.size
    if found.opc < 0b10:
        name = f"{'LD' if found.opc else 'ST'}{stem}{_SUFFIX[size_bytes]}"
        return f"{name} {_general(found.Rt, size_bytes)}", _READS if found.opc else _WRITES, size_bytes, False
    if found.size == 0b11:
        return None
    name = f"LD{stem}S{'BHW'[found.size]}"
    return f"{name} {_general(found.Rt, 4 if found.opc == 0b11 else 8)}", _READS, size_bytes, True


def _moved(word: int, stem: str, where: str, offset: int | None) -> MemoryAccess | None:
    single, found = _single(word, stem), Sized(word)
    if single is None:
        return None
    text, kinds, size_bytes, signed = single
    register = None if found.V else found.Rt
    return MemoryAccess(f"{text}, {where}", kinds, size_bytes, register, signed, found.Rn, offset)


def _unsigned(word: int) -> MemoryAccess | None:
    found, sized = UnsignedOffset(word), Sized(word)
    unit = 16 if sized.V and sized.opc & 0b10 else 1 << sized.size
    offset = found.imm12 * unit
    return _moved(word, "R", _where(found.Rn, offset), offset)


def _unscaled(word: int) -> MemoryAccess | None:
    found = Unscaled(word)
    return _moved(word, "UR", _where(found.Rn, found.offset), found.offset)


def _post(word: int) -> MemoryAccess | None:
    found = Unscaled(word)
    return _moved(word, "R", _where(found.Rn, 0, f", #{found.offset}"), 0)


def _unprivileged(word: int) -> MemoryAccess | None:
    found = Unscaled(word)
    return _moved(word, "TR", _where(found.Rn, found.offset), found.offset)


def _pre(word: int) -> MemoryAccess | None:
    found = Unscaled(word)
    return _moved(word, "R", f"[{_base(found.Rn)}, #{found.offset}]!", found.offset)


def _indexed(word: int) -> MemoryAccess | None:
    found = Sized(word)
    extend = Sized.option.meaning(found.option)
    index = _general(found.Rm, 8 if found.option & 1 else 4)
    how = f", {extend}" if extend != "LSL" or found.S else ""
    amount = (4 if found.V and found.opc & 0b10 else found.size) if found.S else 0
    how += f" #{amount}" if found.S else ""
    moved = _moved(word, "R", f"[{_base(found.Rn)}, {index}{how}]", None)
    added = Index(found.Rm, 64 if found.option & 1 else 32, found.option >= 0b110, amount)
    return None if moved is None else replace(moved, index=added)


def _authenticated(word: int) -> MemoryAccess:
    found = Sized(word)
    name = "LDRAB" if found.opc & 0b10 else "LDRAA"
    return MemoryAccess(f"{name} {_general(found.Rt, 8)}, [{_base(found.Rn)}]", _READS, 8)


_OPERATIONS: Final = ("LDADD", "LDCLR", "LDEOR", "LDSET", "LDSMAX", "LDSMIN", "LDUMAX", "LDUMIN")
_SINGLE_COPY: Final[Mapping[int, tuple[str, frozenset[AccessKind]]]] = {
    0b1001: ("ST64B", _WRITES),
    0b1010: ("ST64BV0", _BOTH),
    0b1011: ("ST64BV", _BOTH),
    0b1101: ("LD64B", _READS),
}
"""By o3 and opc: what moves 64 bytes."""
_SWAP, _LDAPR = 0b1000, 0b1100


def _atomic(word: int) -> MemoryAccess | None:
    found = Sized(word)
    operation, size_bytes = Field((15, 12)).of(word), 1 << found.size
    if found.V:
        return MemoryAccess("an atomic operation on FP registers", _BOTH, base=found.Rn, offset=0)
    register, where = _general(found.Rt, size_bytes), f"[{_base(found.Rn)}]"
    if operation == _LDAPR and found.opc == 0b10:
        text = f"LDAPR{_SUFFIX[size_bytes]} {register}, {where}"
        return MemoryAccess(text, _READS, size_bytes, found.Rt, False, found.Rn, 0)
    if operation in _SINGLE_COPY and found.size == 0b11 and not found.opc:
        name, kinds = _SINGLE_COPY[operation]
        return MemoryAccess(f"{name} {register}, {where}", kinds, 64, None, False, found.Rn, 0)
    order = ("", "L", "A", "AL")[found.opc]
    name = f"{_OPERATIONS[operation]}" if operation < _SWAP else "SWP" if operation == _SWAP else ""
    if not name:
        return _some(word, "an atomic operation")
    text = f"{name}{order}{_SUFFIX[size_bytes]} {_general(found.Rm, size_bytes)}, {register}, {where}"
    return MemoryAccess(text, _BOTH, size_bytes, None, False, found.Rn, 0)


def _pair(word: int) -> MemoryAccess:
    found = Pair(word)
    offset = found.imm7 - (found.imm7 >> 6 << 7)
    name, load = ("LDNP" if found.L else "STNP") if not found.mode else ("LDP" if found.L else "STP"), bool(found.L)
    each = unit = 4 << found.opc if found.V else 4 << (found.opc >> 1)
    if not found.V and found.opc == 0b01:
        # LDPSW has words; STGP has doublewords, counted in granules of tags.
        name, each, unit = ("LDPSW", 4, 4) if load else ("STGP", 8, 16)
    named = _vector if found.V else _general
    shown = 8 if name == "LDPSW" else each
    registers = f"{named(found.Rt, shown)}, {named(found.Rt2, shown)}"
    offset *= unit
    mode = Pair.mode.meaning(found.mode)
    where = {"post": f"[{_base(found.Rn)}], #{offset}", "pre": f"[{_base(found.Rn)}, #{offset}]!"}
    text = f"{name} {registers}, {where.get(mode, _where(found.Rn, offset))}"
    at = 0 if mode == "post" else offset
    return MemoryAccess(text, _READS if load else _WRITES, 2 * each, None, False, found.Rn, at)


_ORDERED: Final[Mapping[tuple[int, int, int, int], tuple[str, frozenset[AccessKind], int]]] = {
    (0, 0, 0, 0): ("STXR", _WRITES, 1),
    (0, 0, 0, 1): ("STLXR", _WRITES, 1),
    (0, 1, 0, 0): ("LDXR", _READS, 1),
    (0, 1, 0, 1): ("LDAXR", _READS, 1),
    (0, 0, 1, 0): ("STXP", _WRITES, 2),
    (0, 0, 1, 1): ("STLXP", _WRITES, 2),
    (0, 1, 1, 0): ("LDXP", _READS, 2),
    (0, 1, 1, 1): ("LDAXP", _READS, 2),
    (1, 0, 0, 0): ("STLLR", _WRITES, 1),
    (1, 0, 0, 1): ("STLR", _WRITES, 1),
    (1, 1, 0, 0): ("LDLAR", _READS, 1),
    (1, 1, 0, 1): ("LDAR", _READS, 1),
    (1, 0, 1, 0): ("CAS", _BOTH, 1),
    (1, 0, 1, 1): ("CASL", _BOTH, 1),
    (1, 1, 1, 0): ("CASA", _BOTH, 1),
    (1, 1, 1, 1): ("CASAL", _BOTH, 1),
}
"""By o2, L, o1 and o0: the name, the kinds, and how many registers."""
_CASP: Final[Mapping[tuple[int, int], str]] = {(0, 0): "CASP", (0, 1): "CASPL", (1, 0): "CASPA", (1, 1): "CASPAL"}
"""By L and o0, where the size is that of no pair of exclusives."""


def _ordered(word: int) -> MemoryAccess:
    found = Ordered(word)
    name, kinds, count = _ORDERED[found.o2, found.L, found.o1, found.o0]
    size_bytes = 1 << found.size
    if count == 2 and found.size < 0b10:
        name, kinds, size_bytes = _CASP[found.L, found.o0], _BOTH, 4 << found.size
    registers = [found.Rt, *([found.Rt2] if count == 2 else [])]
    status = ""
    if name.startswith("CASP"):
        registers = [found.Rs, found.Rs + 1, found.Rt, found.Rt + 1]
    elif name.startswith("CAS"):
        registers = [found.Rs, found.Rt]
    elif not found.o2 and not found.L:
        status = f"{_general(found.Rs, 4)}, "
    shown = name if count == 2 else name + _SUFFIX[size_bytes]
    transferred = ", ".join(_general(each, size_bytes) for each in registers)
    text = f"{shown} {status}{transferred}, [{_base(found.Rn)}]"
    register = found.Rt if count == 1 and kinds is not _BOTH else None
    return MemoryAccess(text, kinds, count * size_bytes, register, False, found.Rn, 0)


_REGISTERS: Final = {0b0000: 4, 0b0010: 1, 0b0100: 3, 0b0110: 1, 0b0111: 1, 0b1000: 2, 0b1010: 1}
"""Elements of a structure, by the opcode of the form for several."""


def _structures(word: int) -> MemoryAccess:
    found = Structures(word)
    elements = (found.opcode >> 1 & 1) << 1 | found.R if found.single else _REGISTERS.get(found.opcode, 1) - 1
    repeated = "R" if found.single and found.opcode >> 2 == 0b11 else ""
    text = f"{'LD' if found.L else 'ST'}{elements + 1}{repeated} {{V{found.Rt}, ...}}, [{_base(found.Rn)}]"
    return MemoryAccess(text, _READS if found.L else _WRITES, 64, None, False, found.Rn, 0)


def _literal(word: int) -> MemoryAccess | None:
    found = LiteralLoad(word)
    if not found.V and found.opc == 0b11:
        return None
    size_bytes = 4 << found.opc if found.V else 8 if found.opc == 0b01 else 4
    name = "LDRSW" if not found.V and found.opc == 0b10 else "LDR"
    register = _vector(found.Rt, size_bytes) if found.V else _general(found.Rt, 8 if name == "LDRSW" else size_bytes)
    offset = 4 * (found.imm19 - (found.imm19 >> 18 << 19))
    text = f"{name} {register}, [PC, #{offset}]"
    return MemoryAccess(text, _READS, size_bytes, None if found.V else found.Rt, name == "LDRSW")


def _ordered_unscaled(word: int) -> MemoryAccess | None:
    found, offset = Sized(word), Unscaled(word).offset
    size_bytes, load = 1 << found.size, bool(found.opc)
    signed = found.opc >= 0b10
    if signed and found.size == 0b11:
        return None
    suffix = f"S{'BHW'[found.size]}" if signed else _SUFFIX[size_bytes]
    name = f"{'LDAPUR' if load else 'STLUR'}{suffix}"
    shown = (4 if found.opc == 0b11 else 8) if signed else size_bytes
    text = f"{name} {_general(found.Rt, shown)}, {_where(found.Rn, offset)}"
    return MemoryAccess(text, _READS if load else _WRITES, size_bytes, found.Rt, signed, found.Rn, offset)


def _some(word: int, what: str = "") -> MemoryAccess:
    """Return what a load or store is that is not told apart here: it may go either way."""
    return MemoryAccess(what or f"{word:#010x}, a load or store", _BOTH)


def _named(what: str, kinds: frozenset[AccessKind]) -> Callable[[int], MemoryAccess]:
    return lambda word: MemoryAccess(what or f"{word:#010x}, a load or store", kinds)


def _scalable(word: int) -> MemoryAccess:
    stores = _scalable_stores.mask & word == _scalable_stores.match
    return MemoryAccess("an SVE store" if stores else "an SVE load", _WRITES if stores else _READS)


def _none(word: int) -> None:  # noqa: ARG001
    return None


def _zeroes(word: int) -> MemoryAccess:
    return _by_address(word, _WRITES)


def _maintains(word: int) -> MemoryAccess:
    return _by_address(word, frozenset((_MAINTENANCE,)))


def _by_address(word: int, kinds: frozenset[AccessKind]) -> MemoryAccess:
    found = SystemInstruction(word)
    text = assembly(Operation(1, found.op1, found.CRn, found.CRm, found.op2), False, found.Rt)
    base = None if found.Rt == _X31 else found.Rt
    return MemoryAccess(text, kinds, _LINE_BYTES, None, False, base, 0)


@dataclass(frozen=True, slots=True)
class InstructionEncoding:
    """Words of one kind: those whose bits under `mask` are `match`."""

    mask: int
    match: int

    def __contains__(self, word: int) -> bool:
        return word & self.mask == self.match


_scalable_stores: Final = InstructionEncoding(0xFE00_0000, 0xE400_0000)
GROUPS: Final[tuple[tuple[InstructionEncoding, Callable[[int], MemoryAccess | None]], ...]] = (
    (InstructionEncoding(0x3F00_0000, 0x0800_0000), _ordered),
    (InstructionEncoding(0xBE00_0000, 0x0C00_0000), _structures),
    (InstructionEncoding(0x3B00_0000, 0x1800_0000), _literal),
    (InstructionEncoding(0x3F20_0C00, 0x1900_0000), _ordered_unscaled),
    (InstructionEncoding(0x3B20_0C00, 0x1900_0400), _named("a CPY or SET instruction", _BOTH)),
    (InstructionEncoding(0xFF20_0000, 0xD920_0000), _named("a load or store of tags", _BOTH)),
    (InstructionEncoding(0x3A00_0000, 0x2800_0000), _pair),
    (InstructionEncoding(0x3B20_0C00, 0x3800_0000), _unscaled),
    (InstructionEncoding(0x3B20_0C00, 0x3800_0400), _post),
    (InstructionEncoding(0x3F20_0C00, 0x3800_0800), _unprivileged),
    (InstructionEncoding(0x3B20_0C00, 0x3800_0C00), _pre),
    (InstructionEncoding(0x3B20_0C00, 0x3820_0000), _atomic),
    (InstructionEncoding(0x3B20_4C00, 0x3820_4800), _indexed),
    (InstructionEncoding(0xFF20_0400, 0xF820_0400), _authenticated),
    (InstructionEncoding(0x3B00_0000, 0x3900_0000), _unsigned),
    # What is left of the space of loads and stores: 128-bit atomics, and what is to come.
    (InstructionEncoding(0x0A00_0000, 0x0800_0000), _some),
    (InstructionEncoding(0x9E00_0000, 0x8400_0000), _scalable),
    (InstructionEncoding(0xFE00_0000, 0xE000_0000), _named("an SME load or store", _BOTH)),
    (InstructionEncoding(0xFFF8_FF00, 0xD508_7400), _zeroes),  # DC ZVA, DC GVA, DC GZVA
    (InstructionEncoding(0xFFF8_FE00, 0xD508_7200), _none),  # TRCIT, CFP and its like
    (InstructionEncoding(0xFFF8_F000, 0xD508_7000), _maintains),
)
"""The first that has a word decodes it."""


def memory_access(word: int) -> MemoryAccess | None:
    """Return what an instruction does to memory; None for one that accesses none, as a prefetch."""
    decode = next((decode for encoding, decode in GROUPS if word in encoding), None)
    return None if decode is None else decode(word)

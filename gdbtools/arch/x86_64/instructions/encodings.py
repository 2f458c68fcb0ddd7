"""How the few instructions that are borrowed are encoded: in 64-bit mode an instruction may begin at any byte.

None of them has a prefix that extends a register's number, so that they are the same in compatibility mode.

Source: Intel SDM volume 2, "Instruction Format": "ModR/M and SIB Bytes"; "INVLPG", "MOV - Move to/from Control
Registers", "MOV - Move", "IRET/IRETD/IRETQ".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from gdbtools.arch.gadgets import Borrowable, Extent, Use
from gdbtools.arch.x86_64.instructions.decoding import REGISTERS, ModRM

ADDRESSED: Final = REGISTERS[:8]
"""The registers by the three bits of their number."""
_MEMORY, _REGISTERS = 0b00, 0b11
_NO_BASE: Final = frozenset((0b100, 0b101))
"""In memory operands without displacement: a SIB byte follows, or the address is relative to rip."""


@dataclass(frozen=True, slots=True)
class MoveOpcode:
    """A load or a store: its opcode, the bytes that it moves, and its operands as an assembler has them."""

    opcode: int
    size_bytes: int
    loads: bool
    registers: tuple[str, ...]
    rank: int


_BYTES: Final = ("al", "cl", "dl", "bl")
"""The byte registers that are the low bytes of the registers with the same numbers; the next four are not."""
_WORDS: Final = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")
TRANSFERS: Final = (
    MoveOpcode(0x8A, 1, True, _BYTES, 0),
    MoveOpcode(0x8B, 4, True, _WORDS, 2),
    MoveOpcode(0x88, 1, False, _BYTES, 0),
    MoveOpcode(0x89, 4, False, _WORDS, 2),
)
IRETQ: Final = Borrowable(0xFFFF, 0xCF48, lambda word: Use("iretq", {}), size_bytes=2)  # noqa: ARG005
_INVLPG, _INVLPG_REG = 0x010F, 0b111
_TO_CONTROL: Final = 0x220F
_STACK: Final = ADDRESSED.index("rsp")


def transfer(each: MoveOpcode, address: int) -> Borrowable:
    """Return a load or store whose address is in one register alone, and is to be `address`."""

    def use(word: int) -> Use | None:
        byte = ModRM(word >> 8)
        if byte.RM in _NO_BASE or len(each.registers) <= byte.REG or byte.REG == _STACK:
            return None
        if not each.loads and byte.REG == byte.RM:
            return None
        base, moved = ADDRESSED[byte.RM], each.registers[byte.REG]
        text = f"mov {moved}, [{base}]" if each.loads else f"mov [{base}], {moved}"
        return Use(text, {base: address}, ADDRESSED[byte.REG], each.size_bytes)

    mask = 0xFF | ModRM.MOD.mask << 8
    return Borrowable(mask, each.opcode | ModRM.MOD.into(0, _MEMORY) << 8, use, each.rank, size_bytes=2)


def invlpg(address: int, leaves: str) -> Borrowable:
    """Return an INVLPG of what one register points at; `leaves` says what it does not reach."""

    def use(word: int) -> Use | None:
        base = ModRM(word >> 16).RM
        if base in _NO_BASE:
            return None
        return Use(f"invlpg [{ADDRESSED[base]}]", {ADDRESSED[base]: address}, leaves=leaves)

    return _with_operand(_INVLPG, _MEMORY, _INVLPG_REG, use, Extent.ADDRESS, 0)


def to_control(number: int, values: tuple[int, ...], extent: Extent, rank: int, leaves: str = "") -> Borrowable:
    """Return a MOV to a control register, executed once with each of these values."""

    def use(word: int) -> Use | None:
        source = ModRM(word >> 16).RM
        if source == _STACK:
            return None
        first, *following = ({ADDRESSED[source]: value} for value in values)
        return Use(f"mov cr{number}, {ADDRESSED[source]}", first, again=tuple(following), leaves=leaves)

    return _with_operand(_TO_CONTROL, _REGISTERS, number, use, extent, rank)


def _with_operand(
    opcode: int, mod: int, reg: int, use: Callable[[int], Use | None], extent: Extent, rank: int
) -> Borrowable:
    byte = ModRM.REG.into(ModRM.MOD.into(0, mod), reg)
    mask = 0xFFFF | (ModRM.MOD.mask | ModRM.REG.mask) << 16
    return Borrowable(mask, opcode | byte << 16, use, rank, extent, broadcast=False, size_bytes=3)


def transfers(loads: bool, address: int) -> Iterator[Borrowable]:
    """Yield every load, or every store, of what is at an address that it is aligned to."""
    for each in TRANSFERS:
        if each.loads is loads and not address % each.size_bytes:
            yield transfer(each, address)

"""The A64 code just before an instruction, read backwards: stores, barriers and TLB maintenance.

Source: DDI 0487, "A64 instruction set encoding" (the top level, "Loads and Stores", "Branches, Exception Generating and
System instructions"), "TLB maintenance instructions".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from gdbtools.addresses import VA
from gdbtools.arch.aarch64.instructions.gadgets import (
    ADDRESS_BITS,
    INSTRUCTION_BYTES,
    OPERAND_ADDRESS,
    OPERAND_ASID,
    Barrier,
    SystemInstruction,
    Unscaled,
    current_asid,
)
from gdbtools.arch.aarch64.instructions.system_instructions import Operation, assembly, encodings
from gdbtools.arch.instruction_effects import Effect, EffectKind
from gdbtools.arch.model import ReadRegister, Walk
from gdbtools.bits import Field, Word

_X31: Final = 31


class Instruction(Word):
    """What tells one group of A64 instructions from another, and the places where registers are named."""

    width = 32
    op0 = Field((28, 25), doc="the group")
    Rs = Field((20, 16), doc="status, or index")
    Rt2 = Field((14, 10), doc="second of a pair")
    Rn = Field((9, 5), doc="base")
    Rt = Field((4, 0), doc="transferred, or destination")


def _nothing(word: int) -> int:  # noqa: ARG001
    return 0


def _scaled(word: int) -> int:
    return 8 * Field((21, 10)).of(word)


def _unscaled(word: int) -> int:
    return Unscaled(word).offset


def _moved_since(word: int) -> int:
    return -Unscaled(word).offset


@dataclass(frozen=True, slots=True)
class _Store:
    """A store of 64 bits, at so far from where its base is now; `writes` are registers that it writes, too."""

    name: str
    mask: int
    match: int
    offset: Callable[[int], int] = _nothing
    writes: tuple[Field, ...] = ()


_STORES: Final = (
    _Store("STR", 0xFFC0_0000, 0xF900_0000, _scaled),
    _Store("STUR", 0xFFE0_0C00, 0xF800_0000, _unscaled),
    _Store("STR", 0xFFE0_0C00, 0xF800_0C00, writes=(Instruction.Rn,)),
    _Store("STR", 0xFFE0_0C00, 0xF800_0400, _moved_since, (Instruction.Rn,)),
    _Store("STLR", 0xFFFF_FC00, 0xC89F_FC00),
    _Store("STXR", 0xFFE0_7C00, 0xC800_7C00, writes=(Instruction.Rs,)),
    _Store("CAS", 0xFFA0_7C00, 0xC8A0_7C00, writes=(Instruction.Rs,)),
)
"""What writes descriptors: a plain or a releasing store, an exclusive one, compare and swap."""

_STOPS: Final = (
    (0x7C00_0000, 0x1400_0000),  # B, BL
    (0xFE00_0000, 0xD600_0000),  # BR, BLR, RET, ERET
    (0xFF00_0000, 0xD400_0000),  # SVC, HVC, SMC, BRK, HLT
    (0xFFC0_0000, 0xD540_0000),  # SYSP, MSRR, MRRS
)
"""Behind these the next instruction is not what runs next, or not at once."""
_SYSTEM, _READS = (0xFFC0_0000, 0xD500_0000), (0x0020_0000, 0x0020_0000)
_BARRIERS: Final = 0xD503_3000
_DSB, _DSB_NXS, _ISB = 0b100, 0b001, 0b110
_DSB_STORES: Final = 0b10
"""CRm[1]: a DSB that waits for stores."""
_LOADS_AND_STORES, _DATA_PROCESSING = (0b0101, 0b0100), ((0b1110, 0b1000), (0b0111, 0b0101), (0b0111, 0b0111))
_BRANCHES_AND_SYSTEM = (0b1110, 0b1010)


def _is(word: int, group: tuple[int, int]) -> bool:
    mask, match = group
    return word & mask == match


def recent(words: Sequence[int], end: VA, register: ReadRegister, regime: str, about: Walk) -> tuple[Effect, ...]:
    """Return what the code that ends at `end` did, the latest first; `about` is the translation that it may have
    changed.

    `words` are its instructions in order, `regime` names the one that they run in.
    """
    found: list[Effect] = []
    lost: set[int] = set()
    for distance, value in enumerate(reversed(words), 1):
        word, at = Instruction(value), VA(end - 4 * distance)
        if _is(word.op0, _BRANCHES_AND_SYSTEM):
            if any(_is(word, each) for each in _STOPS):
                break
            if _is(word, _SYSTEM):
                deed = _system(word, at, register, regime, about, lost)
                found += [deed] if deed else []
                if _is(word, _READS):
                    lost.add(word.Rt)
        elif _is(word.op0, _LOADS_AND_STORES):
            store = next((each for each in _STORES if _is(word, (each.mask, each.match))), None)
            if store is None:
                lost |= {word.Rt, word.Rt2, word.Rn, word.Rs}
                continue
            if word.Rn not in lost and word.Rn != _X31:
                target = VA(register(f"x{word.Rn}") + store.offset(word) & (1 << 64) - 1)
                found.append(Effect(at, EffectKind.STORE, store.name, target))
            lost |= {each.of(word) for each in store.writes}
        elif any(_is(word.op0, each) for each in _DATA_PROCESSING):
            lost.add(word.Rt)
        else:
            break
    return tuple(found)


def words_of(code: bytes) -> Sequence[int]:
    """Return the instructions of code that ends with a whole one: they are little-endian whatever data is."""
    first = len(code) % INSTRUCTION_BYTES
    pieces = (code[at : at + INSTRUCTION_BYTES] for at in range(first, len(code), INSTRUCTION_BYTES))
    return [int.from_bytes(piece, "little") for piece in pieces]


def _system(
    word: Instruction, at: VA, register: ReadRegister, regime: str, about: Walk, lost: set[int]
) -> Effect | None:
    barrier = Barrier(word)
    if barrier.fixed == Barrier(_BARRIERS).fixed:
        waits = barrier.op2 == _DSB_NXS or (barrier.op2 == _DSB and barrier.CRm & _DSB_STORES)
        if waits:
            return Effect(at, EffectKind.WAIT, "DSB")
        return Effect(at, EffectKind.SYNCHRONIZE, "ISB") if barrier.op2 == _ISB else None
    system = SystemInstruction(word)
    operation = Operation(1, system.op1, system.CRn, system.CRm, system.op2)
    name = _invalidations().get(operation) if system.fixed == SystemInstruction(0xD508_0000).fixed else None
    if name is None:
        return None
    known = word.Rt not in lost
    operand = register(f"x{word.Rt}") if known and word.Rt != _X31 else 0
    text = assembly(operation, False, word.Rt)
    return Effect(at, EffectKind.INVALIDATE, text, *_scope(name, operand if known else None, register, regime, about))


@cache
def _invalidations() -> dict[Operation, str]:
    return {operation: name for name, operation in encodings().items() if name.startswith("TLBI ")}


_NAME: Final = re.compile(r"TLBI (?P<what>VMALLS12|VMALL|ALL|ASID|VAAL|VAA|VAL|VA)E(?P<level>[123])(IS|OS)?(NXS)?")
_ALL: Final = ("VMALLS12", "VMALL", "ALL")


def _scope(
    name: str, operand: int | None, register: ReadRegister, regime: str, about: Walk
) -> tuple[VA | None, bool | None]:
    """Return the address that a TLBI names, and whether it covers `about`; None for what is not known."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None, None
    level = {"el1": 1, "el2": 2, "el2-vhe": 2, "el3": 3}.get(regime, 1)
    # "TLB maintenance instructions": at EL2 with E2H and TGE those of EL1 are about EL2&0.
    if int(found["level"]) not in ((1, 2) if regime == "el2-vhe" else (level,)):
        return None, False
    if found["what"] in _ALL:
        return None, True
    if operand is None:
        return None, None
    attributes = about.attributes
    own = OPERAND_ASID.of(operand) == current_asid(register, level)
    shared = attributes is not None and attributes.is_global
    if found["what"] == "ASID":
        return None, own and not shared
    named = _sign_extended(ADDRESS_BITS.into(0, OPERAND_ADDRESS.of(operand)))
    same = about.leaf is not None and not (named ^ about.input) & ADDRESS_BITS.mask & -about.leaf.level.size_bytes
    return named, same and (found["what"].startswith("VAA") or shared or own)


def _sign_extended(address: int) -> VA:
    """Copy bit 55 up: it says which half a TLBI's address is in."""
    return VA(address | 0xFF << 56 if address >> 55 & 1 else address)

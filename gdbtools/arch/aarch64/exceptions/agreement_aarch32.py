"""Whether a syndrome is of the A32 or T32 instruction at ELR: what traps and calls of AArch32 state say of it.

A T32 instruction of two halfwords has the first one above.  What A32 and T32 have of coprocessors is laid out alike.
Source: DDI 0487, "ESR_EL2", the ISS encodings; "A32 instruction set encoding", "T32 instruction set encoding".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gdbtools.arch.aarch64.instructions.memory_instructions import InstructionEncoding
from gdbtools.arch.aarch64.registers import aarch32_registers
from gdbtools.arch.aarch64.registers.processor_state import SPSR_AArch32
from gdbtools.arch.aarch64.syndrome import EC, ESR_ELx
from gdbtools.arch.model import Agreement, Fit, Syndrome
from gdbtools.bits import Field

HALFWORD_BITS: Final = 16
_LOW, _HIGH = Field((15, 0)), Field((31, 16))
_COND: Final = Field((31, 28))
_UNCONDITIONAL: Final = 0b1111
_ALWAYS: Final = 0b1110
Encodings = tuple[tuple[InstructionEncoding, tuple[Field, ...]], ...]
"""An instruction, and its immediate in parts, most significant first."""


def _encoding(mask: int, match: int, *immediate: tuple[int, int]) -> tuple[InstructionEncoding, tuple[Field, ...]]:
    return InstructionEncoding(mask, match), tuple(Field(each) for each in immediate)


_ONE: Final = InstructionEncoding(0x0F00_0010, 0x0E00_0010)
_TWO: Final = InstructionEncoding(0x0FE0_0000, 0x0C40_0000)
_TRANSFER: Final = InstructionEncoding(0x0E00_FF00, 0x0C00_5E00)
_REGISTERS: Final[Mapping[str, Field]] = {"Rt": Field((15, 12)), "Rt2": Field((19, 16))}
_ONE_FIELDS: Final[Mapping[str, Field]] = {
    "Opc1": Field((23, 21)), "CRn": Field((19, 16)), "CRm": Field((3, 0)), "Opc2": Field((7, 5)),
    "Direction": Field(20),
}  # fmt: skip
_TWO_FIELDS: Final[Mapping[str, Field]] = {"Opc1": Field((7, 4)), "CRm": Field((3, 0)), "Direction": Field(20)}
_TRANSFER_FIELDS: Final[Mapping[str, Field]] = {"imm8": Field((7, 0)), "Offset": Field(23), "Direction": Field(20)}
_COPROC: Final = Field((11, 8))
_COPROCS: Final[Mapping[int, int]] = {
    EC.CP15_MCR_MRC: 15, EC.CP15_MCRR_MRRC: 15, EC.CP14_MCR_MRC: 14, EC.CP14_MRRC: 14, EC.VMRS: 10,
}  # fmt: skip
_LAID_OUT: Final[Mapping[int, tuple[InstructionEncoding, Mapping[str, Field]]]] = {
    EC.CP15_MCR_MRC: (_ONE, _ONE_FIELDS),
    EC.CP14_MCR_MRC: (_ONE, _ONE_FIELDS),
    EC.VMRS: (_ONE, {"CRn": _ONE_FIELDS["CRn"], "Direction": _ONE_FIELDS["Direction"]}),
    EC.CP15_MCRR_MRRC: (_TWO, _TWO_FIELDS),
    EC.CP14_MRRC: (_TWO, _TWO_FIELDS),
    EC.LDC_STC: (_TRANSFER, _TRANSFER_FIELDS),
}
"""Where the fields of an ISS stand in the instruction, too."""
_A32: Final[Mapping[int, Encodings]] = {
    EC.SVC_AARCH32: (_encoding(0x0F00_0000, 0x0F00_0000, (15, 0)),),
    EC.HVC_AARCH32: (_encoding(0x0FF0_00F0, 0x0140_0070, (19, 8), (3, 0)),),
    EC.SMC_AARCH32: (_encoding(0x0FF0_00F0, 0x0160_0070),),
    EC.BKPT_AARCH32: (_encoding(0x0FF0_00F0, 0x0120_0070, (19, 8), (3, 0)),),
}
_T32: Final[Mapping[int, Encodings]] = {
    EC.SVC_AARCH32: (_encoding(0xFF00, 0xDF00, (7, 0)),),
    EC.HVC_AARCH32: (_encoding(0xFFF0_F000, 0xF7E0_8000, (19, 16), (11, 0)),),
    EC.SMC_AARCH32: (_encoding(0xFFF0_F000, 0xF7F0_8000),),
    EC.BKPT_AARCH32: (_encoding(0xFF00, 0xBE00, (7, 0)),),
}
_WAITS: Final[Mapping[int, tuple[InstructionEncoding, InstructionEncoding]]] = {
    0: (InstructionEncoding(0x0FFF_FFFF, 0x0320_F003), InstructionEncoding(0xFFFF, 0xBF30)),
    1: (InstructionEncoding(0x0FFF_FFFF, 0x0320_F002), InstructionEncoding(0xFFFF, 0xBF20)),
}
"""WFI and WFE by the syndrome's TI, in A32 and in T32, where there are some of 32 bits, too."""
_WIDE_WAITS: Final[Mapping[int, InstructionEncoding]] = {
    0: InstructionEncoding(0xFFFF_FFFF, 0xF3AF_8003),
    1: InstructionEncoding(0xFFFF_FFFF, 0xF3AF_8002),
}
CLASSES: Final = frozenset((*_LAID_OUT, *_A32, EC.WF))


def agreement(found: Syndrome, state: int, memory: int | None, where: str, what: str) -> Agreement:
    """Return whether a syndrome is of the four bytes at an instruction's address; `what` is what it asks for, in words.

    `state` is the saved one, `where` the address in words, and `memory` None where it cannot be read.
    """
    if ESR_ELx.EC.of(found.word) not in CLASSES:
        return Agreement(Fit.NOT_SHOWN, "it is of AArch32 code, of which traps and calls alone are decoded")
    if memory is None:
        return Agreement(Fit.NOT_SHOWN, f"the instruction at {where} cannot be read")
    if fits(found, memory, state):
        return Agreement(Fit.FITS, f"{what} is at {where.rstrip(',')}")
    return Agreement(Fit.CONTRADICTS, f"at {where} is {memory:#010x}, no {what}")


def fits(found: Syndrome, memory: int, state: int) -> bool:
    """Return whether the four bytes at an instruction's address, as a number, are one that the syndrome is of."""
    t32 = bool(SPSR_AArch32(state).T)
    word = _in_order(memory, bool(found.word & ESR_ELx.IL.mask)) if t32 else memory
    number = ESR_ELx.EC.of(found.word)
    iss: Any = found.word
    if not t32 and not _condition_fits(iss, word):
        return False
    if number == EC.WF:
        return _waits(iss.TI, word, t32)
    if number not in _LAID_OUT:
        return any(_is(found, word, *each) for each in (_T32 if t32 else _A32)[number])
    encoding, fields = _LAID_OUT[number]
    if word not in encoding or _COPROCS.get(number, _COPROC.of(word)) != _COPROC.of(word):
        return False
    registers = {name: at for name, at in _REGISTERS.items() if hasattr(iss, name)}
    return all(getattr(iss, name) == at.of(word) for name, at in fields.items()) and all(
        aarch32_registers.number(getattr(iss, name)) == at.of(word) for name, at in registers.items()
    )


def _waits(which: int, word: int, t32: bool) -> bool:
    if which not in _WAITS:
        return False
    a32, narrow = _WAITS[which]
    return word in narrow or word in _WIDE_WAITS[which] if t32 else word in a32


def _in_order(memory: int, is_wide: bool) -> int:
    """Return a T32 instruction with its first halfword above the second; one of a single halfword alone."""
    first, second = _LOW.of(memory), _HIGH.of(memory)
    return first << HALFWORD_BITS | second if is_wide else first


def _condition_fits(iss: Any, word: int) -> bool:
    """Return whether the condition is the instruction's: one that was passed may be told as "always"."""
    own = _COND.of(word)
    told = getattr(iss, "COND", _ALWAYS) if getattr(iss, "CV", 0) else _ALWAYS
    return told == _ALWAYS or own in (told, _UNCONDITIONAL)


def _is(found: Syndrome, word: int, encoding: InstructionEncoding, parts: tuple[Field, ...]) -> bool:
    if word not in encoding:
        return False
    immediate = 0
    for part in parts:
        immediate = immediate << part.width | part.of(word)
    return not parts or immediate == found.immediate

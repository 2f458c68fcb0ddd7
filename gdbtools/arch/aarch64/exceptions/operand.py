"""What a trapped instruction was handed: the value that it would have written, or a line by its set and way.

Source: DDI 0487, the ISS encodings of "ESR_EL2" that have Rt; "DC CISW"; "CCSIDR_EL1" and "CSSELR_EL1".
"""

from __future__ import annotations

from typing import Final

from gdbtools.arch.aarch64.instructions import set_way
from gdbtools.arch.aarch64.instructions.set_way import SetWay
from gdbtools.arch.aarch64.registers import aarch32_registers
from gdbtools.arch.aarch64.registers.identification import CCSIDR, CCSIDR_CCIDX, CSSELR, ID_AA64MMFR2_EL1
from gdbtools.arch.aarch64.syndrome import EC, Coprocessor, CoprocessorPair, TrappedSystem
from gdbtools.arch.model import ExceptionRecord, ReadRegister, TrappedOperand, optional
from gdbtools.bits import FieldValue, Word
from gdbtools.errors import Unavailable

_ZERO: Final = 31
"""XZR; in AArch32, R15, of which nobody knows what a write of it would write."""
_WORD: Final = (1 << 32) - 1


def operand(exception: ExceptionRecord, register: ReadRegister) -> TrappedOperand | None:
    """Return what an instruction was to write, by registers that are still its; None for one that reads or has none."""
    try:
        found = _moved(exception.syndrome.word, register)
    except Unavailable:
        return None
    if found is None or exception.syndrome.target not in set_way.AARCH64 | set_way.AARCH32:
        return found
    line = SetWay(found.value)
    wanted = CSSELR(0).with_(Level=line.Level)
    selected, shape = optional(register, "CSSELR_EL1"), optional(register, "CCSIDR_EL1")
    if selected == wanted and shape is not None:
        wide = ID_AA64MMFR2_EL1(optional(register, "ID_AA64MMFR2_EL1") or 0).CCIDX
        cache = CCSIDR_CCIDX(shape) if wide else CCSIDR(shape)
        return _with_parts(found, set_way.operand(cache)(found.value), "")
    select = "" if selected == wanted else f"--with CSSELR_EL1={wanted:#x} "
    unknown = f"its CCSIDR, which tells set and way apart, is not known: {select}--with CCSIDR_EL1=0x..."
    return _with_parts(found, line, unknown)


def _moved(word: Word, register: ReadRegister) -> TrappedOperand | None:
    if isinstance(word, TrappedSystem) and not word.Direction:
        if word.Rt != _ZERO:
            return TrappedOperand(f"X{word.Rt}", register(f"x{word.Rt}"))
        return TrappedOperand("XZR", 0) if word.target in set_way.AARCH64 else None
    if isinstance(word, CoprocessorPair) and not word.Direction:
        low, high = (register(f"x{each}") & _WORD for each in (word.Rt, word.Rt2))
        names = ":".join(map(aarch32_registers.name, (word.Rt2, word.Rt)))
        return TrappedOperand(names, high << 32 | low)
    if isinstance(word, Coprocessor) and word.EC != EC.VMRS and not word.Direction and word.Rt != _ZERO:
        name = aarch32_registers.name(word.Rt)
        return TrappedOperand(name, register(f"x{word.Rt}") & _WORD, aarch32_registers.holder(word.Rt))
    return None


def _with_parts(found: TrappedOperand, word: Word, unknown: str) -> TrappedOperand:
    parts = tuple(FieldValue(field, field.of(word)) for field in reversed(type(word).fields()))
    return TrappedOperand(found.register, found.value, found.held_in, parts, unknown)

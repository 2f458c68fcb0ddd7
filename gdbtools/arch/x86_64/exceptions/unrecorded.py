"""What can be said of exceptions that record no address, and what of a double fault can still be trusted.

Source: Intel SDM volume 1, "Canonical Addressing"; volume 3, "Interrupt 8", "Interrupt 12", "Interrupt 13", "Interrupt
Stack Table".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gdbtools.addresses import VA
from gdbtools.arch.model import ReadRegister, Regime, memory_of, optional
from gdbtools.arch.walk import read_virtual
from gdbtools.arch.x86_64 import GENERAL
from gdbtools.arch.x86_64.exceptions.frame import FaultFrame, frame_write, gate, interrupted
from gdbtools.arch.x86_64.instructions.decoding import LONGEST_BYTES, address, decode
from gdbtools.arch.x86_64.syndrome.selector import DOUBLE_FAULT
from gdbtools.arch.x86_64.translation import regimes
from gdbtools.arch.x86_64.translation.linear import Linear
from gdbtools.errors import GdbtoolsError
from gdbtools.units import PAGE_BYTES

FRAME_BYTES: Final = 64
"""The most that a frame takes with its error code and what aligns it."""


def not_canonical(regime: Regime, value: int) -> bool:
    """Return whether a value is no canonical address, with what linear-address masking leaves out of it."""
    return isinstance(regime, Linear) and regime.admit(regime.translated(VA(value))) is not None


def address_notes(register: ReadRegister, saved: FaultFrame) -> Sequence[str]:
    """Return what may have been the address that #GP or #SS does not record: the operand's, else a register's."""
    before, regime = interrupted(register), regimes.regime(register)
    found = _operand(before, regime, VA(saved.rip))
    if found is not None and not_canonical(regime, found[1]):
        return (f"no address is recorded; {found[0]} at {saved.rip:#x} leads to {found[1]:#x}, which is not canonical",)
    values = {name: optional(before, name) for name in GENERAL}
    held = [
        f"{name} {value:#x}" for name, value in values.items() if value is not None and not_canonical(regime, value)
    ]
    if held:
        return (f"no address is recorded; not canonical are now {', '.join(held)}",)
    return ("no address is recorded, and every general register has a canonical one: another rule refused",)


def _operand(before: ReadRegister, regime: Regime, at: VA) -> tuple[str, VA] | None:
    """Return the memory operand of an instruction, as it is written, and where it leads; None where nobody knows."""
    try:
        size_bytes = min(LONGEST_BYTES, PAGE_BYTES - at % PAGE_BYTES)
        instruction = decode(read_virtual(regime, at, size_bytes, memory_of(before)))
    except GdbtoolsError:
        return None
    if instruction is None or instruction.memory is None:
        return None
    leads = address(instruction, at, before)
    return None if leads is None else (instruction.memory.text, leads)


def abort_notes(register: ReadRegister, saved: FaultFrame) -> Sequence[str]:
    """Return what of a double fault can be trusted: its stack, its return address, and cr2."""
    number = gate(register, DOUBLE_FAULT).IST
    notes = [f"its stack is its own, IST {number}" if number else "its stack is that of before: its gate has no IST"]
    notes.append("it is an abort: of which instruction rip is, nothing says, and nothing returns there")
    cr2 = register("cr2")
    if 0 < saved.rsp - cr2 <= FRAME_BYTES:
        why = _why(register, VA(cr2))
        notes.append(f"cr2 is where the first one's frame would be, below rsp {saved.rsp:#x}{why}")
    else:
        notes.append("cr2 is of the last page fault, of these two or before: it is not where a frame would be")
    return notes


def _why(register: ReadRegister, address_: VA) -> str:
    """Return why a frame cannot be written at an address, as the tables are; empty where they permit it."""
    try:
        _, refused = frame_write(register, address_)
    except GdbtoolsError:
        return ""
    if refused is None:
        return ", which the tables permit now"
    decider = refused.decider
    at = "" if decider.pa is None else f" in the level {decider.level} descriptor at PA {decider.pa:#x}"
    return f", and {decider.cause.sentence}: {decider.field.name}={decider.value}{at}"

"""Privilege levels, and which of them each mode of the processor is at.

Source: DDI 0487, "AArch32 state PE modes, and privilege levels", "Mapping of AArch32 modes to Exception levels".
"""

from __future__ import annotations

from typing import Final

from gdbtools.arch.model import Privilege

PL0: Final = Privilege(0, "PL0", {"privilege": "pl0"})
PL1: Final = Privilege(1, "PL1", {"privilege": "pl1"})
PL2: Final = Privilege(2, "PL2", {"privilege": "pl2"})
LEVELS: Final = (PL0, PL1, PL2)

USER: Final = 0b10000
MONITOR: Final = 0b10110
ABORT: Final = 0b10111
HYP: Final = 0b11010
MODES: Final = {
    USER: "User",
    0b10001: "FIQ",
    0b10010: "IRQ",
    0b10011: "Supervisor",
    MONITOR: "Monitor",
    ABORT: "Abort",
    HYP: "Hyp",
    0b11011: "Undefined",
    0b11111: "System",
}


def of_mode(mode: int) -> Privilege:
    """Return the privilege level of a mode, as CPSR.M has it: most are PL1's."""
    return {USER: PL0, HYP: PL2}.get(mode, PL1)

"""The general-purpose registers of AArch32, by the number of the AArch64 register that holds each.

A syndrome numbers them so.  Source: DDI 0487, "Mapping of the general-purpose registers between the Execution states".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_SP, _LR, PC = 13, 14, 15
_MODES: Final[Mapping[int, tuple[int, str]]] = {
    13: (_SP, "usr"),
    14: (_LR, "usr"),
    15: (_SP, "hyp"),
    16: (_LR, "irq"),
    17: (_SP, "irq"),
    18: (_LR, "svc"),
    19: (_SP, "svc"),
    20: (_LR, "abt"),
    21: (_SP, "abt"),
    22: (_LR, "und"),
    23: (_SP, "und"),
    **{held_in: (held_in - 16, "fiq") for held_in in range(24, 31)},
}
"""Of which number such a register is in AArch32, and the mode that has it for its own; the others have one number."""
_NAMES: Final[Mapping[int, str]] = {_SP: "SP", _LR: "LR"}
_R15: Final = 31


def number(held_in: int) -> int:
    """Return the number that an instruction has for the register which X<held_in> holds; R15's is 31 there."""
    if held_in == _R15:
        return PC
    return _MODES[held_in][0] if held_in in _MODES else held_in


def holder(held_in: int) -> str:
    """Return the register of AArch64 in which a banked one is to be looked for; empty for those that are not banked."""
    return f"X{held_in}" if held_in in _MODES else ""


def name(held_in: int) -> str:
    """Return the name of the register that X<held_in> holds, with the mode that it is banked for: `R3`, `SP_svc`."""
    if held_in not in _MODES:
        return f"R{number(held_in)}"
    of_any_mode, mode = _MODES[held_in]
    return f"{_NAMES.get(of_any_mode, f'R{of_any_mode}')}_{mode}"

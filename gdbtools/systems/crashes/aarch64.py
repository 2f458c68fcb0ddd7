"""A crash on AArch64 of which registers alone are printed: what its syndrome says, and what else to ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gdbtools.arch.aarch64.registers.processor_state import SPSR
from gdbtools.arch.aarch64.syndrome import EC, ESR_ELx, decode
from gdbtools.arch.aarch64.translation import regimes
from gdbtools.systems.crash import Crash, CrashFacts, Deduction

INTERRUPT: Final = "it is an interrupt that nobody handles, which leaves the syndrome of an earlier exception"
"""Why nothing is read of registers that a system prints of an interrupt."""
_SAME_LEVEL: Final = (
    EC.DATA_ABORT_SAME_EL, EC.INSTRUCTION_ABORT_SAME_EL, EC.BREAKPOINT_SAME_EL, EC.WATCHPOINT_SAME_EL,
)  # fmt: skip


def of_registers(
    facts: CrashFacts, system: str, el: int, deduced: Deduction | None = None, general: Mapping[str, int] | None = None
) -> Crash | None:
    """Return the crash of a system that prints no tables; None where it does not have the syndrome either.

    The lines are named `esr`, and, where a system has them, `far`, `elr`, `state`, `sp` and `lr`; `at` is where the
    code was, if more than a number is printed of that.  `el` is where the system runs; an exception that it took from
    itself at another level is of that.
    """
    syndrome = facts.number("esr")
    if syndrome is None:
        return None
    deduced = deduced or Deduction()
    state = facts.number("state")
    if state is not None and ESR_ELx.EC.of(syndrome) in _SAME_LEVEL and SPSR(state).el:
        el = SPSR(state).el
    found = decode(syndrome)
    at, elr = facts.first("at"), facts.number("elr")
    special = {
        f"ESR_EL{el}": syndrome,
        f"FAR_EL{el}": facts.number("far") if found.address_valid else None,
        f"ELR_EL{el}": elr,
        f"SPSR_EL{el}": state,
        "sp": facts.number("sp"),
        "x30": facts.number("lr"),
    }
    half = int(el == 1 and bool((facts.number("far") or 0) & regimes.BIT_55))
    wanted = f"the tables and TTBR{half}_EL{el}, which {system} does not print: `mmu capture FILE` in GDB, or a dump"
    return Crash(
        system=f"{system} on AArch64",
        line=facts.line,
        title=facts.title,
        architecture="aarch64",
        stated={**(general or {}), **{name: value for name, value in special.items() if value is not None}},
        deduced=deduced.derived,
        where=at[0] if at else "" if elr is None else f"{elr:#x}",
        doubts=tuple(deduced.doubts),
        wanted=(wanted,) if found.fault is not None else (),
    )


def numbered(facts: CrashFacts, name: str = "general") -> dict[str, int]:
    """Return the general registers of lines that match a number and a value, the first of each."""
    values: dict[str, int] = {}
    for number, digits in facts.all(name):
        values.setdefault(f"x{int(number)}", int(digits, 16))
    return values


def in_rows(facts: CrashFacts, name: str = "row") -> dict[str, int]:
    """Return the general registers of lines that match the number of their first, and values with blanks between."""
    values: dict[str, int] = {}
    for number, row in facts.all(name):
        for place, digits in enumerate(row.split()):
            values.setdefault(f"x{int(number) + place}", int(digits, 16))
    return values


def held_against(facts: CrashFacts, deduced: Deduction, first: str, other: str, what: str) -> None:
    """Doubt two lines that have the address if they have not the same."""
    one, two = facts.number(first), facts.number(other)
    if one is not None and two is not None and one != two:
        deduced.doubts.append(f"{what}: {one:#x} and {two:#x}")

"""What Trusted Firmware-A prints when its EL3 dies: a register a line, of all that EL3 and EL1 have.

    Unhandled Exception in EL3.
    x30            = 0x0000000000000000
    esr_el3        = 0x0000000086000004

The CPUs share one console and no lock: where several of them die, their lines are mixed, and nobody can tell whose a
register is.

Source: Trusted Firmware-A, `bl31/aarch64/crash_reporting.S` and `bl31/aarch64/runtime_exceptions.S`, built with
CRASH_REPORTING (every debug build), of 1.0 to 2.12.
"""

from __future__ import annotations

import re
from typing import Final

from gdbtools.arch.aarch64.architecture import DECLARED
from gdbtools.arch.aarch64.registers.processor_state import SPSR
from gdbtools.systems.crash import Crash, CrashFacts, Deduction, Grammar

_FIRST: Final = re.compile(r"Unhandled Exception (?:in EL3|from lower EL)\.")
_LINES: Final = {
    "died": re.compile(r"(Unhandled (?:Interrupt )?Exception (?:in EL3|from lower EL)\.|PANIC in EL3\.)"),
    "register": re.compile(r"^(x[12]?\d|x30|[a-z]\w+_el[0-3])\s*=\s*0x([0-9a-f]{16})$"),
}
_SYSTEM: Final = "Trusted Firmware-A"
_REGISTERS: Final = {name.lower(): name for name in DECLARED}
_LAST_GENERAL: Final = 30
_AT_EL3: Final = SPSR(0).with_(M=0b1101, D=1, A=1, I=1, F=1)


def crash(facts: CrashFacts) -> Crash:
    """Return what the lines of one CPU come to; those of several are refused."""
    printed = [(name, int(value, 16)) for name, value in facts.all("register")]
    names = [name for name, _ in printed]
    if facts.title not in {name for (name,) in facts.all("died")} or len(names) != len(set(names)):
        return _unread(facts, "the lines of several CPUs are mixed: none of them says whose it is")
    if _FIRST.fullmatch(facts.title) is None:
        return _unread(facts, "it is no exception's: the syndrome there is of an earlier one, or of none")
    stated = {_REGISTERS.get(name, name): value for name, value in printed}
    known = {*_REGISTERS.values(), *(f"x{number}" for number in range(_LAST_GENERAL + 1))}
    deduced = Deduction({"cpsr": int(_AT_EL3)})
    deduced.say("cpsr", "cpsr: EL3, by the first line")
    at = stated.get("ELR_EL3")
    return Crash(
        system=_SYSTEM,
        line=facts.line,
        title=facts.title,
        architecture="aarch64",
        stated={name: value for name, value in stated.items() if name in known},
        deduced=deduced.derived,
        where="" if at is None else f"{at:#x}",
        wanted=() if "ESR_EL3" in stated else ("the syndrome: the line `esr_el3 = ...`",),
    )


GRAMMAR: Final = Grammar(
    signs=("Exception in EL3.", "Unhandled Exception from lower EL.", "PANIC in EL3."),
    begins=(("died",),),
    lines=_LINES,
    ends=re.compile(r"^NOTICE:  BL\d+: |^l2merrsr_el1\b|^INFO:"),
    crash=crash,
)


def _unread(facts: CrashFacts, why: str) -> Crash:
    return Crash(_SYSTEM, facts.line, facts.title, unread=why)

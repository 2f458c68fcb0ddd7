"""What Linux prints on AArch64 when it dies, or when a process does: `Unable to handle ...`, `Internal error: ...`.

Source: Linux, `arch/arm64/mm/fault.c` (die_kernel_fault, mem_abort_decode), `arch/arm64/kernel/traps.c` (die,
arm64_show_signal, arm64_serror_panic) and `arch/arm64/kernel/process.c` (__show_regs), of 3.x to 6.12.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from gdbtools.addresses import VA
from gdbtools.arch.aarch64.registers.hypervisor import HCR_EL2
from gdbtools.arch.aarch64.registers.processor_state import SPSR
from gdbtools.arch.aarch64.syndrome import decode
from gdbtools.arch.model import Assumption, Derived
from gdbtools.systems.crash import Crash, CrashFacts, Grammar
from gdbtools.systems.linux.crashes.aarch64.tables import LINES_OF_TABLES, PrintedTables, printed

_LINES: Final = {
    # What happened, in the order in which a kernel says it.
    "fault": re.compile(r"\bUnable to handle (kernel .*?) at (?:virtual )?address ([0-9a-f]{8,16})\b"),
    "unhandled fault": re.compile(r"\bUnhandled fault: (.*?) \(0x([0-9a-f]{8,16})\) at 0x([0-9a-f]{8,16})\b"),
    "process": re.compile(r"(\S+\[\d+\]): unhandled (.+), (?:ESR|esr) 0x([0-9a-f]{8,16})\b"),
    "serror": re.compile(r"\bSError Interrupt on CPU(\d+), code (?:0x)?([0-9a-f]{8,16})\b"),
    "error": re.compile(r"\bInternal error: (.*?): ([0-9a-f]{8,16}) \[#\d+\]"),
    # And what is around it.
    "address of a process": re.compile(r"\bunhandled .* \(\d+\) at 0x([0-9a-f]{8,16})\b"),
    "esr": re.compile(r"\bESR = (?:0x)?([0-9a-f]{8,16})\b"),
    **LINES_OF_TABLES,
    "pstate": re.compile(r"\bpstate ?: ([0-9a-f]{8,16})\b"),
    "pc": re.compile(r"\bpc ?: (\S+)"),
    "lr": re.compile(r"\blr ?: \[?<?([0-9a-f]{16})\b"),
    "sp": re.compile(r"\bsp ?: ([0-9a-f]{16})\b"),
    "general": re.compile(r"\bx([12]?\d) ?: ([0-9a-f]{16})\b"),
    "release": re.compile(r"\bPID: \d+ Comm: .* (\d+\.\d+\.\d\S*) #"),
    "no tables": re.compile(
        r"\] (address between user and kernel address ranges|user address but active_mm is swapper)"
    ),
    # Of another architecture's Linux, which begins with the same words.
    "riscv": re.compile(r"\bepc ?: |\bbadaddr: |\bCurrent .{1,20} pgtable: "),
    "arm32": re.compile(r"\[[0-9a-f]{8}\] \*pgd=[0-9a-f]{8}\b|\br10: [0-9a-f]{8}\b|\bFlags: [nN][zZ]"),
}
_SYNDROMES: Final = {"esr": 0, "unhandled fault": 1, "process": 2, "serror": 1, "error": 1}
"""The lines that have the syndrome, each with the group that it is in; the first is taken."""
_ADDRESSES: Final = {"fault": 1, "unhandled fault": 2, "address of a process": 0}
_SAID_BY: Final = {"esr": "the line ESR", "error": "Internal error"}
_NUMBER: Final = re.compile(r"(?:\[<|0x)?([0-9a-f]{16})(?:>\])?")


def crash(facts: CrashFacts) -> Crash | None:
    """Return what the lines of a crash come to; None where they have neither a syndrome nor tables."""
    if facts.all("riscv"):
        return None
    syndromes = {name: value for name, group in _SYNDROMES.items() if (value := facts.number(name, group))}
    if facts.all("arm32") and "esr" not in syndromes:
        return Crash("Linux on 32-bit Arm", facts.line, facts.title, unread="its registers and tables are not read yet")
    syndrome = next(iter(syndromes.values()), None)
    if syndrome is None and not facts.all("entries"):
        return None
    named = (facts.number(name, group) for name, group in _ADDRESSES.items())
    address = next((VA(each) for each in named if each is not None), None)
    taken = _taken(facts)
    tables = printed(facts, taken.suffix, address, taken.values)
    at = facts.first("pc")
    return Crash(
        system="Linux on AArch64",
        line=facts.line,
        title=facts.title,
        architecture="aarch64",
        stated=_stated(facts, taken.suffix, syndrome, address),
        deduced=Derived({**taken.values, **tables.values}, (*taken.assumed, *tables.assumed)),
        descriptors=tables.descriptors,
        where="" if at is None else at[0],
        doubts=(*_differing(syndromes), *tables.doubts),
        wanted=tuple(_wanted(syndrome, address, tables, facts)),
    )


GRAMMAR: Final = Grammar(
    signs=("Unable to handle", "Unhandled fault: ", ": unhandled ", "SError Interrupt on CPU", "Internal error: "),
    begins=(("fault", "unhandled fault", "serror", "error"), ("process",)),
    lines=_LINES,
    ends=re.compile(r"---\[ end (?:trace|Kernel panic)"),
    crash=crash,
)


@dataclass(frozen=True)
class _Taken:
    """The level that took the exception, as its registers' names end, and what that rests on."""

    suffix: str
    values: dict[str, int] = field(default_factory=dict)
    assumed: tuple[Assumption, ...] = ()


def _taken(facts: CrashFacts) -> _Taken:
    """Return who took it: a kernel's own faults are taken where it runs, and a process's state does not say where."""
    state = facts.number("pstate")
    el = None if state is None else SPSR(state).el
    if state is not None and el == 2:
        values = {"HCR_EL2": int(HCR_EL2(0).with_(E2H=1, TGE=1)), "cpsr": state}
        said = Assumption("HCR_EL2", "HCR_EL2: E2H=1, TGE=1, because the kernel runs at EL2")
        return _Taken("EL2", values, (said,))
    if el == 1:
        return _Taken("EL1")
    why = "there is no pstate" if el is None else "a process's pstate does not say where the kernel runs"
    return _Taken("EL1", assumed=(Assumption("", f"the exception was taken to EL1: {why}"),))


def _differing(syndromes: dict[str, int]) -> list[str]:
    """Return what the lines that have the syndrome say against one another."""
    (first, value), *others = syndromes.items() if syndromes else [("", 0)]
    return [
        f"{_SAID_BY.get(first, 'one line')} has {value:#x}, and {_SAID_BY.get(name, 'another')} has {other:#x}"
        for name, other in others
        if other != value
    ]


def _stated(facts: CrashFacts, suffix: str, syndrome: int | None, address: VA | None) -> dict[str, int]:
    """Return the registers that are in the log; where the syndrome denies its address, that is left out."""
    at = facts.first("pc")
    pc = None if at is None else _NUMBER.fullmatch(at[0])
    valid = syndrome is None or decode(syndrome).address_valid
    special = {
        "x30": facts.number("lr"),
        "sp": facts.number("sp"),
        f"ESR_{suffix}": syndrome,
        f"FAR_{suffix}": address if valid else None,
        f"SPSR_{suffix}": facts.number("pstate"),
        f"ELR_{suffix}": None if pc is None else int(pc[1], 16),
    }
    general = {f"x{number}": int(value, 16) for number, value in facts.all("general")}
    return general | {name: value for name, value in special.items() if value is not None}


def _wanted(syndrome: int | None, address: VA | None, tables: PrintedTables, facts: CrashFacts) -> list[str]:
    """Return what else an answer would need, and which line has it."""
    if syndrome is None:
        return ["the syndrome: the line `ESR = ...`, or `Internal error: ...`"]
    decoded = decode(syndrome)
    if decoded.fault is None or not decoded.address_valid:
        return []
    of_process = bool(facts.all("process"))
    wanted = []
    if address is None:
        why = ", which this kernel does not print for a process" if of_process else ""
        wanted.append(f"the fault address{why}")
    if facts.all("no tables"):
        # The kernel looked for none, and said why.
        return wanted
    if not tables.registers:
        why = "of its own faults only" if of_process else "right behind the fault, if it is not an old one"
        wanted.append(f"the line `... pgtable: ...`, which a kernel prints {why}")
    elif not tables.entries:
        wanted.append("the line `[...] pgd=...`, which comes right behind the pgtable line")
    return wanted

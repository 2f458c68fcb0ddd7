"""What Linux prints on AArch64 when it dies, or when a process does: `Unable to handle ...`, `Internal error: ...`.

Source: Linux, `arch/arm64/mm/fault.c` (die_kernel_fault, mem_abort_decode), `arch/arm64/kernel/traps.c` (die,
arm64_show_signal, arm64_serror_panic) and `arch/arm64/kernel/process.c` (__show_regs), of 3.x to 6.12.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from gdbtools.addresses import VA
from gdbtools.arch.aarch64.instructions.gadgets import INSTRUCTION_BYTES
from gdbtools.arch.aarch64.registers.hypervisor import HCR_EL2
from gdbtools.arch.aarch64.registers.processor_state import SPSR
from gdbtools.arch.aarch64.syndrome import decode
from gdbtools.arch.model import Assumption, Derived
from gdbtools.systems.crash import Crash, CrashFacts, Grammar, mixed, slide
from gdbtools.systems.linux.crashes.aarch64.tables import LINES_OF_TABLES, PrintedTables, printed
from gdbtools.systems.linux.crashes.lines import (
    AFTER,
    ENDS,
    LINE_OF_CPU,
    LINE_OF_KASAN,
    LINE_OF_RELEASE,
    LINE_OF_STACK,
    claims,
)

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
    "pc": re.compile(r"\bpc ?: (?!lr\b)(\S+)"),
    "pc is at": re.compile(r"^(?:PC|pc) is at (\S+)"),
    "lr": re.compile(r"\blr ?: \[?<?([0-9a-f]{16})\b"),
    "sp": re.compile(r"\bsp ?: ([0-9a-f]{16})\b"),
    "general": re.compile(r"\bx([12]?\d) ?: ([0-9a-f]{16})\b"),
    "cpu": LINE_OF_CPU,
    "kasan": LINE_OF_KASAN,
    "stack": LINE_OF_STACK,
    "code": re.compile(r"\bCode: ((?:[0-9a-f]{8} )*)\(([0-9a-f]{8})\)"),
    "level": re.compile(r"\bFSC = 0x([0-9a-f]{1,2}): (.+)"),
    "release": LINE_OF_RELEASE,
    "no tables": re.compile(
        r"\] (address between user and kernel address ranges|user address but active_mm is swapper)"
    ),
    # Of another architecture's Linux, which begins with the same words.
    "riscv": re.compile(r"\bepc ?: |\bbadaddr: |\bCurrent .{1,20} pgtable: "),
    "arm32": re.compile(r"\[[0-9a-f]{8}\] \*pgd=[0-9a-f]{8}\b|\br10: [0-9a-f]{8}\b|\bFlags: [nN][zZ]"),
}
_FAULTS: Final = re.compile(r"Unable to handle ")
_TORN: Final = re.compile(
    r"\bESR = (?!(?:0x)?[0-9a-f]{8,16}\b)|\bpgtable: (?!\d+k pages, \d+-bit VAs, pgdp ?=)"
    r"|\bp(?:gd|4d|ud|md|te)=(?![0-9a-f]{16}\b)|\bpstate: (?![0-9a-f]{8,16}\b)"
)
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
        # Words in a sentence of somebody's are no crash.
        alone = "only its first line is there, and every architecture has that; what is behind it has the syndrome"
        return Crash("Linux", facts.line, facts.title, unread=alone) if _FAULTS.match(facts.title) else None
    named = (facts.number(name, group) for name, group in _ADDRESSES.items())
    address = next((VA(each) for each in named if each is not None), None)
    taken = _taken(facts)
    tables = printed(facts, taken.suffix, address, taken.values)
    return Crash(
        system="Linux on AArch64",
        line=facts.line,
        title=facts.title,
        architecture="aarch64",
        stated=_stated(facts, taken.suffix, syndrome, address),
        deduced=Derived({**taken.values, **tables.values}, (*taken.assumed, *tables.assumed)),
        descriptors=tables.descriptors,
        where=_place(facts),
        pc=f"ELR_{taken.suffix}",
        address=address,
        code=_code(facts, 1),
        code_before=_code(facts, 0),
        claims=claims(facts),
        release=(facts.first("release") or ("",))[0],
        slide=slide(facts),
        doubts=(*_differing(syndromes), *_denied(facts, syndrome), *tables.doubts, *mixed(facts)),
        wanted=tuple(_wanted(syndrome, address, tables, facts)),
    )


GRAMMAR: Final = Grammar(
    signs=(
        "Unable to handle",
        "Unhandled fault: ",
        ": unhandled ",
        "SError Interrupt on CPU",
        "Internal error: ",
        "ESR = ",
        " pgtable: ",
    ),
    # A text may begin in the middle of one.
    begins=(("fault", "unhandled fault", "serror", "esr", "pgtable", "error"), ("process",)),
    lines=_LINES,
    ends=ENDS,
    crash=crash,
    torn=_TORN,
    after=AFTER,
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


def _denied(facts: CrashFacts, syndrome: int | None) -> list[str]:
    """Return what the decoded status has against the syndrome that it was decoded from."""
    said, status = facts.first("level"), facts.number("level")
    if syndrome is None or said is None or status is None or status == decode(syndrome).status:
        return []
    return [f"FSC is said to be {status:#x}, {said[1].strip()}, and the syndrome is {syndrome:#x}"]


def _place(facts: CrashFacts) -> str:
    """Return where the code was: by its symbol, which older kernels have in a line of its own."""
    at = facts.first("pc is at") or facts.first("pc")
    return "" if at is None else at[0]


def _code(facts: CrashFacts, group: int) -> bytes:
    """Return the instruction in parentheses, or those that stand before it."""
    said = facts.first("code")
    words = [] if said is None else said[group].split()
    return b"".join(int(word, 16).to_bytes(INSTRUCTION_BYTES, "little") for word in words)


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

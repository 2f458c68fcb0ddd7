"""What Linux prints on RISC-V when it dies, or when a process does: `Unable to handle ...`, `status: badaddr: cause:`.

    Current init pgtable: 4K pagesize, 48-bit VAs, pgdp=0x0000000083a46000
    [0000000000000010] pgd=0000000020e91401, p4d=0000000020e91401, pud=0000000020e7e001, pmd=0000000000000000
    status: 0000000200000120 badaddr: 0000000000000010 cause: 000000000000000f

The two lines of tables are not printed by 6.12, and are by 7.2; of a process's fault, by neither.  Before 5.5 registers
have an s before their names.

Source: Linux, `arch/riscv/mm/fault.c` (die_kernel_fault, show_pte), `arch/riscv/kernel/traps.c` (die, do_trap) and
`arch/riscv/kernel/process.c` (__show_regs).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from gdbtools.addresses import PA, VA
from gdbtools.arch.model import written_down
from gdbtools.arch.riscv.registers.status import PRIV
from gdbtools.arch.riscv.registers.translation import PAGE, SATP64
from gdbtools.arch.riscv.syndrome import decode
from gdbtools.arch.riscv.tables.geometry import SCHEMES
from gdbtools.arch.riscv.translation import regimes
from gdbtools.systems.crash import Crash, CrashFacts, Deduction, Grammar, followed, mixed, slide
from gdbtools.systems.linux.crashes.entries import LINES_OF_ENTRIES, behind_the_end, printed_entries, unfolded
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
    "fault": re.compile(r"\bUnable to handle (kernel .*?) at virtual address ([0-9a-f]{8,16})\b"),
    "died": re.compile(r"^(Oops(?: - .*?)?|Kernel BUG) \[#\d+\]"),
    "process": re.compile(r"(\S+\[\d+\]): unhandled signal \d+ code 0x[0-9a-f]+ at 0x([0-9a-f]{8,16})\b"),
    "pgtable": re.compile(
        r"\bCurrent (.{1,20}?) pgtable: (\d{1,3})K pagesize, (\d{1,3})-bit VAs, pgdp=0x([0-9a-f]{1,16})\b"
    ),
    **LINES_OF_ENTRIES,
    "cpu": LINE_OF_CPU,
    "release": LINE_OF_RELEASE,
    "kasan": LINE_OF_KASAN,
    "stack": LINE_OF_STACK,
    "code": re.compile(r"\bCode: ((?:[0-9a-f]{4} )*)\(([0-9a-f]{4})\)((?: [0-9a-f]{4})*)"),
    "epc": re.compile(r"\bs?epc ?: ([0-9a-f]{8,16})\b"),
    "symbol": re.compile(r"\bepc ?: ([^\s0-9]\S*\+0x\S+)"),
    "general": re.compile(r"\b(ra|[sgt]p|t[0-6]|s1?\d|a[0-7]) ?: ([0-9a-f]{16})\b"),
    "status": re.compile(r"\bs?status: ([0-9a-f]{8,16}) s?badaddr: ([0-9a-f]{8,16}) s?cause: ([0-9a-f]{8,16})\b"),
}
_BITS: Final = 64
_MODES: Final = {scheme.input_bits: mode for mode, scheme in SCHEMES[_BITS].items()}
_SUPERVISOR: Final = {"priv": int(PRIV(0).with_(prv=1)), "virt": 0}
_OTHERWISE: Final = {"s0": "fp"}


def crash(facts: CrashFacts) -> Crash | None:
    """Return what the lines of a crash come to; None where nothing of them is RISC-V's."""
    if not any(facts.all(name) for name in ("died", "process", "pgtable", "epc", "status")):
        return None
    if any(len(value) < _BITS // 4 for (value,) in facts.all("epc")):
        return Crash("Linux on 32-bit RISC-V", facts.line, facts.title, unread="its registers are not read yet")
    deduced = Deduction(dict(_SUPERVISOR))
    deduced.say("priv", "priv=1, virt=0: the kernel runs in S-mode; of VS-mode, a guest's, its lines would be the same")
    stated = _stated(facts, deduced)
    address = stated.get("stval")
    tables = _satp(facts, deduced)
    descriptors = _placed({**deduced.values, **stated}, VA(address or 0), facts, deduced) if tables else {}
    at = facts.first("symbol") or facts.first("epc")
    return Crash(
        system="Linux on RISC-V",
        line=facts.line,
        title=facts.title,
        architecture="riscv64",
        stated=stated,
        deduced=deduced.derived,
        descriptors=descriptors,
        where="" if at is None else at[0],
        pc="sepc",
        address=None if address is None else VA(address),
        code=_code(facts, 1, 2),
        code_before=_code(facts, 0),
        claims=claims(facts),
        release=(facts.first("release") or ("",))[0],
        slide=slide(facts),
        doubts=(*deduced.doubts, *mixed(facts)),
        wanted=tuple(_wanted(stated, tables, facts)),
    )


GRAMMAR: Final = Grammar(
    signs=("Unable to handle", ": unhandled signal ", "Oops [#", "Oops - ", "Kernel BUG [#"),
    begins=(("fault", "died"), ("process",)),
    lines=_LINES,
    ends=ENDS,
    crash=crash,
    after=AFTER,
)


def _code(facts: CrashFacts, *groups: int) -> bytes:
    """Return the parcels of two bytes from the marked one on, or those before it."""
    said = facts.first("code")
    parcels = [] if said is None else " ".join(said[group] for group in groups).split()
    return b"".join(int(parcel, 16).to_bytes(2, "little") for parcel in parcels)


def _stated(facts: CrashFacts, deduced: Deduction) -> dict[str, int]:
    """Return the registers of the crash: the first of each name, for those of a system call may come behind them."""
    stated: dict[str, int] = {}
    for name, digits in facts.all("general"):
        stated.setdefault(_OTHERWISE.get(name, name), int(digits, 16))
    numbers = {"sepc": facts.number("epc"), "scause": facts.number("status", 2), "sstatus": facts.number("status")}
    stated |= {name: number for name, number in numbers.items() if number is not None}
    named = facts.number("fault" if facts.all("fault") else "process", 1)
    value = facts.number("status", 1)
    if named is not None and value is not None and named != value:
        deduced.doubts.append(f"the fault is of {named:#x}, and badaddr has {value:#x}")
    if value is not None:
        stated["stval"] = value
    elif named is not None:
        deduced.assume("stval", named, "the address that the log names")
    return stated


def _satp(facts: CrashFacts, deduced: Deduction) -> bool:
    """Deduce satp of what the pgtable line says; return whether there is a root."""
    said = facts.first("pgtable")
    if said is None:
        return False
    mode, root = _MODES.get(int(said[2])), int(said[3], 16)
    if mode is None or int(said[1]) << 10 != PAGE:
        deduced.doubts.append(f"{said[1]}K pages with {said[2]}-bit addresses are none of RISC-V's")
        return False
    try:
        satp = SATP64(0).with_(MODE=mode, PPN=root // PAGE)
    except ValueError:
        satp = SATP64(0)
    if satp.root != root:
        deduced.doubts.append(f"pgdp={root:#x} is where no root can be")
        return False
    deduced.assume("satp", int(satp), f"by pgdp, the root of the tables of {said[0]}, at which Linux looked; ASID=0")
    return True


def _placed(values: Mapping[str, int], address: VA, facts: CrashFacts, deduced: Deduction) -> Mapping[PA, int]:
    """Return where the entries lie that were printed on the way to the address."""
    entries = printed_entries(facts, address)
    if entries is None:
        return {}
    if entries.address != address:
        deduced.doubts.append(f"the entries are of {entries.address:#x}, and the fault is of {address:#x}")
    regime = regimes.regime(written_down(values), _BITS, regimes.SUPERVISOR)
    try:
        descriptors = unfolded(entries.named, len(regime.levels))
    except ValueError as why:
        deduced.doubts.append(str(why))
        return {}
    placed, left = followed(regime, entries.address, descriptors)
    deduced.doubts += behind_the_end(left)
    return placed


def _wanted(stated: Mapping[str, int], tables: bool, facts: CrashFacts) -> list[str]:
    """Return what else an answer would need, and which line has it."""
    cause = stated.get("scause")
    if cause is None:
        return ["the trap's cause: the line `status: ... badaddr: ... cause: ...`"]
    if decode(cause, _BITS).fault is None:
        return []
    if not tables:
        whose = "a kernel prints of its own faults only" if facts.all("process") else "kernels newer than 6.12 print"
        return [f"the line `Current ... pgtable: ...`, which {whose}; or a dump"]
    return [] if facts.all("entries") else ["the line `[...] pgd=...`, which comes right behind the pgtable line"]

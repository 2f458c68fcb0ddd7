"""Record crash logs of a real Linux for riscv64, each beside a capture of the moment of its fault.

    python -m tests.guests.riscv.crash_logs [NAME...]

As `tests.guests.crash_logs` does it: SysRq's handler is sent to the kernel's own memset, or to a place that it may not
execute, and the capture is taken where the hart takes the trap.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gdbtools.children.mi import Gdb
from gdbtools.children.processes import find_gdb
from tests.guests.crash_logs import HANDLER, STORE, Symbols, program, record, symbols
from tests.guests.packages import kernel
from tests.guests.riscv.linux import COMMAND_LINES, RiscvLinux
from tests.live.session import INIT, INSIDE, Session

TOOLS: Final = "riscv64-linux-gnu-"
NOWHERE: Final = 0x12_3456_7890
PROGRAM: Final = f"""
.global _start
_start:
    li a1, {NOWHERE:#x}
    .global faults
faults:
    ld a0, 0(a1)
"""
"""A process that reads where nothing is mapped."""
SHELL: Final = "the shell's text"


@dataclass(frozen=True)
class Crash:
    """A crash: the kernel, the scheme of its tables, and where it is made to write, or to go; None: a process's."""

    kernel: str
    scheme: str
    to: Callable[[Symbols, Session], int] | None = None
    executes: bool = False


NEW, OLD = "7-riscv64", "6.12-riscv64"
CRASHES: Final[Mapping[str, Crash]] = {
    "linux-7.2-riscv-null-write": Crash(NEW, "Sv48", lambda *_: 0x10),
    "linux-7.2-riscv-user": Crash(NEW, "Sv57", lambda known, _: known[SHELL]),
    "linux-7.2-riscv-read-only": Crash(NEW, "Sv39", lambda known, _: known[HANDLER]),
    "linux-7.2-riscv-execute": Crash(NEW, "Sv39", lambda _, session: session.value("$sp"), executes=True),
    "linux-7.2-riscv-process": Crash(NEW, "Sv39"),
    "linux-6.12-riscv-null-write": Crash(OLD, "Sv57", lambda *_: 0x10),
    "linux-6.12-riscv-process": Crash(OLD, "Sv57"),
}


def _kernel(crash: Crash, known: Symbols, session: Session) -> None:
    assert crash.to is not None, "a kernel's crash"
    session.say(f"hbreak *{known[HANDLER]:#x}")
    session.say("continue")
    to = crash.to(known, session)
    session.say("delete")
    if crash.executes:
        session.set_registers(pc=to)
    else:
        session.set_registers(a0=to, a1=0, a2=8, pc=next(known[each] for each in (STORE, "__memset") if each in known))
    _go_on_to_its_trap(to, session)


def _process(faults: int, session: Session) -> None:
    session.say(f"hbreak *{faults:#x}")
    session.say("continue")
    session.say("delete")
    _go_on_to_its_trap(NOWHERE, session)


def _go_on_to_its_trap(va: int, session: Session) -> None:
    """Go on to where the trap with that address is taken: interrupts, which have none, are taken there too."""
    session.say("hbreak *$stvec")
    session.say("continue")
    while session.value("$stval") != va:
        session.say("continue")


def main(names: list[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="gdbtools-logs-") as folder:
        made, faults = program(Path(folder), PROGRAM, TOOLS)
        for name in names or CRASHES:
            crash = CRASHES[name]
            append = COMMAND_LINES[crash.scheme]
            guest = RiscvLinux(kernel(crash.kernel), append=append, programs=(made,))
            with guest, Gdb(find_gdb(""), INIT) as gdb:
                session = Session(gdb)
                session.say(f"source {INSIDE}")
                known = {**symbols(guest), SHELL: int(guest.run("head -n 1 /proc/$$/maps").split("-")[0], 16)}
                stop = lambda c=crash, k=known, s=session: _kernel(c, k, s)  # noqa: E731
                if crash.to is None:
                    stop = lambda s=session: _process(faults, s)  # noqa: E731
                record(guest, session, name, stop, "echo c > /proc/sysrq-trigger" if crash.to else "faulting")


if __name__ == "__main__":
    main(sys.argv[1:])

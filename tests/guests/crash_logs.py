"""Record crash logs of a real Linux, each beside a capture of the moment of its fault.

    python -m tests.guests.crash_logs [NAME...]

SysRq's handler is stopped at its first instruction and sent to the kernel's own memset, with a destination of ours: the
store faults, a capture is taken at the vector entry, and the kernel says of it what it says on its console.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gdbtools.children.mi import Gdb
from gdbtools.children.processes import find_gdb
from tests.guests.linux import LinuxGuest
from tests.guests.test_linux import Shape
from tests.live.session import INIT, INSIDE, Session
from tests.places import ROOT

LOGS: Final = ROOT / "fixtures/logs"
FROM_KERNEL, FROM_USER = 0x200, 0x400
"""Where exceptions are taken that come from the kernel itself, and from a process."""
HANDLER, STORE = "sysrq_handle_crash", "__pi_memset"
COMPILER: Final = "aarch64-linux-gnu-gcc"
PROGRAM: Final = """
.global _start
_start:
    mov x1, #0x1234
    movk x1, #0x7f, lsl #32
    .global faults
faults:
    ldr x0, [x1]
"""
"""A process that reads where nothing is mapped."""
Symbols = Mapping[str, int]


@dataclass(frozen=True)
class Crash:
    """A crash: the guest, and where the kernel is made to write, or to go."""

    shape: Shape
    to: Callable[[Symbols, Session], int]
    executes: bool = False


def _stack(_: Symbols, session: Session) -> int:
    return session.value("$sp")


BOOKWORM, TRIXIE, LARGE, SMALL = (
    Shape("6.1-4k", "cortex-a57"),
    Shape("6.12-4k", "max"),
    Shape("6.12-16k", "neoverse-n1"),
    Shape("4k-39", "cortex-a57"),
)
CRASHES: Final[Mapping[str, Crash]] = {
    "linux-6.1-null-write": Crash(BOOKWORM, lambda *_: 0x10),
    "linux-6.1-unmapped": Crash(BOOKWORM, lambda *_: 0xFFFF_8000_4000_1000),
    "linux-6.1-read-only": Crash(BOOKWORM, lambda symbols, _: symbols[HANDLER]),
    "linux-6.1-execute": Crash(BOOKWORM, _stack, executes=True),
    "linux-6.12-null-write": Crash(TRIXIE, lambda *_: 0x10),
    "linux-6.12-read-only": Crash(TRIXIE, lambda symbols, _: symbols[HANDLER]),
    "linux-6.12-16k-unmapped": Crash(LARGE, lambda *_: 0xFFFF_8000_4000_1000),
    "linux-6.12-16k-read-only": Crash(LARGE, lambda symbols, _: symbols[HANDLER]),
    "linux-39-bits-null-write": Crash(SMALL, lambda *_: 0x10),
    "linux-39-bits-read-only": Crash(SMALL, lambda symbols, _: symbols[HANDLER]),
}
OF_A_PROCESS: Final = {"linux-6.1-process": BOOKWORM, "linux-6.12-16k-process": LARGE}


def symbols(guest: LinuxGuest) -> Symbols:
    """Return where the guest's kernel says that its functions are."""
    said = guest.run(f"grep -E ' ({HANDLER}|{STORE}|memset|__memset)$' /proc/kallsyms")
    return {line.split()[2]: int(line.split()[0], 16) for line in said.splitlines() if len(line.split()) >= 3}


def record(guest: LinuxGuest, session: Session, name: str, stop: Callable[[], None], line: str) -> None:
    """Record what a line of shell comes to: `stop` brings GDB from its beginning to the vector entry of its fault."""
    guest.run("echo 8 > /proc/sys/kernel/printk; echo 1 > /proc/sys/debug/exception-trace; dmesg -c > /dev/null")
    guest.run(f"(sleep 4; {line}) 2> /dev/null &")
    session.say(f"target remote {guest.gdbstub}")
    stop()
    (LOGS / f"{name}.core").unlink(missing_ok=True)
    said = session.say(f"mmu capture {LOGS / name}.core --tables touched")
    print(said)
    session.say("delete")
    session.say("detach")
    guest.run("sleep 6", 120)
    (LOGS / f"{name}.log").write_text(guest.run("dmesg", 120).replace("\r", "") + "\n")


def _kernel(crash: Crash, known: Symbols, session: Session) -> None:
    session.say(f"hbreak *{known[HANDLER]:#x}")
    session.say("continue")
    vector = session.value("$VBAR")
    to = crash.to(known, session)
    store = next(known[each] for each in (STORE, "__memset", "memset") if each in known)
    session.say("delete")
    if crash.executes:
        session.set_registers(pc=to)
    else:
        session.set_registers(x0=to, x1=0, x2=8, pc=store)
    session.say(f"hbreak *{vector + FROM_KERNEL:#x}")
    session.say("continue")


def _process(faults: int, session: Session) -> None:
    session.say(f"hbreak *{faults:#x}")
    session.say("continue")
    session.say("delete")
    session.say(f"hbreak *{session.value('$VBAR') + FROM_USER:#x}")
    session.say("continue")


def program(folder: Path) -> tuple[Path, int]:
    """Return a static program that faults, and where it does."""
    source, made = folder / "faulting.s", folder / "faulting"
    source.write_text(PROGRAM)
    subprocess.run([COMPILER, "-static", "-nostdlib", "-no-pie", "-o", made, source], check=True)
    said = subprocess.run(["aarch64-linux-gnu-nm", made], check=True, capture_output=True, text=True).stdout
    return made, next(int(line.split()[0], 16) for line in said.splitlines() if line.endswith(" faults"))


def main(names: list[str]) -> None:
    assert shutil.which(COMPILER), f"{COMPILER} is not installed"
    wanted = names or [*CRASHES, *OF_A_PROCESS]
    with tempfile.TemporaryDirectory(prefix="gdbtools-logs-") as folder:
        made, faults = program(Path(folder))
        for shape in (BOOKWORM, TRIXIE, LARGE, SMALL):
            crashes = [each for each in CRASHES if each in wanted and CRASHES[each].shape is shape]
            processes = [each for each in OF_A_PROCESS if each in wanted and OF_A_PROCESS[each] is shape]
            for name in (*crashes, *processes):
                guest = shape.guest()
                guest.programs = (made,)
                with guest, Gdb(find_gdb(""), INIT) as gdb:
                    session = Session(gdb)
                    session.say(f"source {INSIDE}")
                    known = symbols(guest)
                    if name in processes:
                        record(guest, session, name, lambda s=session: _process(faults, s), "faulting")
                        continue
                    crash = CRASHES[name]
                    stop = lambda c=crash, k=known, s=session: _kernel(c, k, s)  # noqa: E731
                    record(guest, session, name, stop, "echo c > /proc/sysrq-trigger")


if __name__ == "__main__":
    main(sys.argv[1:])

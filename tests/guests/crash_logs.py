"""Record crash logs of a real Linux, each beside a capture of the moment of its fault.

    python -m tests.guests.crash_logs [NAME...]

SysRq's handler is stopped at its first instruction and sent to the kernel's own memset, with a destination of ours: the
store faults, a capture is taken at the vector entry, and the kernel says of it what it says on its console.  Xen, which
has no symbols, is stopped at a trap of its dom0 and sent to a store of its own.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gdbtools.children.mi import Gdb
from gdbtools.children.processes import find_gdb
from gdbtools.errors import Unavailable
from tests.guests.linux import LinuxGuest
from tests.guests.packages import kernel
from tests.guests.test_linux import Shape
from tests.guests.x86.linux import COMMAND_LINES
from tests.guests.x86.linux import booted as x86_linux
from tests.guests.xen import XenGuest
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
XEN_CRASHES: Final[Mapping[str, tuple[int, bool]]] = {
    "xen-4.17-null-write": (0x10, False),
    "xen-4.17-read-only": (0x257000, False),
    "xen-4.17-execute": (0x2FF000, True),
}
"""Where Xen is made to write, or to go: its own text, and its own data."""
X86_CRASHES: Final[Mapping[str, int | None]] = {
    "linux-6.1-x86-null-write": 0x10,
    "linux-6.1-x86-read-only": None,
    "linux-6.1-x86-unmapped": 0xFFFF_C900_4000_1000,
}
STR_X1_X0: Final = 0xF9000001
XEN_TEXT_BYTES: Final = 0x20000
Symbols = Mapping[str, int]


@dataclass(frozen=True)
class Crash:
    """A crash: the guest, and where the kernel is made to write, or to go."""

    shape: Shape
    to: Callable[[Symbols, Session], int]
    executes: bool = False


def _stack(_: Symbols, session: Session) -> int:
    return session.value("$sp")


BOOKWORM, TRIXIE, LARGE = (
    Shape("6.1-4k", "cortex-a57"),
    Shape("6.12-4k", "max"),
    Shape("6.12-16k", "neoverse-n1"),
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
}
OF_A_PROCESS: Final = {"linux-6.1-process": BOOKWORM}


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


def record_x86(name: str, to: int | None) -> None:
    """Record what a kernel for x86-64 prints of a store; None is to its own text."""
    with x86_linux(next(iter(COMMAND_LINES))) as guest, Gdb(find_gdb(""), INIT) as gdb:
        session = Session(gdb)
        session.say(f"source {INSIDE}")
        said = guest.run(f"grep -E ' ({HANDLER}|memset_orig|asm_exc_page_fault)$' /proc/kallsyms").splitlines()
        known = {line.split()[2]: int(line.split()[0], 16) for line in said}

        def stop() -> None:
            session.say(f"hbreak *{known[HANDLER]:#x}")
            session.say("continue")
            session.say("delete")
            to_write = known[HANDLER] if to is None else to
            session.set_registers(rdi=to_write, rsi=0, rdx=8, rip=known["memset_orig"])
            session.say(f"hbreak *{known['asm_exc_page_fault']:#x}")
            session.say("continue")

        record(guest, session, name, stop, "echo c > /proc/sysrq-trigger")


def record_xen(name: str, to: int, executes: bool) -> None:
    """Record what Xen prints of a fault of its own; it ends with its panic."""
    with XenGuest(kernel("6.1-4k"), "cortex-a57") as guest, Gdb(find_gdb(""), INIT) as gdb:
        session = Session(gdb)
        session.say(f"source {INSIDE}")
        guest.run("(while :; do :; done) &")
        session.say(f"target remote {guest.gdbstub}")
        vectors = session.value("$VBAR_EL2")
        for offset in (FROM_USER, FROM_USER + 0x80):
            session.say(f"hbreak *{vectors + offset:#x}")
        session.say("continue")
        session.say("delete")
        if executes:
            session.set_registers(pc=to)
        else:
            stores = session.say(f"find /w {vectors & ~0xFFFF:#x}, +{XEN_TEXT_BYTES:#x}, {STR_X1_X0:#x}")
            session.set_registers(x0=to, x1=0, pc=int(stores.split()[0], 16))
        session.say(f"hbreak *{vectors + FROM_KERNEL:#x}")
        session.say("continue")
        (LOGS / f"{name}.core").unlink(missing_ok=True)
        print(session.say(f"mmu capture {LOGS / name}.core --tables touched"))
        session.say("delete")
        session.say("detach")
        with suppress(Unavailable):
            guest._until("(it ends before it says so)", 20)
        (LOGS / f"{name}.log").write_bytes(guest._output)


def program(folder: Path, text: str = PROGRAM, tools: str = "aarch64-linux-gnu-") -> tuple[Path, int]:
    """Return a static program, made of assembly with a label `faults`, and where that is."""
    source, made = folder / "faulting.s", folder / "faulting"
    source.write_text(text)
    subprocess.run([f"{tools}gcc", "-static", "-nostdlib", "-no-pie", "-o", made, source], check=True)
    said = subprocess.run([f"{tools}nm", made], check=True, capture_output=True, text=True).stdout
    return made, next(int(line.split()[0], 16) for line in said.splitlines() if line.endswith(" faults"))


def main(names: list[str]) -> None:
    assert shutil.which(COMPILER), f"{COMPILER} is not installed"
    wanted = names or [*CRASHES, *OF_A_PROCESS, *X86_CRASHES, *XEN_CRASHES]
    for name in [each for each in X86_CRASHES if each in wanted]:
        record_x86(name, X86_CRASHES[name])
    for name, (to, executes) in XEN_CRASHES.items():
        if name in wanted:
            record_xen(name, to, executes)
    with tempfile.TemporaryDirectory(prefix="gdbtools-logs-") as folder:
        made, faults = program(Path(folder))
        for shape in (BOOKWORM, TRIXIE, LARGE):
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

"""Record the logs of crashes that a guest of ours prints as several systems do, each beside a capture of its fault.

    python -m tests.guests.printed_crashes [NAME...]

The guests are fixtures/guests/crashes and fixtures/guests/x86/crashes: each is told which fault to make, and whose
lines to print of it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gdbtools.children.mi import Gdb
from gdbtools.children.processes import find_gdb, find_qemu
from tests.guests.crash_logs import FROM_KERNEL, FROM_USER, LOGS
from tests.guests.packages import qemu
from tests.live.session import INIT, INSIDE, Session
from tests.places import ROOT

GUEST: Final = ROOT / "fixtures/guests/crashes/crashes.elf"
FAULTS: Final = {"absent": 0, "read-only": 1, "access-flag": 2}
"""As the guest numbers them."""
X86_FAULTS: Final = {"absent": 0, "read-only": 1, "execute": 2}


@dataclass(frozen=True)
class Guest:
    """One of the two guests, as QEMU runs it: its first instruction, and where GDB captures a fault of it."""

    elf: Path
    command: Sequence[str]
    start: str
    taken: str
    faults: Mapping[str, int]


def _arm(virt: str = "virt", offset: int = FROM_KERNEL) -> Guest:
    machine = (find_qemu(), "-M", virt, "-cpu", "cortex-a57", "-m", "64")
    faults = {name: number for name, number in FAULTS.items() if offset == FROM_KERNEL or name != "read-only"}
    return Guest(GUEST, machine, "_start", f"((long)&vectors + {offset})", faults)


def _at_el2() -> Guest:
    return _arm("virt,virtualization=on")


def _from_user() -> Guest:
    """Return the guest whose process reads, and does no more."""
    return _arm(offset=FROM_USER)


def _x86() -> Guest:
    machine = (*qemu("system", "qemu-system-x86_64").command, "-M", "q35", "-cpu", "max", "-m", "64")
    return Guest(ROOT / "fixtures/guests/x86/crashes/crashes.elf", machine, "start", "(long)&page_fault", X86_FAULTS)


PRINTERS: Final[Mapping[str, tuple[int, Callable[[], Guest]]]] = {
    "osv": (0, _arm),
    "freebsd": (1, _arm),
    "solo5": (2, _arm),
    "m1n1": (3, _at_el2),
    "xnu": (4, _arm),
    "illumos": (5, _arm),
    "hafnium": (6, _at_el2),
    "sel4-kernel": (7, _arm),
    "sel4": (8, _from_user),
    "osv-x86": (0, _x86),
    "illumos-x86": (1, _x86),
}
"""By system: its number in the guest, and the guest."""


@contextmanager
def stopped(elf: Path, machine: Sequence[str], serial: Path, stub: Path) -> Iterator[Session]:
    """Run a guest that stands before its first instruction, with a GDB at it."""
    command = [*machine, "-display", "none", "-monitor", "none", "-serial", f"file:{serial}"]
    with subprocess.Popen([*command, "-S", "-gdb", f"unix:{stub},server=on,wait=off", "-kernel", elf]) as qemu:
        try:
            with Gdb(find_gdb(""), INIT) as gdb:
                session = Session(gdb)
                session.say(f"source {INSIDE}")
                while not stub.exists():
                    assert qemu.poll() is None, "QEMU has ended"
                session.attach(elf, str(stub))
                yield session
        finally:
            qemu.kill()


def capture(session: Session, name: str) -> None:
    """Write the capture that belongs to a log."""
    (LOGS / f"{name}.core").unlink(missing_ok=True)
    print(session.say(f"mmu capture {LOGS / name}.core --tables touched"))
    session.say("delete")


def record(name: str, number: int, guest: Guest, fault: str, folder: Path) -> None:
    """Record one log, and the capture at the first instruction of the handler of its fault."""
    serial, stub = folder / f"{name}.txt", folder / f"{name}.sock"
    with stopped(guest.elf, guest.command, serial, stub) as session:
        # A loader may put the guest into memory as late as its start, if that is not where it stands.
        if session.value("$pc") != session.value(f"(long)&{guest.start}"):
            session.say(f"hbreak *(long)&{guest.start}")
            session.say("continue")
            session.say("delete")
        session.say(f"set var *(unsigned long *)&fault = {guest.faults[fault]}")
        session.say(f"set var *(unsigned long *)&system = {number}")
        session.say(f"hbreak *{guest.taken}")
        session.say("continue")
        capture(session, name)
        session.say("hbreak *(long)&finished")
        session.say("continue")
    (LOGS / f"{name}.log").write_bytes(serial.read_bytes())


def main(names: list[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="gdbtools-logs-") as folder:
        for system, (number, made) in PRINTERS.items():
            guest = made()
            for fault in guest.faults:
                if not names or f"{system}-{fault}" in names:
                    record(f"{system}-{fault}", number, guest, fault, Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])

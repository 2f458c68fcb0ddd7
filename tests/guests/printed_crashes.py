"""Record the logs of crashes that a guest of ours prints as several systems do, each beside a capture of its fault.

    python -m tests.guests.printed_crashes [NAME...]

The guest is fixtures/guests/crashes: it is told which fault to make, and whose lines to print of it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gdbtools.children.mi import Gdb
from gdbtools.children.processes import find_gdb, find_qemu
from tests.guests.crash_logs import FROM_KERNEL, FROM_USER, LOGS
from tests.live.session import INIT, INSIDE, Session
from tests.places import ROOT

GUEST: Final = ROOT / "fixtures/guests/crashes/crashes.elf"
FAULTS: Final = {"absent": 0, "read-only": 1, "access-flag": 2}
"""As the guest numbers them."""


@dataclass(frozen=True)
class Printer:
    """One system's lines: its number in the guest, and where it runs and is called from."""

    number: int
    el2: bool = False
    from_user: bool = False


PRINTERS: Final[Mapping[str, Printer]] = {
    "osv": Printer(0),
    "freebsd": Printer(1),
    "solo5": Printer(2),
    "m1n1": Printer(3, el2=True),
    "xnu": Printer(4),
    "illumos": Printer(5),
    "hafnium": Printer(6, el2=True),
    "sel4-kernel": Printer(7),
    "sel4": Printer(8, from_user=True),
}


def wanted() -> Iterator[tuple[str, Printer, str]]:
    """Yield each log's name, its printer, and its fault; a process only reads."""
    for system, printer in PRINTERS.items():
        for fault in FAULTS:
            if not (printer.from_user and fault == "read-only"):
                yield f"{system}-{fault}", printer, fault


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


def record(name: str, printer: Printer, fault: str, folder: Path) -> None:
    """Record one log, and the capture at the vector entry of its fault."""
    virt = "virt,virtualization=on" if printer.el2 else "virt"
    machine = [find_qemu(), "-M", virt, "-cpu", "cortex-a57", "-m", "64"]
    serial, stub = folder / f"{name}.txt", folder / f"{name}.sock"
    with stopped(GUEST, machine, serial, stub) as session:
        session.say(f"set var *(unsigned long *)&fault = {FAULTS[fault]}")
        session.say(f"set var *(unsigned long *)&system = {printer.number}")
        offset = FROM_USER if printer.from_user else FROM_KERNEL
        session.say(f"hbreak *{session.value('(unsigned long)&vectors') + offset:#x}")
        session.say("continue")
        capture(session, name)
        session.say("hbreak finished")
        session.say("continue")
    (LOGS / f"{name}.log").write_bytes(serial.read_bytes())


def main(names: list[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="gdbtools-logs-") as folder:
        for name, printer, fault in wanted():
            if not names or name in names:
                record(name, printer, fault, Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])

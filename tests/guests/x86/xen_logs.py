"""Record crash logs of a real Xen for x86-64, each beside a capture of the moment of its fault.

    python -m tests.guests.x86.xen_logs [NAME...]

Xen itself is stopped in a page fault of its dom0, as soon as it has its own tables, and sent to a store of its own, or
to its stack.  A dom0 is stopped at its first instruction, where it has no handlers yet, and sent elsewhere.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from gdbtools.children.mi import Gdb
from gdbtools.children.processes import find_gdb
from gdbtools.errors import Unavailable
from tests.guests.crash_logs import LOGS
from tests.guests.linux import READY
from tests.guests.packages import kernel
from tests.guests.x86.xen import PvGuest, booted_pv
from tests.live.session import INIT, INSIDE, Session

PAGE_FAULT: Final = 14
XEN_TEXT: Final = 0xFFFF_82D0_4020_4000
MOV_RAX_TO_RDI: Final = "0x48, 0x89, 0x07"
STEPS: Final = 200
"""Within how many instructions of its entry Xen has left the tables of a process."""
OF_XEN: Final[Mapping[str, int | None]] = {
    "xen-4.17-x86-null-write": 0x10,
    "xen-4.17-x86-read-only": XEN_TEXT,
    "xen-4.17-x86-execute": None,
}
"""Where Xen is made to write; None has it execute its own stack."""
OF_A_GUEST: Final[Mapping[str, tuple[int, bool]]] = {
    "xen-4.17-x86-guest-write": (0x10, False),
    "xen-4.17-x86-guest-execute": (0xFFFF_8880_4000_0000, True),
}
"""Where a dom0 is made to write, or to go."""


@dataclass
class StartingGuest(PvGuest):
    """A Xen whose dom0 nobody waits for."""

    def _until(self, marker: str, seconds: float) -> str:
        return "" if marker == READY else super()._until(marker, seconds)

    def first_instruction(self) -> int:
        """Return where its dom0 begins, once Xen has said so."""
        said = self._until(r"\(XEN\) Initial low memory", 60)
        return int(re.findall(r"ENTRY ADDRESS: ([0-9a-f]+)", said)[0], 16)

    def building(self) -> None:
        """Wait until Xen is about to build its dom0."""
        self._until(r"\(XEN\) Initializing Credit2", 60)


@contextmanager
def attached(guest: PvGuest) -> Iterator[tuple[Session, int]]:
    """Yield a GDB at the guest, and where the guest's page faults are taken to."""
    guest.stop()
    found = re.search(r"IDT=\s*([0-9a-f]+)", guest.monitor("info registers"))
    guest.cont()
    assert found is not None
    with Gdb(find_gdb(""), INIT) as gdb:
        session = Session(gdb)
        session.say(f"source {INSIDE}")
        session.say("set architecture i386:x86-64")
        session.say(f"target remote {guest.gdbstub}")
        gate = int(found[1], 16) + PAGE_FAULT * 16
        low, high = (session.value(f"*(unsigned long *){gate + at:#x}") for at in (0, 8))
        yield session, low & 0xFFFF | low >> 48 << 16 | (high & 0xFFFF_FFFF) << 32


def at(session: Session, address: int) -> None:
    """Go on until the guest is there."""
    session.say(f"hbreak *{address:#x}")
    session.say("continue")
    session.say("delete")


def store(session: Session, first: int) -> int:
    """Return where, in 256 KiB from `first`, rax is stored to where rdi points."""
    return int(session.say(f"find /b {first:#x}, +0x40000, {MOV_RAX_TO_RDI}").split()[0], 16)


def capture(guest: PvGuest, session: Session, entry: int, name: str) -> None:
    """Have the guest take the fault that it is sent to, and print of it what it will."""
    at(session, entry)
    (LOGS / f"{name}.core").unlink(missing_ok=True)
    print(session.say(f"mmu capture {LOGS / name}.core --tables touched"))
    session.say("detach")
    with suppress(Unavailable):
        guest._until("(it ends before it says so)", 8)


def record_xen(name: str, to: int | None) -> None:
    with booted_pv() as guest:
        guest.run("(while :; do (true); done) &")
        with attached(guest) as (session, entry):
            at(session, entry)
            of_process = session.value("$cr3")
            for _ in range(STEPS):
                session.say("stepi")
                if session.value("$cr3") != of_process:
                    break
            if to is None:
                session.set_registers(rip=session.value("$rsp"))
            else:
                session.set_registers(rdi=to, rax=0, rip=store(session, XEN_TEXT))
            capture(guest, session, entry, name)
        said = guest._output
        (LOGS / f"{name}.log").write_bytes(said[said.index(b"(XEN) ----[ Xen-") :])


def record_guest(name: str, to: int, executes: bool) -> None:
    with StartingGuest(kernel("6.1-amd64-pv")) as guest:
        first = guest.first_instruction()
    # With XPTI the processor has a copy of the guest's root, and Xen prints of the guest's own.
    with StartingGuest(kernel("6.1-amd64-pv"), options="xpti=no") as guest:
        guest.building()
        with attached(guest) as (session, entry):
            at(session, first)
            if executes:
                session.set_registers(rip=to)
            else:
                session.set_registers(rdi=to, rax=0, rip=store(session, first & ~0xFFF))
            capture(guest, session, entry, name)
        said = guest._output
        (LOGS / f"{name}.log").write_bytes(said[said.index(b"(XEN) d0v0 Unhandled") :])


def main(names: list[str]) -> None:
    wanted = names or [*OF_XEN, *OF_A_GUEST]
    for name in [each for each in OF_XEN if each in wanted]:
        record_xen(name, OF_XEN[name])
    for name in [each for each in OF_A_GUEST if each in wanted]:
        record_guest(name, *OF_A_GUEST[name])


if __name__ == "__main__":
    main(sys.argv[1:])

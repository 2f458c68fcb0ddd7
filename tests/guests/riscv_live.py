"""A RISC-V guest of ours under a QEMU that has Svade, with GDB attached to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gdbtools.children.mi import Gdb
from gdbtools.children.processes import Qemu
from gdbtools.errors import Unavailable
from tests.guests import packages
from tests.live.session import INIT, INSIDE, Session
from tests.places import ROOT

GUESTS = ROOT / "fixtures/guests/riscv"
SVADE, SVADU = "svade=true,svadu=true", "svade=false,svadu=true"
"""A and D are software's, or hardware's, as long as nobody writes menvcfg.ADUE."""
WITH_SVADE = "bookworm-backports"
"""The suite whose QEMU is the first that knows them."""


class RiscV:
    """A guest: its QEMU, and the GDB that is attached to it."""

    def __init__(self, qemu: Qemu, session: Session) -> None:
        self.qemu = qemu
        self.session = session

    def to(self, symbol: str) -> None:
        """Run to the first instruction of a function: GDB would skip what it takes for a prologue."""
        self.session.say(f"hbreak *(long)&{symbol}")
        self.session.say("continue")
        self.session.say("delete")

    def ends(self) -> str:
        """Return what the guest printed until it ended."""
        assert self.qemu.wait(60), "the guest did not end"
        return self.qemu.output()


def guest(name: str, bits: int = 64) -> Path:
    return GUESTS / name / f"{name}{bits}.elf"


def started(name: str, bits: int, harts: int, features: str, stopped: bool, suite: str = WITH_SVADE) -> Qemu:
    """Return a guest under the QEMU of a suite of Debian; skips where there is none."""
    try:
        qemu = packages.qemu(suite, f"qemu-system-riscv{bits}")
    except Unavailable as missing:
        pytest.skip(f"no QEMU of {suite}: {missing}")
    cpu, bare = f"rv{bits},{features}", ("-bios", "none")
    return Qemu(guest(name, bits), harts, cpu, stopped, machine="virt", program=qemu.command, extra=bare)


@contextmanager
def attached(
    gdb_path: str,
    name: str,
    bits: int = 64,
    harts: int = 1,
    features: str = SVADE,
    suite: str = WITH_SVADE,
    **variables: int,
) -> Iterator[RiscV]:
    """Yield a guest at reset, with GDB attached to it, and some of its variables set otherwise."""
    with started(name, bits, harts, features, True, suite) as running, Gdb(gdb_path, INIT) as gdb:
        session = Session(gdb)
        session.attach(guest(name, bits), running.gdbstub)
        session.say(f"source {INSIDE}")
        for variable, value in {**variables, **({"harts": harts} if harts > 1 else {})}.items():
            session.say(f"set var *(int *)&{variable} = {value}")
        yield RiscV(running, session)


COUNTERS = re.compile(r"(?:cycle|time|instret|mcycle|minstret|m?hpmcounter)\w*$")


def every_register(session: Session) -> dict[str, str]:
    """Return every register that the stub has, but for what counts time."""
    lines = (line.split(maxsplit=2) for line in session.say("info registers all").splitlines())
    found = {words[0]: words[1] for words in lines if len(words) > 1}
    assert {"scause", "stval", "sepc", "sstatus", "priv", "pc", "a0", "sp"} <= set(found)
    return {name: value for name, value in found.items() if not COUNTERS.match(name)}


def alone(name: str, bits: int = 64, features: str = SVADE) -> str:
    """Return what a guest prints until it ends, with nobody attached."""
    with started(name, bits, 1, features, False) as running:
        assert running.wait(60), "the guest did not end"
        return running.output()


def by_hardware(gdb_path: str, name: str, bits: int, harts: int, **variables: int) -> str:
    """Return what a guest prints until it ends where hardware sets A and D."""
    with attached(gdb_path, name, bits, harts, SVADU, **variables) as found:
        found.session.gdb.run("continue")
        return found.ends()

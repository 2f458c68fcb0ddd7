"""Svade on a real Linux: its own handler sets A again while `mmu clear-af` clears it again and again, on four harts.

What the process computes is in its memory alone, so that what is lost of it at any time shows in the end.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

from gdbtools.arch.riscv.registers.configuration import MENVCFG
from gdbtools.arch.riscv.registers.translation import SATP64
from gdbtools.children.mi import Gdb
from gdbtools.children.processes import find_gdb
from gdbtools.errors import Unavailable
from tests.guests.linux import areas
from tests.guests.riscv.linux import RiscvLinux, booted
from tests.live.session import INIT, INSIDE, Session
from tests.places import ROOT
from tests.said import say

pytestmark = pytest.mark.guest

PROGRAM = ROOT / "fixtures/guests/riscv/linux/checksum.elf"
CPU = "rv64,svade=true,svadu=true,svvptc=false"
"""With Svvptc, Linux has all harts of a process fence for each flag that it sets: they then do little else."""
HARTS, PAGES, ROUNDS_A_LOOK, MULTIPLIER = 4, 64, 64, 0x5851F42D4C957F2D
"""As in checksum.c: a thread for each hart, with pages of its own, and one that all have in common."""
BITS = (1 << 64) - 1
USER = "0,+0x4000000000"
"""Where Linux has processes under Sv39, and this one under every scheme but for its stack."""
SEED = 15
STOPS, FULL_SECONDS = 20, 600
"""How many stops have something to clear; between two the guest may have had no time."""


def word(page: int, thread: int, steps: int) -> int:
    """Return what comes of 0 by x -> MULTIPLIER * x + page + thread, so many times."""
    factor, offset, value = MULTIPLIER, page + thread, 0
    for bit in range(steps.bit_length()):
        if steps >> bit & 1:
            value = factor * value + offset & BITS
        factor, offset = factor * factor & BITS, factor * offset + offset & BITS
    return value


def computed(thread: int, rounds: int) -> int:
    """Return what a thread's words add up to after so many rounds."""
    own = sum(word(page, thread, rounds) for page in range(PAGES))
    return own + word(PAGES, thread, rounds // ROUNDS_A_LOOK) & BITS


@pytest.fixture
def linux() -> Iterator[RiscvLinux]:
    try:
        guest = booted("Sv48", "bookworm-backports")
    except Unavailable as missing:
        pytest.skip(f"no Linux on harts with Svade: {missing}")
    svade = replace(guest, cpu=CPU, extra=("-smp", str(HARTS)), programs=(PROGRAM,))
    with svade:
        yield svade


def _minor_faults(linux: RiscvLinux, pid: int) -> int:
    return int(linux.run(f"cat /proc/{pid}/stat").rpartition(")")[2].split()[7])


def _root(session: Session) -> int:
    return int(SATP64(session.value("$satp")).PPN)


def _in_process(session: Session, linux: RiscvLinux, pid: int) -> int:
    """Return the root table of a process, by a stop at which a hart executes the text of its program."""
    (text,) = [area for area in areas(linux, pid) if "x" in area.rights and area.name.endswith(PROGRAM.stem)]
    while True:
        session.say(f"target remote {linux.gdbstub}")
        for thread in range(1, HARTS + 1):
            session.say(f"thread {thread}")
            if session.value("$priv") == 0 and text.first <= session.value("$pc") < text.end:
                root = _root(session)
                session.say("detach")
                return root
        session.say("detach")


def _cleared(session: Session, root: int) -> int:
    """Clear the flags of a process at a stop, on a hart that is in it; return how many were set."""
    for thread in range(1, HARTS + 1):
        session.say(f"thread {thread}")
        if session.value("$priv") > 1 or _root(session) != root:
            continue  # in OpenSBI, or elsewhere
        reply = session.gdb.run(f"mmu clear-af {USER} --json")
        if reply.error:
            assert reply.error.startswith("nothing to clear"), reply.error
            return 0
        answer = json.loads(reply.text)["result"]
        assert not answer["by_hardware"]
        return len(answer["changes"])
    return 0


def _emptied(session: Session) -> None:
    """Empty every hart's TLB at whichever privilege it is: QEMU does so for a watchpoint that crosses a page."""
    for way in "Zz":
        assert session.inside(f"packet('{way}2,5a5a5a5a5a5afffe,4')") == "OK"


@pytest.mark.parametrize("stops", [STOPS, pytest.param(0, marks=pytest.mark.full, id="ten minutes")])
def test_flags_cleared_again_and_again_are_set_by_the_kernel_and_nothing_is_lost(linux: RiscvLinux, stops: int) -> None:
    drawn = Random(SEED)
    linux.run(f"touch /going; {PROGRAM.stem} > /said & echo $! > /pid")
    linux.run(f"until test $(ls /proc/$!/task | wc -l) = {HARTS}; do :; done")
    pid = int(linux.run("cat /pid"))
    with Gdb(find_gdb(), INIT) as gdb:
        session = Session(gdb)
        session.say(f"source {INSIDE}")
        root = _in_process(session, linux, pid)
        faults, counts = _minor_faults(linux, pid), []
        until = time.monotonic() + FULL_SECONDS
        while sum(map(bool, counts)) < stops or (not stops and time.monotonic() < until):
            session.say(f"target remote {linux.gdbstub}")
            assert not MENVCFG.ADUE.of(session.value("$menvcfg"))
            counts.append(_cleared(session, root))
            _emptied(session)
            session.say("detach")
            time.sleep(drawn.random() / 10)
        faults = _minor_faults(linux, pid) - faults
    linux.run("rm /going; wait", 120)
    said = re.findall(r"^(\w{16}) (\w{16})$", linux.run("cat /said"), re.MULTILINE)
    rounds = [int(each, 16) for each, _ in said]
    say(f"{len(counts)} stops, {sum(counts)} flags cleared, {faults} faults of the process, {sum(rounds)} rounds")
    assert len(said) == HARTS
    assert [int(total, 16) for _, total in said] == [computed(thread, each) for thread, each in enumerate(rounds)]
    # The last of them may be clear still, and each of the others takes a fault to be set again.
    assert faults >= sum(counts[1:]) > STOPS
    complaints = linux.run("dmesg | grep -iE 'oops|bad page|unhandled signal|lockup'; true")
    assert not complaints

"""Where a busy Linux happens to be stopped: no headline contradicts the instruction at ELR, and interrupts are told.

The instruction is read by QEMU's own translation and named by binutils, so that neither is ours.
"""

from __future__ import annotations

import random
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from gdbtools.children.mi import Gdb
from gdbtools.errors import Unavailable
from tests.guests.assembly import DISASSEMBLER, disassemble
from tests.guests.linux import LinuxGuest
from tests.guests.states import FULL_RUN, SEED
from tests.guests.test_linux import Shape
from tests.live.session import INIT, INSIDE, Session
from tests.said import say

STOPS = 100 if FULL_RUN else 15
BUSY = (
    "while :; do cat /proc/self/maps > /dev/null; done",
    "while :; do dd if=/dev/zero of=/dev/null bs=64 count=5000 2> /dev/null; done",
    "while :; do :; done",
)
QUARTERS = ("current EL, SP_EL0", "current EL, SP_ELx", "lower EL, AArch64", "lower EL, AArch32")
SVC, LOWER_FETCH, LOWER_DATA, BRK = 0x15, 0x20, 0x24, 0x3C
INSTRUCTION_ABORTS, DATA_ABORTS = (LOWER_FETCH, LOWER_FETCH + 1), (LOWER_DATA, LOWER_DATA + 1)
MEMORY = re.compile(r"(ld|st|swp|cas|dc|ic|at)")

pytestmark = [
    pytest.mark.guest,
    pytest.mark.skipif(shutil.which(DISASSEMBLER) is None, reason=f"{DISASSEMBLER} is not installed"),
]


@pytest.fixture(scope="module")
def linux() -> Iterator[LinuxGuest]:
    try:
        guest = Shape("6.1-4k", "cortex-a57").guest()
    except Unavailable as missing:
        pytest.skip(str(missing))
    with guest:
        for each in BUSY:
            guest.run(f"sh -c '{each}' &")
        yield guest


@pytest.fixture
def session(gdb_path: str, linux: LinuxGuest) -> Iterator[Session]:
    with Gdb(gdb_path, INIT) as gdb:
        session = Session(gdb)
        session.say(f"source {INSIDE}")
        yield session
        gdb.run("delete")
        gdb.run("detach")


def instruction(session: Session, at: int) -> str | None:
    """Return what is at a virtual address, by QEMU's translation and in binutils' words; None if nothing is mapped."""
    reply = session.gdb.run(f"x/wx {at:#x}")
    if reply.error:
        return None
    word = int(reply.text.split()[-1], 16)
    (said,) = disassemble([word])
    return said


def contradiction(session: Session, answer: dict[str, Any]) -> str | None:
    """Return what of a headline the instruction at ELR contradicts; empty for nothing, None where nobody can tell."""
    esr, elr = int(answer["syndrome"]["value"], 16), int(answer["return_address"], 16)
    number = esr >> 26 & 0x3F
    lower = {LOWER_FETCH: True, LOWER_DATA: True, LOWER_FETCH + 1: False, LOWER_DATA + 1: False}.get(number)
    if lower is not None and lower is not (int(answer["saved_state"], 16) >> 2 & 3 == 0):
        return "SPSR has another level"
    if number in INSTRUCTION_ABORTS:
        return "" if (int(answer["address"], 16) ^ elr) >> 12 == 0 else "a fetch from elsewhere"
    said = instruction(session, elr - 4 if number == SVC else elr)
    if said is None:
        return None
    if number == SVC:
        return "" if said.startswith("svc") else f"SVC, and there is {said}"
    if number == BRK:
        return "" if said.startswith("brk") else f"BRK, and there is {said}"
    if number in DATA_ABORTS:
        way = re.match(r"(ldr|ldp|ldur)|(str|stp|stur)", said)
        wrong_way = way is not None and bool(way[2]) != bool(esr >> 6 & 1)
        return f"data abort, and there is {said}" if not MEMORY.match(said) or wrong_way else ""
    return None


def test_no_headline_of_a_random_stop_contradicts_the_instruction_at_elr(linux: LinuxGuest, session: Session) -> None:
    drawn, counted, wrong = random.Random(SEED), Counter[str](), []
    for _ in range(STOPS):
        time.sleep(drawn.uniform(0.005, 0.05))
        session.say(f"target remote {linux.gdbstub}")
        (answer,) = session.ask("fault")
        kind = answer["evidence"]["kind"]
        counted[f"EL{session.value('$cpsr') >> 2 & 3}, {kind}"] += 1
        if not answer["current"] and kind != "interrupt":
            assert answer["sentence"].startswith("last exception: "), answer["sentence"]
        against = contradiction(session, answer)
        if kind in ("fits", "not shown", "at entry") and against:
            wrong.append(f"{answer['sentence']} ({kind}): {against}")
        if kind == "contradicts" and against == "":
            wrong.append(f"{answer['sentence']}: the two do fit")
        session.say("detach")
    for each, count in sorted(counted.items()):
        say(f"stops of a busy Linux, seed {SEED}: {count:4} {each}")
    assert not wrong, "\n".join(wrong)


def sets_of_vectors(linux: LinuxGuest, session: Session) -> set[int]:
    """Return both values that VBAR_EL1 has: this kernel hides from EL0, and on the way in and out it is at EL1, too."""
    bases: set[int] = set()
    for _ in range(500):
        session.say(f"target remote {linux.gdbstub}")
        bases.add(session.value("$VBAR"))
        if len(bases) == 2:
            return bases
        session.say("detach")
        time.sleep(0.01)
    raise AssertionError(f"only {[hex(each) for each in bases]}")


def test_at_an_interrupts_vector_the_answer_says_interrupt(linux: LinuxGuest, session: Session) -> None:
    bases = sets_of_vectors(linux, session)
    # One after the other: a process that only computes leaves hardly anything to be seen from EL1.
    for offset, entry, came in ((0x280, "current EL, SP_ELx, IRQ", "EL1"), (0x480, "lower EL, AArch64, IRQ", "EL0")):
        session.say("delete")
        for base in bases:
            session.say(f"hbreak *{base + offset:#x}")
        for _ in range(3):
            session.gdb.run("continue", 60)
            (answer,) = session.ask("fault")
            assert (answer["verdict"], answer["vector_entry"]) == ("interrupt", entry), answer["sentence"]
            assert answer["sentence"].startswith(f"interrupt: IRQ taken from {came}, before 0x"), answer["sentence"]


def jump(session: Session, address: int) -> None:
    # In an outer frame, which GDB keeps selected now and then, pc cannot be set.
    session.say("select-frame 0")
    session.say(f"set $pc = {address:#x}")


def test_each_of_the_eight_interrupt_entries_is_recognized_live(linux: LinuxGuest, session: Session) -> None:
    session.say(f"target remote {linux.gdbstub}")
    pc, vbar = session.value("$pc"), session.value("$VBAR")
    try:
        for at, quarter in enumerate(QUARTERS):
            for offset, kind in ((0x80, "IRQ"), (0x100, "FIQ")):
                jump(session, vbar + 0x200 * at + offset)
                (answer,) = session.ask("fault")
                assert (answer["verdict"], answer["vector_entry"]) == ("interrupt", f"{quarter}, {kind}")
                assert answer["sentence"].startswith(f"interrupt: {kind} taken from EL")
                assert not answer["current"]
    finally:
        jump(session, pc)
    session.say("detach")
    assert linux.run("echo alive") == "alive"

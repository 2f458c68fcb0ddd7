"""Repairs and probes on a real Linux, by what its kernel and its busybox lend, while it goes on living."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from gdbtools.children.mi import Gdb
from gdbtools.children.processes import find_gdb
from gdbtools.errors import Unavailable
from gdbtools.render.json import hexadecimal
from tests.guests.linux import Area, LinuxGuest, areas
from tests.guests.test_linux import KERNEL, USER, Shape
from tests.live.session import INIT, INSIDE, Session

pytestmark = pytest.mark.guest

SHAPES = (Shape("6.1-4k", "cortex-a57"), Shape("6.1-4k", "neoverse-n1", virtualization=True))
FULL_SHAPES = (Shape("6.12-16k", "max"), Shape("6.12-4k", "max"), Shape("6.12-16k", "neoverse-n1", virtualization=True))
LOST = {"ESR", "FAR", "ELR", "SPSR"}


@pytest.fixture(
    scope="module", params=[*SHAPES, *(pytest.param(each, marks=pytest.mark.full) for each in FULL_SHAPES)], ids=str
)
def shape(request: pytest.FixtureRequest) -> Shape:
    found: Shape = request.param
    return found


@pytest.fixture(scope="module")
def linux(shape: Shape) -> Iterator[LinuxGuest]:
    try:
        guest = shape.guest()
    except Unavailable as missing:
        pytest.skip(str(missing))
    with guest:
        yield guest


@contextmanager
def stopped(guest: LinuxGuest, gdb: Gdb, el: int, stack: Area | None = None) -> Iterator[Session]:
    """Hold the guest at an exception level, where its exception registers are nobody's, and sp in `stack`."""
    session = Session(gdb)
    session.say(f"source {INSIDE}")
    for _ in range(500):
        session.say(f"target remote {guest.gdbstub}")
        cpsr = session.value("$cpsr")
        inside = stack is None or stack.first <= session.value("$sp") < stack.end
        if cpsr >> 2 & 3 == el and cpsr & 0x1C0 != 0x1C0 and inside:
            break
        session.say("detach")
        time.sleep(0.01)
    else:
        raise AssertionError(f"never seen at EL{el} with an interrupt unmasked")
    try:
        yield session
    finally:
        gdb.run("detach")


def registers(session: Session) -> dict[str, str]:
    return dict(session.inside("registers()"))


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """Return what is otherwise, but for time, and for what QEMU's stub shows besides the truth.

    CNT*_CTL says whether a timer has expired meanwhile; SP_ELx is written only when the CPU leaves the level, and
    shows an older value until then; the predicates of SVE end in bytes of QEMU's own stack (7.2).
    """
    untrue = re.compile(r"CNT.*|SP_EL.|p\d+|ffr")
    names = {name for name in before if before[name] != after[name] and not untrue.fullmatch(name)}
    return {name.rpartition("_EL")[0] or name for name in names}


@pytest.fixture
def gdb(gdb_path: str) -> Iterator[Gdb]:
    with Gdb(gdb_path, INIT) as gdb:
        yield gdb


def test_the_kernels_own_instructions_invalidate_each_scope(linux: LinuxGuest, shape: Shape, gdb: Gdb) -> None:
    with linux.process(KERNEL), stopped(linux, gdb, shape.kernel_el) as session:
        before = registers(session)
        for words, name in (("all", "VMALLE1IS"), ("0x400000", "VAE1IS"), ("asid=1", "ASIDE1IS")):
            (answer,) = session.ask(f"tlbi {words}")
            assert not answer["wider"]
            assert any(f"TLBI {name}" in each["instruction"] for each in answer["borrowed"])
        assert changed(before, registers(session)) == set()
    assert linux.run("echo alive") == "alive"


def test_linux_lives_whoever_sets_its_access_flags_and_every_register_is_as_it_was(
    linux: LinuxGuest, shape: Shape, gdb: Gdb
) -> None:
    tcr = f"TCR_EL{shape.kernel_el}"
    with linux.process(KERNEL), stopped(linux, gdb, shape.kernel_el) as session:
        before = registers(session)
        if not session.value("$ID_AA64MMFR1_EL1") & 0xF:
            assert "its hardware sets no access flags" in session.refusal("mmu hardware-af on")
            return
        # This kernel has asked for it: its own handler is to do it now.
        session.ask("hardware-af off")
        assert changed(before, registers(session)) == {"TCR"}
        asked = int(before[tcr], 0) ^ session.value(f"${tcr}")
    assert linux.run("for i in 1 2 3 4; do busybox true; done; echo alive") == "alive"
    with linux.process(KERNEL), stopped(linux, gdb, shape.kernel_el) as session:
        assert not session.value(f"${tcr}") & asked
        session.ask("undo")
        assert session.value(f"${tcr}") & asked == asked
    assert linux.run("busybox true; echo alive") == "alive"


def test_at_el0_a_page_of_the_process_is_stale_and_a_fault_is_taken_back(
    linux: LinuxGuest, shape: Shape, gdb: Gdb
) -> None:
    with linux.process(USER) as pid:
        (stack,) = [area for area in areas(linux, pid) if area.name == "[stack]"]
        va = stack.end - 0x100
        with stopped(linux, gdb, 0, stack) as session:
            before = registers(session)
            (found,) = session.ask(f"probe {va:#x} --access write")
            assert found["verdict"] == "agrees"
            session.ask(f"pte {va:#x} TYPE=0")
            (found,) = session.ask(f"probe {va:#x}")
            assert found["verdict"] == "stale"
            # A page that was never there: the fault is taken, and taken back, behind the kernel's back.
            (found,) = session.ask("probe 0x1000")
            assert found["verdict"] == "agrees"
            assert found["first"][0]["syndrome"]
            session.ask("undo")
            assert changed(before, registers(session)) <= LOST
        assert linux.run(f"kill -0 {pid} && echo alive") == "alive"


def test_in_the_kernel_a_load_of_its_own_and_a_users_page(linux: LinuxGuest, shape: Shape, gdb: Gdb) -> None:
    with linux.process(KERNEL) as pid:
        (stack,) = [area for area in areas(linux, pid) if area.name == "[stack]"]
        va = stack.end - 0x100
        with stopped(linux, gdb, shape.kernel_el) as session:
            before = registers(session)
            assert session.ask("probe $sp")[0]["verdict"] == "agrees"
            (mine,) = session.ask(f"walk {va:#x}")
            if mine["outcome"] == "mapped":
                assert session.ask(f"probe {va:#x} --unprivileged")[0]["first"][0]["done"]
                session.ask(f"pte {va:#x} TYPE=0")
                (found,) = session.ask(f"probe {va:#x} --unprivileged --tlbi")
                assert (found["verdict"], found["proved"]) == ("stale", True)
                session.ask("undo")
                assert session.ask(f"probe {va:#x} --unprivileged")[0]["first"][0]["done"]
            assert changed(before, registers(session)) <= LOST
        assert linux.run("echo alive") == "alive"


def test_linux_lives_with_cleared_flags_all_around_its_stack_while_it_is_served() -> None:
    try:
        guest, program = Shape("6.1-4k", "cortex-a57").guest(), find_gdb()
    except Unavailable as missing:
        pytest.skip(str(missing))
    with guest as linux, Gdb(program, INIT) as gdb:
        linux.run(f"sh -c {shlex.quote(KERNEL)} & echo started")
        with stopped(linux, gdb, 1) as session:
            sp, task = session.value("$sp"), session.value("$SP_EL0")
            assert "the stack of CPU 0" in session.refusal(f"mmu clear-af {sp:#x}")
            assert "as Linux's current task of CPU 0" in session.refusal(f"mmu clear-af {task:#x}")
            (cleared,) = session.ask(f"clear-af {sp - (1 << 20):#x},{sp + (1 << 20):#x} --tlbi")
            assert hexadecimal(sp & -4096) in cleared["spared"]
            assert len(cleared["changes"]) > 10
            answers: list[str] = []
            serving = Thread(target=lambda: answers.append(gdb.run("mmu service --json", 300).text))
            serving.start()
            try:
                assert [linux.run("echo alive; ls -R /proc/self > /dev/null") for _ in range(2)] == ["alive"] * 2
            finally:
                os.kill(gdb.pid, signal.SIGINT)
                serving.join()
            (line,) = [each for each in answers[0].splitlines() if each.startswith("{")]
            summary = json.loads(line)["result"]
            assert summary["ended"] == "interrupted"
            assert summary["faults"] > 0

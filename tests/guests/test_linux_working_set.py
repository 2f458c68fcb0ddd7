"""`mmu working-set` on a real Linux, beside what its kernel says of a process: /proc/PID/clear_refs and smaps."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gdbtools.children.mi import Gdb
from gdbtools.errors import Unavailable
from tests.guests.linux import Area, LinuxGuest, areas
from tests.guests.test_linux import Shape
from tests.live.session import INIT, INSIDE, Session

pytestmark = pytest.mark.guest

SHAPES = (Shape("6.1-4k", "cortex-a57"), Shape("6.12-4k", "max"))
FULL_SHAPES = (Shape("6.1-4k", "neoverse-n1", virtualization=True), Shape("6.12-16k", "max"))
ELEMENTS, HOT = 40000, 300
BUSY = (
    f'exec awk \'BEGIN {{ for (i = 0; i < {ELEMENTS}; i++) a[i] = i ""; print "full" > "/full"; close("/full");'
    f" while (1) for (i = 0; i < {HOT}; i++) x += a[i] }}'"
)
"""Has a large heap, and goes on with some of it, for ever."""
INTERVALS = (1, 4, 16, 64)
"""However slow this machine is, the loop comes round within one of these."""


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
def process(linux: LinuxGuest) -> Iterator[int]:
    """A process whose heap is full, and of which a part is used."""
    linux.run("rm -f /full")
    with linux.process(BUSY) as pid:
        linux.run("until test -s /full; do :; done", 300)
        yield pid


@pytest.fixture(scope="module")
def busy(linux: LinuxGuest) -> Iterator[int]:
    with process(linux) as pid:
        yield pid


def heap_of(linux: LinuxGuest, pid: int) -> Area:
    (heap,) = [area for area in areas(linux, pid) if area.name == "[heap]"]
    return heap


def kernel_says(linux: LinuxGuest, pid: int, what: str) -> int:
    """Return so many bytes of the heap, as /proc/PID/smaps has them."""
    said = linux.run(f"sed -n '/heap/,/VmFlags/p' /proc/{pid}/smaps")
    found = re.search(rf"^{what}: +(\d+) kB$", said, re.MULTILINE)
    assert found, said
    return int(found[1]) << 10


def used_by_kernels_account(linux: LinuxGuest, pid: int, seconds: float) -> int:
    """Return how much of the heap is referenced within some seconds after the kernel itself has cleared its flags."""
    linux.run(f"echo 1 > /proc/{pid}/clear_refs")
    time.sleep(seconds)
    return kernel_says(linux, pid, "Referenced")


@contextmanager
def in_process(linux: LinuxGuest, gdb_path: str, heap: Area, el: int) -> Iterator[Session]:
    """Hold the guest in the process's address space, at an exception level."""
    with Gdb(gdb_path, INIT) as gdb:
        session = Session(gdb)
        session.say(f"source {INSIDE}")
        for _ in range(1000):
            session.say(f"target remote {linux.gdbstub}")
            if session.value("$cpsr") >> 2 & 3 == el and session.ask(f"walk {heap.first:#x}")[0]["outcome"] == "mapped":
                break
            session.say("detach")
            time.sleep(0.01)
        else:
            raise AssertionError(f"never seen at EL{el} in the process")
        try:
            yield session
        finally:
            gdb.run("detach")


def working_set(linux: LinuxGuest, gdb_path: str, pid: int, options: str, el: int = 0) -> Any:
    heap = heap_of(linux, pid)
    with in_process(linux, gdb_path, heap, el) as session:
        (answer,) = session.ask(f"working-set {heap.first:#x},{heap.end:#x} {options}")
        assert session.ask("status")[0]["abilities"]["written so far"] == "0 descriptors"
    return answer


@pytest.mark.parametrize("by", ["", "--by flags"], ids=["as the hardware is", "by the kernel's own handler"])
def test_it_is_what_the_kernel_says_is_referenced(
    linux: LinuxGuest, shape: Shape, busy: int, gdb_path: str, by: str
) -> None:
    resident = kernel_says(linux, busy, "Rss")
    for interval in INTERVALS:
        kernels = used_by_kernels_account(linux, busy, interval)
        answer = working_set(linux, gdb_path, busy, f"--interval {interval} --samples 2 {by}")
        ours = [sample["touched"] for sample in answer["samples"]]
        if ours == [kernels] * 2:
            break
    assert ours == [kernels] * 2
    assert 0 < kernels < resident / 4
    assert [sample["resident"] for sample in answer["samples"]] == [resident] * 2
    assert answer["by_hardware"] == (shape.cpu != "cortex-a57")
    assert answer["method"] == ("flags" if by or answer["by_hardware"] else "faults")
    if answer["method"] == "faults":
        for sample in answer["samples"]:
            told = [run["by"]["el"] for run in sample["runs"] if run["by"] is not None]
            assert set(told) == {0}
            # The end of an interval may leave one fault to the kernel.
            assert len(told) >= len(sample["runs"]) - 1
    assert linux.run("echo alive") == "alive"


def test_afterwards_the_kernel_has_lost_nothing(linux: LinuxGuest, gdb_path: str) -> None:
    with process(linux) as pid:
        # Nobody has cleared anything yet: all of it is referenced, by what filled it.
        before = kernel_says(linux, pid, "Referenced")
        answer = working_set(linux, gdb_path, pid, "--interval 0.5 --samples 2")
        assert answer["restored"] > 0
        assert kernel_says(linux, pid, "Referenced") == before == kernel_says(linux, pid, "Rss")
        assert linux.run(f"kill -0 {pid} && echo alive") == "alive"


def test_a_stop_in_the_kernel_will_do(linux: LinuxGuest, shape: Shape, busy: int, gdb_path: str) -> None:
    with linux.process(f"while :; do kill -0 {busy}; done"):
        answer = working_set(linux, gdb_path, busy, "--interval 1", shape.kernel_el)
    assert answer["ended"] is None
    assert answer["touched"] > 0
    assert linux.run("echo alive") == "alive"

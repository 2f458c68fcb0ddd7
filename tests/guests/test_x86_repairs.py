"""What is tried and changed on a real Linux for x86-64 while it computes, by what its kernel lends: nothing is lost.

What the process computes is in its memory alone, so that what is lost of it at any time shows in the end.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from gdbtools.children.mi import Gdb
from gdbtools.children.processes import find_gdb
from gdbtools.errors import Unavailable
from gdbtools.machine.symbols import symbol_values
from tests.guests.test_riscv_accessed_race import HARTS as THREADS
from tests.guests.test_riscv_accessed_race import computed
from tests.guests.x86.linux import X86Linux, booted
from tests.live.session import INIT, INSIDE, Session
from tests.places import ROOT
from tests.said import say

pytestmark = pytest.mark.guest

PROGRAM = ROOT / "fixtures/guests/x86/linux/checksum.elf"
CPUS = 2
OWN_BYTES, PAGES, PAGE_BYTES = 1 << 21, 64, 4096
"""As in checksum.h: what each thread has of its own, and how much of it are pages that it computes in."""
KERNELS = 1 << 63
SEED, STOPS, FULL_SECONDS = 16, 12, 600
A, D = 0x20, 0x40


@pytest.fixture
def linux() -> Iterator[X86Linux]:
    try:
        guest = booted("4-level, PTI")
    except Unavailable as missing:
        pytest.skip(str(missing))
    with replace(guest, extra=("-smp", str(CPUS)), programs=(PROGRAM,)) as found:
        yield found


class Stop:
    """A CPU of a stopped guest, by what its user's memory is: the process's own, another's, or nobody's."""

    def __init__(self, session: Session, drawn: Random, counts: Counter[str]) -> None:
        self.session, self.drawn, self.counts = session, drawn, counts
        session.say(f"thread {drawn.randrange(CPUS) + 1}")
        self.in_user = bool(session.value("$cs") & 3)
        self.threads = symbol_values(PROGRAM)["threads"]
        self.page = self.threads + drawn.randrange(THREADS) * OWN_BYTES + drawn.randrange(PAGES) * PAGE_BYTES

    @property
    def in_process(self) -> bool:
        """Whether this root has the process's pages, which a reduced one of a kernel at its entry has too."""
        (walked,) = self.session.ask(f"walk {self.page:#x}")
        return bool(walked["outcome"] == "mapped")

    @property
    def in_reduced(self) -> bool:
        """Whether the kernel is at its entry, or about to leave, by the root that it leaves to users."""
        return not self.in_user and bool(self.session.value("$cr3") & PAGE_BYTES)

    def has_a_stack(self) -> bool:
        return self.in_user or self.session.value("$rsp") >= KERNELS

    def state(self) -> Any:
        """Everything of the CPU but the flags that hardware has set for the accesses that were made."""
        return self.session.say("monitor info registers")

    def do(self) -> None:
        before = self.state()
        try:
            if self.in_reduced:
                assert "in the reduced space in force" in self.session.refusal("mmu tlbi all")
                self.counts["refused in a reduced space"] += 1
                return
            if not self.in_user:
                self.invalidate()
            if not self.has_a_stack():
                # Between SYSCALL and the kernel's own stack a fault would be a double one.
                assert "its frame would be at" in self.session.refusal(f"mmu probe {self.page:#x}")
                self.counts["refused without a stack"] += 1
            elif self.in_process:
                self.probe()
                self.change()
        finally:
            assert self.state() == before

    def invalidate(self) -> None:
        for words, text in (("all", "mov cr4"), (f"{self.page:#x}", "invlpg")):
            (done,) = self.session.ask(f"tlbi {words}")
            assert done["borrowed"][0]["instruction"].startswith(text)
            assert done["local"]
            self.counts["invalidations"] += 1

    def probe(self) -> None:
        """By a user's own load where it runs; the kernel's has SMAP, which refuses it."""
        (asked,) = self.session.ask(f"probe {self.page + 8 * self.drawn.randrange(512):#x}")
        assert asked["verdict"] == "agrees"
        assert asked["first"][0]["done"] is self.in_user
        (asked,) = self.session.ask("probe 0x1000")
        assert asked["verdict"] == "agrees"
        assert not asked["first"][0]["done"], "nothing is there"
        self.counts["probes"] += 2
        self.counts["faults taken back"] += 1 if self.in_user else 2

    def change(self) -> None:
        """Take a page away, see that it is away, and give it back, before anybody runs."""
        tlbi = "" if self.in_user else " --tlbi"
        self.session.ask(f"pte {self.page:#x} P=0{tlbi}")
        if self.in_user:
            self.session.say("mmu tlbi --outside")
        (asked,) = self.session.ask(f"probe {self.page:#x}")
        assert not asked["first"][0]["done"]
        assert asked["verdict"] == "agrees"
        self.session.ask("undo")
        assert self.in_process
        self.counts["changes undone"] += 1


def sampled(session: Session, drawn: Random, counts: Counter[str], threads: int) -> None:
    """Have the flags of all that is computed in cleared, and see that hardware sets them again."""
    for cpu in range(1, CPUS + 1):
        session.say(f"thread {cpu}")
        (walked,) = session.ask(f"walk {threads:#x}")
        if walked["outcome"] == "mapped":
            first = f"{threads:#x},+{THREADS * OWN_BYTES:#x}"
            (found,) = session.ask(f"working-set {first} --interval {0.05 + drawn.random() / 10:.3f}")
            assert found["by_hardware"]
            counts["samples"] += 1
            counts["bytes touched"] += sum(each["touched"] for each in found["samples"])
            return


@pytest.mark.parametrize("stops", [STOPS, pytest.param(0, marks=pytest.mark.full, id="ten minutes")])
def test_what_is_tried_changed_and_cleared_while_it_computes_loses_nothing(linux: X86Linux, stops: int) -> None:
    drawn, counts = Random(SEED), Counter[str]()
    threads = symbol_values(PROGRAM)["threads"]
    linux.run(f"touch /going; {PROGRAM.stem} > /said & echo $! > /pid")
    linux.run(f"until test $(ls /proc/$!/task | wc -l) = {THREADS}; do :; done")
    with Gdb(find_gdb(), INIT) as gdb:
        session = Session(gdb)
        session.say(f"source {INSIDE}")
        until = time.monotonic() + FULL_SECONDS
        while counts["changes undone"] < stops or (not stops and time.monotonic() < until):
            session.say(f"target remote {linux.gdbstub}")
            Stop(session, drawn, counts).do()
            counts["stops"] += 1
            if not counts["stops"] % 3:
                sampled(session, drawn, counts, threads)
            session.say("detach")
            time.sleep(drawn.random() / 10)
    linux.run("rm /going; wait", 120)
    said = re.findall(r"^(\w{16}) (\w{16})$", linux.run("cat /said"), re.MULTILINE)
    rounds = [int(each, 16) for each, _ in said]
    say(f"{', '.join(f'{count} {name}' for name, count in counts.items())}, {sum(rounds)} rounds")
    assert len(said) == THREADS
    assert [int(total, 16) for _, total in said] == [computed(thread, each) for thread, each in enumerate(rounds)]
    complaints = linux.run("dmesg | grep -E 'Oops|Bad page|segfault|lockup|BUG:|Corrupted'; true")
    assert not complaints
    assert {"invalidations", "probes", "faults taken back", "changes undone", "bytes touched"} <= set(+counts)

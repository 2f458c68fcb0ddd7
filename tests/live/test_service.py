"""`mmu service`: its counts, how it ends, and that Ctrl-C leaves a guest that can go on."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from gdbtools.repl.demo import CHECKSUMS
from tests.live.session import LANDING, Live, symbol

pytestmark = pytest.mark.guest


def interrupted_service(live: Live, seconds: float) -> str:
    """Give what `mmu service` says when a SIGINT comes after that time."""
    timer = threading.Timer(seconds, os.kill, (live.gdb.pid, signal.SIGINT))
    timer.start()
    try:
        return live.say("mmu service --json").strip()
    finally:
        timer.cancel()


@pytest.mark.parametrize("count", [1, 7])
def test_a_count_ends_it_after_so_many_repairs(at_scan: Live, count: int) -> None:
    (summary,) = at_scan.ask(f"service --count {count}")
    assert summary["faults"] == count
    assert summary["ended"] == f"{count} faults repaired, as asked"
    assert sum(each["faults"] for each in summary["by"]) == count
    assert at_scan.ask("status")[0]["abilities"]["written so far"] == f"{count} descriptors"


def test_a_breakpoint_of_the_users_ends_it(at_scan: Live) -> None:
    at_scan.say(f"hbreak *{symbol('sum_words')}")
    (summary,) = at_scan.ask("service")
    assert summary["faults"] == 206
    assert summary["ended"].startswith("breakpoint ")
    assert at_scan.value("$pc") == symbol("sum_words")


def test_a_catch_of_another_kind_ends_it_and_one_of_its_own_does_not(at_scan: Live) -> None:
    live = at_scan
    live.say("mmu catch access-flag")
    live.say("mmu catch translation")
    (summary,) = live.ask("service --count 3")
    assert summary["faults"] == 3
    live.set_registers(pc=symbol("a64_read"), x0=0xDEAD000)
    (summary,) = live.ask("service")
    assert summary["faults"] == 0
    assert summary["ended"].startswith("breakpoint ")
    assert live.ask("fault")[0]["syndrome"]["fault"]["kind"] == "translation"


def test_it_ends_with_the_guest_and_says_so(at_scan: Live) -> None:
    (summary,) = at_scan.ask("service")
    assert summary["ended"] == "the guest is gone: QEMU closed the connection"
    assert "nothing is attached" in at_scan.refusal("mmu service")


def test_ctrl_c_ends_it_with_the_summary_and_leaves_nothing_behind(at_reset: Live) -> None:
    live = at_reset
    live.say("set var *(long *)&rounds = 1000")
    live.to_scan()
    said = interrupted_service(live, 0.5)
    assert '"ended": "interrupted"' in said
    assert live.inside("breakpoints()") == []
    assert live.physical_mode() == "0"
    assert live.ask("service --count 5")[0]["faults"] == 5


def test_ctrl_c_ends_it_while_no_fault_comes(at_scan: Live) -> None:
    # As a second CPU, in a barrier that never fills.
    at_scan.set_registers(pc=LANDING, x0=1)
    assert '"ended": "interrupted"' in interrupted_service(at_scan, 0.3)
    assert at_scan.inside("breakpoints()") == []


def test_a_guest_interrupted_at_any_moment_still_computes_the_right_sum(at_scan: Live) -> None:
    live = at_scan
    for attempt in range(200):
        if "the guest is gone" in interrupted_service(live, 0.05 + attempt % 7 / 50):
            break
        assert live.physical_mode() == "0"
        assert live.inside("breakpoints()") == []
    assert CHECKSUMS[1] in live.qemu.output()

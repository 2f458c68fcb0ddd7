"""`mmu service`: its counts, how it ends, and that Ctrl-C leaves a guest that can go on."""

from __future__ import annotations

import pytest

from gdbtools.repl.demo import CHECKSUMS
from tests.live.ctrl_c import ctrl_c, moments
from tests.live.session import LANDING, Leaf, Live, symbol

pytestmark = pytest.mark.guest


def interrupted_service(live: Live, seconds: float | None, *, begun: bool = True) -> str:
    """Return what `mmu service` says when Ctrl-C comes so long after it has begun, or was asked for."""
    with ctrl_c(live.gdb.pid, seconds, begun=begun):
        reply = live.gdb.run("mmu service --json")
    # Before it has begun and after it Ctrl-C is GDB's own.
    assert reply.error in ("", "Quit"), reply.error
    return reply.text.strip()


def attached_still(live: Live) -> bool:
    """Return whether there is a guest: it may have come to its end just as it was interrupted."""
    return live.inside("gdb.selected_inferior().connection is not None")


@pytest.mark.parametrize("count", [1, 7])
def test_a_count_ends_it_after_so_many_repairs(at_scan: Live, count: int) -> None:
    plural = "" if count == 1 else "s"
    (summary,) = at_scan.ask(f"service --count {count}")
    assert summary["faults"] == count
    assert summary["ended"] == f"{count} fault{plural} repaired, as asked"
    assert sum(each["faults"] for each in summary["by"]) == count
    assert at_scan.ask("status")[0]["abilities"]["written so far"] == f"{count} descriptor{plural}"


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
    for seconds in moments([0.05 + number / 50 for number in range(7)], 100):
        if "the guest is gone" in interrupted_service(live, seconds, begun=False):
            break
        if not attached_still(live):
            break
        assert live.physical_mode() == "0"
        assert live.inside("breakpoints()") == []
    assert CHECKSUMS[1] in live.qemu.output()


AF, AP2, DBM = 1 << 10, 1 << 7, 1 << 51
PAGE = Leaf(4, 1 << 44, 3)
"""A page that the guest touches at EL1."""


def leaf_of(live: Live) -> int:
    """Return where the page's descriptor is."""
    return int(live.ask(f"walk {PAGE.word:#x}")[0]["steps"][-1]["descriptor_address"], 16)


def written(live: Live) -> str:
    """Have the guest write the page under a service; gives why that ended."""
    live.say(f"tbreak *{LANDING}")
    live.set_registers(pc=symbol("a64_write"), x0=PAGE.word, x1=7, x30=LANDING)
    return str(live.ask("service --kinds access-flag --kinds dirty")[0]["ended"])


def test_a_clean_page_becomes_dirty_by_a_write_if_that_is_asked_for(at_scan: Live) -> None:
    live = at_scan
    pa = leaf_of(live)
    clean = live.descriptor(pa) | AF | AP2 | DBM
    live.poke(pa, clean)
    live.touch("a64_read", PAGE.word)
    assert written(live).startswith("breakpoint ")
    assert live.descriptor(pa) == clean & ~AP2
    assert live.landed()


def test_a_page_that_was_never_accessed_and_is_clean_is_repaired_twice(at_scan: Live) -> None:
    live = at_scan
    pa = leaf_of(live)
    live.poke(pa, (live.descriptor(pa) | AP2 | DBM) & ~AF)
    live.say("mmu walk $pc")
    assert written(live).startswith("breakpoint ")
    assert live.descriptor(pa) & (AF | AP2) == AF
    assert live.landed()


def test_a_write_to_a_read_only_page_is_the_guests_own(at_scan: Live) -> None:
    live = at_scan
    pa = leaf_of(live)
    read_only = (live.descriptor(pa) | AF | AP2) & ~DBM
    live.poke(pa, read_only)
    live.say("hbreak page_fault")
    written(live)
    assert live.descriptor(pa) == read_only
    assert not live.landed()


def test_a_fault_of_the_guests_own_that_never_ends_is_named(at_scan: Live) -> None:
    live = at_scan
    # Its handler returns at once: b exception_return, where the vector has b fault.
    vector, target = symbol("vectors") + 0x200, symbol("exception_return")
    instruction = 0x14000000 | (target - vector) // 4 & 0x3FFFFFF
    assert live.inside(f"poke({vector}, {instruction}, 4)") == "OK"
    live.set_registers(pc=symbol("a64_read"), x0=0xDEAD000, x30=LANDING)
    ended = live.ask("service")[0]["ended"]
    assert ended.startswith(
        f"a fault loop: pc {symbol('a64_read'):#x} faults on 0xdead000 again with syndrome 0x9600000"
    )


def test_a_fault_that_was_repaired_by_hand_before_is_spurious(at_fault: Live) -> None:
    at_fault.say("mmu fixup")
    (summary,) = at_fault.ask("service --count 1")
    assert summary["already_repaired"] == 1
    assert summary["faults"] == 1


def test_a_catch_names_a_fault_that_comes_again_with_nothing_changed(at_fault: Live) -> None:
    live = at_fault
    said = live.ask("fixup --dry-run")[0]
    live.set_registers(pc=symbol("exception_return"))
    # Twice may be one: GDB steps past its breakpoint, and QEMU says now and then that it has where it has not.
    assert "a fault loop" not in live.say("continue")
    live.set_registers(pc=symbol("exception_return"))
    again = live.say("continue")
    assert "mmu: a fault loop: pc " in again
    assert f"PA {int(said['descriptor_address'], 16):#x} is still {said['before']}" in again
    live.say("mmu fixup --resume")
    assert "a fault loop" not in live.say("mmu status")


def test_a_catch_does_not_call_another_fault_a_loop(at_fault: Live) -> None:
    assert "a fault loop" not in at_fault.say("mmu fixup --resume")
    assert "a fault loop" not in at_fault.say("mmu fixup --resume")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("--around 0", "--around takes a number of neighbours from 1 to 512"),
        ("--around 513", "--around takes a number of neighbours from 1 to 512"),
        ("--kinds alignment", "--kinds is access-flag or dirty"),
        ("--log /nowhere/log", "No such file or directory"),
    ],
)
def test_words_that_make_no_sense_are_refused_before_the_guest_runs(shared_fault: Live, options: str, why: str) -> None:
    before = shared_fault.state()
    assert why in shared_fault.refusal(f"mmu service {options}")
    assert shared_fault.state() == before

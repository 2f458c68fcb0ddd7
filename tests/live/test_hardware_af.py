"""`mmu hardware-af`: one bit of each CPU instead of a repair for each page, on all of them or on none."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from gdbtools.repl.demo import CHECKSUMS
from tests.guests.riscv_live import attached as riscv
from tests.guests.riscv_live import by_hardware
from tests.live.session import Live, attached, symbol

pytestmark = pytest.mark.guest

HA, HD = 1 << 39, 1 << 40
ADUE = 1 << 61
CPUS = 4
NO_SVADU = "svade=true,svadu=false"


@pytest.fixture
def scanning(qemu: str, gdb_path: str) -> Iterator[Live]:
    """Four CPUs whose hardware could set access flags, all at EL1, before the first flag is cleared."""
    with attached(gdb_path, CPUS, cpu="max") as live:
        live.to_scan()
        yield live


def controls(live: Live, register: str = "TCR_EL1", cpus: int = CPUS) -> list[int]:
    """Return a register of each CPU, as GDB has it."""
    found = []
    for number in range(1, cpus + 1):
        live.say(f"thread {number}")
        found.append(live.value(f"${register}"))
    live.say("thread 1")
    return found


def ends_by_itself(live: Live, cpus: int) -> bool:
    """Return whether the guest runs to its end from here without a stop, with what it should compute."""
    said = live.gdb.run("continue").text
    return "Breakpoint" not in said and live.qemu.wait(60) and CHECKSUMS[cpus] in live.qemu.output()


@pytest.mark.parametrize("cpus", [1, CPUS])
def test_a_guest_without_a_handler_then_comes_to_its_end_without_a_stop(gdb_path: str, cpus: int) -> None:
    with attached(gdb_path, cpus, cpu="max") as live:
        live.to_scan()
        live.say("mmu catch access-flag")
        (asked,) = live.ask("hardware-af on")
        assert [each["cpu"] for each in asked["writes"]] == list(range(cpus))
        assert {each["borrowed"][0]["instruction"].split(",")[0] for each in asked["writes"]} == {"MSR TCR_EL1"}
        assert ends_by_itself(live, cpus)


def test_off_again_the_guest_faults_again_and_undo_is_on_again(scanning: Live) -> None:
    live = scanning
    before = controls(live)
    live.say("mmu catch access-flag")
    live.ask("hardware-af on")
    assert controls(live) == [each | HA for each in before]
    # A whole round that nobody faults in, and the scan before the second.
    live.say("hbreak *&touch_regions if $x2 == 1")
    assert "touch_regions" in live.say("continue")
    live.say("delete")
    live.say("mmu catch access-flag")
    live.ask("hardware-af off")
    assert controls(live) == before
    live.say("continue")
    (fault,) = live.ask("fault")
    assert (fault["syndrome"]["fault"]["kind"], fault["verdict"]) == ("access flag", "tables agree")
    assert fault["hardware"][0] == {"register": "TCR_EL1", "field": "HA", "value": "0x0000000000000000"}
    (undone,) = live.ask("undo")
    assert controls(live) == [each | HA for each in before]
    assert (undone["what"], len(undone["controls"]), undone["left"]) == ("hardware-af off", CPUS, 1)
    # What stands at its fault by now was refused before: the service has nothing else to do.
    (summary,) = live.ask("service")
    assert 1 <= summary["faults"] <= CPUS
    assert CHECKSUMS[CPUS] in live.qemu.output()


@pytest.mark.parametrize(("cpu", "offered"), [("max", True), ("cortex-a57", False)])
def test_fault_and_service_offer_it_where_it_is_one_bit(gdb_path: str, cpu: str, offered: bool) -> None:
    with attached(gdb_path, 1, cpu=cpu) as live:
        live.to_fault()
        assert ("mmu hardware-af on" in live.say("mmu fault")) is offered
        said = live.say("mmu service --count 1")
        assert "1 fault repaired, as asked" in said
        assert ("mmu hardware-af on" in said) is offered


def test_a_fault_that_was_taken_before_is_named_and_not_wondered_at(gdb_path: str) -> None:
    with attached(gdb_path, 1, cpu="max") as live:
        live.to_fault()
        (asked,) = live.ask("hardware-af on")
        assert asked["pending"] == [0]
        assert "since it was asked, at this stop" in " ".join(live.say("mmu fault").split())
        assert "why did it not" not in live.gdb.run("mmu fixup --resume").text
        assert live.qemu.wait(60)
        assert CHECKSUMS[1] in live.qemu.output()


def test_with_dirty_what_is_written_is_recorded_too_and_undo_is_of_the_fields_alone(scanning: Live) -> None:
    live = scanning
    before = controls(live)
    live.ask("hardware-af on")
    live.ask("hardware-af on --dirty")
    assert controls(live) == [each | HA | HD for each in before]
    assert "0 descriptors, 8 control registers" in live.say("mmu status")
    assert "it is so already" in live.refusal("mmu hardware-af on --dirty")
    live.ask("undo --all")
    assert controls(live) == before


def test_a_dry_run_writes_nothing(scanning: Live) -> None:
    before = controls(scanning)
    (planned,) = scanning.ask("hardware-af on --dry-run")
    assert (planned["applied"], len(planned["writes"])) == (False, CPUS)
    assert controls(scanning) == before
    assert "nothing was written" in scanning.refusal("mmu undo")


def test_it_is_refused_with_the_reason_where_the_hardware_cannot(at_scan: Live) -> None:
    before = controls(at_scan, cpus=1)
    said = at_scan.refusal("mmu hardware-af on")
    assert "CPU 0: its hardware sets no access flags (ID_AA64MMFR1_EL1.HAFDBS=0b0000)" in said
    assert controls(at_scan, cpus=1) == before


def test_one_cpu_that_cannot_be_asked_keeps_all_from_being_changed(scanning: Live) -> None:
    live = scanning
    live.say("mmu hardware-af on")
    # With hardware's help, on to the first access of any CPU's at EL0.
    live.say("hbreak *&a64_write if ($cpsr & 0xc) == 0")
    live.say("continue")
    before = controls(live)
    for command in ("mmu hardware-af off", "mmu undo"):
        named = re.match(
            r"CPU (\d): it is at EL0, which may not write TCR_EL1.*; no CPU was changed", live.refusal(command)
        )
        assert named
        assert controls(live) == before
        live.say(f"thread {int(named[1]) + 1}")
        assert not live.value("$cpsr") & 0xC


@pytest.fixture
def in_user_code(scanning: Live) -> Live:
    """One CPU at least at EL0, in its first touch, whose flag hardware sets."""
    scanning.say("mmu hardware-af on")
    scanning.say("hbreak *&a64_write if ($cpsr & 0xc) == 0")
    scanning.say("continue")
    scanning.say("delete")
    return scanning


def levels(live: Live) -> list[int]:
    return [cpsr >> 2 & 3 for cpsr in controls(live, "cpsr")]


def test_one_in_user_code_runs_on_alone_into_its_kernel_if_asked_and_all_can_be_undone_there(
    in_user_code: Live,
) -> None:
    live = in_user_code
    before, others = controls(live), {number for number, el in enumerate(levels(live)) if el}
    stood = controls(live, "pc")
    (asked,) = live.ask("hardware-af off --wait 60")
    assert controls(live) == [each & ~HA for each in before]
    assert {*map(int, asked["ran_on"])} == {*range(CPUS)} - others
    assert all(levels(live))
    now = controls(live, "pc")
    assert [now[number] for number in others] == [stood[number] for number in others], "they have not run"
    live.ask("undo")
    assert controls(live) == before
    assert ends_by_itself(live, CPUS)


@pytest.mark.full
def test_one_that_does_not_leave_user_code_in_time_is_named_and_no_cpu_is_changed(in_user_code: Live) -> None:
    live = in_user_code
    before, stood = controls(live), symbol("a64_write")
    word = live.descriptor(stood)
    live.poke(stood, word & ~0xFFFF_FFFF | 0x1400_0000)
    said = live.gdb.run("mmu hardware-af off --wait 1").error
    assert re.fullmatch(
        r"CPU (\d): after 1 s it is not in its kernel; no CPU was changed, and CPU (\d, )*\1 ran on", said
    )
    assert controls(live) == before
    assert '"replay"' in live.say("show scheduler-locking")
    assert "0 descriptors, 4 control registers" in live.say("mmu status"), "what was asked before may be undone"
    live.poke(stood, word)
    assert ends_by_itself(live, CPUS)


@pytest.mark.full
def test_a_breakpoint_on_the_way_stops_it_there_and_no_cpu_is_changed(in_user_code: Live) -> None:
    live = in_user_code
    before = controls(live)
    live.say("hbreak *&a64_svc")
    said = live.gdb.run("mmu hardware-af off --wait 60").error
    assert re.match(r"CPU \d: breakpoint \d+ came first, and it is not in its kernel; no CPU was changed", said)
    assert controls(live) == before
    for words in ("--wait 0", "--wait 1 --dry-run"):
        assert "--wait" in live.refusal(f"mmu hardware-af off {words}")


def test_a_write_that_fails_on_the_last_cpu_is_put_back_on_the_first(scanning: Live) -> None:
    live = scanning
    before = controls(live)
    # The stub steps no fourth time for it: each CPU takes MSR and ISB.
    live.say("python from gdbtools.live import guest")
    live.say("python real, steps = guest.step, []")
    live.say(
        "python guest.step = lambda *words: real(*words) if steps.append(1) or len(steps) != 7 "
        "else exec('raise guest.Refused(\"not this one\")')"
    )
    assert "not this one" in live.refusal("mmu hardware-af on")
    assert controls(live) == before
    assert "nothing was written" in live.refusal("mmu undo")


@pytest.mark.parametrize(("bits", "harts"), [(64, CPUS), pytest.param(32, 1, marks=pytest.mark.full)])
def test_on_riscv_adue_is_written_by_the_stub_whatever_the_mode(gdb_path: str, bits: int, harts: int) -> None:
    with riscv(gdb_path, "accessed", bits, harts) as found:
        found.to("fence_all")
        found.session.say("mmu catch any")
        (asked,) = found.session.ask("hardware-af on")
        assert [(each["cpu"], each["borrowed"]) for each in asked["writes"]] == [(hart, []) for hart in range(harts)]
        found.session.gdb.run("continue")
        said = found.ends()
    assert said.startswith("checksum")
    assert said == by_hardware(gdb_path, "accessed", bits, harts), "there nobody faults"


@pytest.mark.full
def test_a_hart_in_user_mode_is_asked_where_it_stands(gdb_path: str) -> None:
    with riscv(gdb_path, "accessed") as found:
        found.to("fence_all")
        found.session.say("set $priv = 0")
        (asked,) = found.session.ask("hardware-af on --wait 1")
        assert (asked["ran_on"], [each["cpu"] for each in asked["writes"]]) == ({}, [0])
        assert found.session.value("$menvcfg") & ADUE


def test_a_hart_without_svadu_does_not_take_it_and_no_hart_is_changed(gdb_path: str) -> None:
    with riscv(gdb_path, "accessed", harts=2, features=NO_SVADU) as found:
        found.to("fence_all")
        said = found.session.refusal("mmu hardware-af on")
        assert "menvcfg is 0x0000000000000000, and did not become 0x2000000000000000" in said
        assert "Svadu" in said
        found.session.say("mmu catch any")
        found.session.say("continue")
        (fault,) = found.session.ask("fault")
        assert fault["predicted"]["deciding"]["field"] == "A"

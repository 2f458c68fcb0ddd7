"""x86-64 live: what is borrowed, changed and tried, and nothing else left otherwise than it was."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from gdbtools.arch import ARCHITECTURES
from gdbtools.children.mi import Gdb
from gdbtools.children.processes import Qemu
from tests.live.session import INIT, INSIDE, Session
from tests.places import ROOT
from tests.transcripts import compare, marked

pytestmark = pytest.mark.guest

GUEST = ROOT / "fixtures/guests/x86/spurious/spurious.elf"
EMULATOR = ARCHITECTURES["x86_64"].identity.emulator
KEPT, HOOKED, READ_ONLY, ABSENT, USERS, USER_TEXT, SPARE = (0x4000_0000 + 0x1000 * page for page in range(7))
"""As in layout.h."""
OLD, NEW = 0x0BADF00D, 0x600DF00E


@dataclass(frozen=True)
class X86:
    """A guest: its QEMU, and the GDB that is attached to it."""

    qemu: Qemu
    session: Session

    def to(self, place: str) -> None:
        self.session.say(f"hbreak *{place}")
        self.session.say("continue")
        self.session.say("delete")

    def registers(self) -> str:
        """Return all that QEMU itself prints of the CPU."""
        return self.session.say("monitor info registers")

    def stacks(self) -> str:
        """Return what is below both stack pointers: the one in use, and the handler's."""
        rsp = self.session.value("$rsp")
        handlers = self.session.value("*(unsigned long *)((char *)&task + 4)")
        return "".join(self.session.say(f"x/64xg {at - 256:#x}") for at in {rsp, handlers or rsp})

    def ends(self) -> str:
        self.session.gdb.run("continue")
        assert self.qemu.wait(60), "the guest did not end"
        return self.qemu.output()


@contextmanager
def attached(gdb_path: str, cpus: int = 1, place: str = "planted", **variables: int) -> Iterator[X86]:
    if shutil.which(EMULATOR.program) is None:
        pytest.skip(f"{EMULATOR.program} is not installed; on Debian and Ubuntu: apt-get install {EMULATOR.package}")
    program = (EMULATOR.program,)
    with Qemu(GUEST, cpus, "max", machine="pc", program=program) as qemu, Gdb(gdb_path, INIT) as gdb:
        session = Session(gdb)
        session.attach(GUEST, str(qemu.gdbstub))
        session.say(f"source {INSIDE}")
        found = X86(qemu, session)
        found.to("planted")
        for name, value in variables.items():
            session.say(f"set var *(int *)&{name} = {value}")
        if place != "planted":
            found.to(place)
        yield found


@pytest.fixture(scope="module")
def planted(gdb_path: str) -> Iterator[X86]:
    """A guest that has done nothing yet, for the tests that leave it as it is; of its two CPUs one is halted."""
    with attached(gdb_path, cpus=2) as found:
        yield found


@pytest.fixture(scope="module")
def at_user(gdb_path: str) -> Iterator[X86]:
    """A guest in user mode, which reads and writes its page."""
    with attached(gdb_path, place=hex(USER_TEXT), hooks=0, to_user=1) as found:
        yield found


@pytest.fixture(scope="module")
def at_spurious(gdb_path: str) -> Iterator[X86]:
    """A guest at the first instruction of its handler, of a fault on what is mapped; the last test lets it go on."""
    with attached(gdb_path) as found:
        found.session.say("mmu catch any")
        found.session.say("continue")
        found.session.say("delete")
        yield found


def entry(session: Session, address: int) -> tuple[int, int]:
    """Return where the last entry of an address is, and what it is."""
    last = session.ask(f"walk {address:#x}")[0]["steps"][-1]
    return int(last["descriptor_address"], 16), int(last["descriptor"], 16)


def test_a_tlb_that_kept_a_frame_is_proved_and_each_invalidation_cures_it(gdb_path: str) -> None:
    """And changes nothing else; QEMU's TLB keeps what an entry said until it is told."""
    with attached(gdb_path, hooks=0, place="remapped") as found:
        session = found.session
        at, new = entry(session, KEPT)
        old = new - 0x1000
        for words in ("", " all", f" {KEPT:#x}", " asid=0", " --outside"):
            session.poke(at, old)
            session.say("mmu tlbi --outside")
            assert session.ask(f"probe {KEPT:#x}")[0]["verdict"] == "agrees"
            session.poke(at, new)
            (asked,) = session.ask(f"probe {KEPT:#x}")
            first = asked["first"][0]
            assert asked["verdict"] == "elsewhere"
            assert (int(first["value"], 16), int(first["tables"]["value"], 16)) == (OLD & 0xFF, NEW & 0xFF)
            before, stacks = found.registers(), found.stacks()
            session.say(f"mmu tlbi{words}")
            assert (found.registers(), found.stacks()) == (before, stacks)
            assert session.ask(f"probe {KEPT:#x}")[0]["verdict"] == "agrees"
        session.poke(at, old)
        session.say("mmu tlbi")
        session.ask(f"probe {KEPT:#x}")
        session.poke(at, new)
        assert session.ask(f"probe {KEPT:#x} --tlbi")[0]["proved"]
        assert f"the page has what is new: {NEW:#x}" in found.ends()


def test_what_is_borrowed_and_what_it_leaves_is_said(planted: X86) -> None:
    session = planted.session
    said = session.say("mmu tlbi")
    assert re.search(r"^borrowed +mov cr4, rax at 0x\w+$", said, re.MULTILINE)
    said = " ".join(said.split())
    assert "other CPUs keep what their TLBs hold" in said
    assert "`mmu tlbi --outside` empties theirs too" in said
    assert "Emptied the TLBs of every CPU" in session.say("mmu tlbi --outside")
    assert re.search(r"^borrowed +invlpg \[rdi\] at 0x\w+$", session.say(f"mmu tlbi {KEPT:#x}"), re.MULTILINE)
    said = session.say("mmu tlbi asid=0")
    assert "Invalidated PCID 0 in the TLB." in said
    assert "global entries stay (cr4.PGE is 1): `mmu tlbi all`" in said
    assert "4096 is no identifier" in session.refusal("mmu tlbi asid=4096")
    assert "cr4.PCIDE is 0" in session.refusal("mmu tlbi asid=1")


def test_where_another_cpu_may_hold_it_what_reaches_that_is_advised(planted: X86) -> None:
    session = planted.session
    # Which has hardware set A.
    session.ask(f"probe {KEPT:#x}")
    for command in (f"mmu pte {SPARE:#x} RW=0", "mmu undo", f"mmu clear-af {KEPT:#x},+0x1000", "mmu undo"):
        said = " ".join(session.say(command).split())
        assert "--tlbi" not in said
        assert "`mmu tlbi --outside`" in said or "no maintenance is needed" in said


def test_a_register_is_named_in_any_case(planted: X86) -> None:
    session = planted.session
    assert session.ask("walk $CR3") == session.ask("walk $cr3")
    assert session.ask("walk $Rip+1") == session.ask("walk $rip+1")
    assert "has no value here" in session.refusal("mmu walk $NOSUCH")


def test_what_qemu_gives_of_no_cpu_is_not_said_to_be_given_of_some(planted: X86) -> None:
    assert "does not give pkru; nor does QEMU's own, of any CPU" in planted.session.refusal("mmu regs pkru")


def test_a_write_is_not_tried_where_the_read_before_it_is_refused(planted: X86) -> None:
    said = " ".join(planted.session.say(f"mmu probe {ABSENT:#x} --access write").split())
    assert "(supervisor write): not tried, as the read before it was refused; of that, the hardware does what" in said
    assert planted.session.ask(f"probe {ABSENT:#x} --access write")[0]["tried"] is False


def test_in_user_mode_nothing_privileged_is_borrowed_and_qemu_can_be_told(at_user: X86) -> None:
    session = at_user.session
    assert "the CPU is at CPL 3, where nothing privileged can be borrowed" in session.refusal("mmu tlbi")
    assert "the CPU is at CPL 3" in session.refusal(f"mmu pte {USERS:#x} RW=0 --tlbi")
    before = at_user.registers()
    assert session.ask("tlbi --outside")[0]["scopes"] == [{"extent": "all", "value": None}]
    assert "leave the rest out" in session.refusal(f"mmu tlbi {USERS:#x} --outside")
    assert at_user.registers() == before


def test_what_comes_next_is_nothing_that_is_refused(at_user: X86) -> None:
    """In user mode no --tlbi is advised: the page was changed behind the TLB's back, and QEMU is told of it."""
    session = at_user.session
    at, before = entry(session, USERS)
    session.ask(f"probe {USERS:#x}")
    session.poke(at, before & ~1)
    said = " ".join(session.say(f"mmu probe {USERS:#x}").split())
    assert "the hardware does what the tables refuse" in said
    assert f"mmu tlbi --outside, and once more: mmu probe {USERS:#x}" in said
    session.poke(at, before | 0x20)
    for command in (f"mmu pte {USERS:#x} RW=0", "mmu undo", f"mmu clear-af {USERS:#x},+0x1000", "mmu undo"):
        said = " ".join(session.say(command).split())
        assert "--tlbi" not in said
        assert "`mmu tlbi --outside`" in said or "no maintenance is needed" in said
    session.say("mmu tlbi --outside")


PROBES = [
    (KEPT, "read", None), (KEPT, "write", None), (READ_ONLY, "write", 3), (ABSENT, "read", 0), (ABSENT, "write", 2),
    (KEPT + 1, "read", None),
]  # fmt: skip


def probed(found: X86, address: int, access: str, code: int | None) -> None:
    """Probe, and hold that the answer is the tables' and that all of the CPU and of its stacks is as it was."""
    before, stacks = found.registers(), found.stacks()
    (asked,) = found.session.ask(f"probe {address:#x} --access {access}")
    assert asked["verdict"] == "agrees"
    last = asked["first"][-1]
    # A store needs what a load has got, so that of an absent page only the load is tried.
    wanted = 0 if code == 2 else code
    assert (last["done"], last["syndrome"]) == (code is None, None if wanted is None else f"0x{wanted:016x}")
    assert "left" not in last
    assert (found.registers(), found.stacks()) == (before, stacks)


def test_a_probe_leaves_no_trace_whether_it_faults_or_not(planted: X86) -> None:
    for each in PROBES:
        probed(planted, *each)


def test_at_the_handlers_first_instruction_the_fault_that_is_there_stays(at_spurious: X86) -> None:
    session = at_spurious.session
    (before,) = session.ask("fault")
    for each in PROBES:
        probed(at_spurious, *each)
    (after,) = session.ask("fault")
    # In the tables on the way hardware has set A.
    assert {**after, "walk": None} == {**before, "walk": None}


def test_in_user_mode_a_probe_is_the_users(at_user: X86) -> None:
    """The fault is taken on the handler's own stack, and returned from to user mode."""
    for address, access, code in ((USERS, "write", None), (KEPT, "read", 5), (ABSENT, "read", 4), (KEPT, "write", 5)):
        probed(at_user, address, access, code)
    at_user.to(hex(USER_TEXT + 5))


def test_what_cannot_be_probed_is_refused(planted: X86) -> None:
    session = planted.session
    assert "is not canonical" in session.refusal(f"mmu probe {1 << 47:#x}")
    assert "no instruction that translates" in session.refusal(f"mmu probe {KEPT:#x} --by at")
    assert "an access here is supervisor's" in session.refusal(f"mmu probe {KEPT:#x} --privilege user")
    rsp = session.value("$rsp")
    session.say("set $rsp = 0x40003800")
    assert "its frame would be at 0x400037d0, which is not writable" in session.refusal(f"mmu probe {ABSENT:#x}")
    session.say(f"set $rsp = {rsp}")


def test_an_entry_is_changed_invalidated_and_put_back(planted: X86) -> None:
    session = planted.session
    at, before = entry(session, USERS)
    (changed,) = session.ask(f"pte {USERS:#x} RW=0 NX=0 --tlbi")
    assert "invlpg" in str(changed["invalidation"])
    (refused,) = session.ask(f"probe {USERS:#x} --access write")
    assert refused["first"][-1]["syndrome"] == "0x0000000000000003"
    # Hardware has set A by now, so that what is taken back is not what was left there.
    session.poke(at, session.descriptor(at) & ~0x60)
    session.say("mmu undo")
    assert session.descriptor(at) == before
    session.say(f"mmu pte {USERS:#x} P=0 --break")
    assert session.ask(f"probe {USERS:#x}")[0]["first"][-1]["syndrome"] == "0x0000000000000000"
    session.say("mmu undo")
    assert session.descriptor(at) == before
    assert "the page's size" in session.refusal("mmu pte 0x200000 PS=0 --level 2")


def test_flags_are_cleared_and_read_back_as_hardware_has_set_them(at_user: X86) -> None:
    session = at_user.session
    (found,) = session.ask("working-set 0x40000000,+0x100000 --interval 0.3")
    assert found["by_hardware"]
    said = session.say("mmu working-set 0x40000000,+0x100000 --interval 0.3")
    assert "8KB of 276KB resident" in said, "its page and its text, of all that is mapped"
    assert "touches  by the flags: hardware sets them (as on every x86-64)" in said
    assert "so nobody faults" in session.refusal("mmu working-set 0x40000000,+0x1000 --by faults")


def test_a_cleared_flag_is_set_by_the_next_access_once_the_tlb_is_told(planted: X86) -> None:
    session = planted.session
    session.ask(f"probe {KEPT:#x} --access write")
    (cleared,) = session.ask(f"clear-af {KEPT:#x},+0x1000 --tlbi")
    assert (cleared["by_hardware"], len(cleared["changes"])) == (True, 1)
    assert not entry(session, KEPT)[1] & 0x20
    session.ask(f"probe {KEPT:#x}")
    assert entry(session, KEPT)[1] & 0x20


def test_nobody_is_served_where_hardware_sets_the_flags(planted: X86) -> None:
    said = planted.session.refusal("mmu service --count 1")
    assert said == "there is nothing to serve: x86-64's hardware sets A and D, so that nobody faults for want of them"


def test_the_demo_is_what_the_page_on_repair_shows(gdb_path: str) -> None:
    with attached(gdb_path) as found:
        session = found.session
        for line in ("mmu catch any", "continue", "delete", "hbreak *remapped"):
            session.say(line)
        for transcript in marked("x86"):
            compare(session.say(transcript.command), transcript)


def test_a_fault_that_the_tables_refuse_is_not_returned_from(at_spurious: X86) -> None:
    session = at_spurious.session
    session.say(f"mmu pte {HOOKED:#x} P=0")
    for words in ("fixup", "fixup --resume"):
        said = session.refusal(f"mmu {words}")
        assert "the tables refuse this access still, so it would fault again" in said
    session.say("mmu undo")


def test_a_fault_on_what_is_there_is_returned_from_and_the_guest_lives(at_spurious: X86) -> None:
    session = at_spurious.session
    assert session.ask("fault")[0]["verdict"] == "tables permit"
    assert "`mmu fixup --resume` returns from it" in session.refusal("mmu fixup")
    (returned,) = session.ask("fixup --resume --dry-run")
    assert (returned["applied"], returned["resumed"]) == (False, False)
    session.say(f"mmu watch {KEPT:#x}")
    (returned,) = session.ask("fixup --resume")
    assert (returned["applied"], returned["resumed"]) == (False, True)
    assert returned["before"] == returned["after"]
    assert session.value("*(unsigned long *)&handled") == 0, "its handler has not run"
    assert entry(session, KEPT)[1] & 0x2000, "and the watch has stopped where the next thing is done to a table"
    session.say("delete")
    assert f"stored: {NEW:#x}" in at_spurious.ends()

"""RISC-V live, through two stages: a hypervisor of ours and its guest, which faults for one reason after the other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.guests.riscv_live import RiscV, alone, attached, every_register
from tests.transcripts import compare, marked, numberless

pytestmark = pytest.mark.guest

GUEST = "hypervised"
H, SVADE_H = "h=true", "h=true,svade=true,svadu=true"
WINDOW, GUEST_RAM, POOL = 0x4000_0000, 0x6000_0000, 0x8040_0000
SECOND_WINDOW = 0x4020_0000
SECOND_PAGE, FIRST_PAGE, DECOYS = 3, 16, 256
READ = "the guest read 0xb6b39ae3\n"
(
    LOAD_UNMAPPED, STORE_READ_ONLY, FETCH_NOT_EXECUTABLE, LOAD_CLEAR_A, STORE_CLEAR_D, TABLE_UNMAPPED, OWN_UNMAPPED,
    LOAD_PERMITTED_LATER, USER_UNMAPPED,
) = range(PLANTS := 9)  # fmt: skip


def page(plant: int) -> int:
    return WINDOW + plant * 0x1000


def gpa(plant: int) -> int:
    return GUEST_RAM + (FIRST_PAGE + plant) * 0x1000


def stop_at_faults(found: RiscV) -> None:
    """Have the guest stop at each fault that the hypervisor takes, and at each that it leaves to the guest itself."""
    for vector in ("hypervisor_vector", "guest_vector"):
        found.session.say(f"hbreak *(unsigned long)&{vector} if $scause >= 12")


def fault_after(found: RiscV, command: str = "continue") -> Any:
    """Return what `fault` says of the next fault, to which a command leads."""
    found.session.say(command)
    (fault,) = found.session.ask("fault")
    return fault


def said(fault: Any) -> tuple[str, int, int, str, str | None, bool]:
    """Return the verdict, the cause, which stage refused by which field, and the guest physical address."""
    predicted = fault["predicted"]
    where = None if fault["ipa"] is None else f"{int(fault['ipa'], 16):#x}"
    cause, field = int(fault["syndrome"]["value"], 16), predicted["deciding"]["field"]
    return fault["verdict"], cause, predicted["stage"], field, where, bool(predicted.get("s1ptw"))


@pytest.mark.parametrize("suite", ["system", "bookworm-backports", pytest.param("sid", marks=pytest.mark.full)])
def test_a_guests_address_is_never_walked_from_another_root(gdb_path: str, suite: str) -> None:
    """The same address leads elsewhere in the hypervisor, and the stub has the guest's satp in its place while V is 1.

    QEMU's own reading of virtual memory is what the hart would do: the word there says which page it is.
    """
    with attached(gdb_path, GUEST, features=H, suite=suite) as found:
        session, va = found.session, page(STORE_READ_ONLY)
        found.to("guest_load")
        (walked,) = session.ask(f"walk {va:#x}")
        assert session.value(f"*(unsigned int *){va:#x}") == gpa(STORE_READ_ONLY)
        assert (int(walked["ipa"], 16), int(walked["output"], 16)) == (
            gpa(STORE_READ_ONLY),
            POOL + (FIRST_PAGE + STORE_READ_ONLY) * 0x1000,
        )
        assert "does not give the hypervisor's own satp" in session.refusal(f"mmu walk {va:#x} --regime s")
        stop_at_faults(found)
        assert fault_after(found)["vector_entry"] == "stvec"
        # Now it is the hypervisor's, where vsatp is the guest's.
        (own,), (of_guest,) = session.ask(f"walk {va:#x}"), session.ask(f"walk {va:#x} --regime vs")
        assert session.value(f"*(unsigned int *){va:#x}") == 0xDEC0_0000 + STORE_READ_ONLY
        assert int(own["output"], 16) == POOL + (DECOYS + STORE_READ_ONLY) * 0x1000
        assert of_guest["output"] == walked["output"]
        # And what the hart itself says: HLV is a load as the guest's.
        session.say(f"set $a0 = {va:#x}")
        session.say("set $pc = (long)&read_as_guest")
        session.say("stepi")
        assert session.value("$a0") & 0xFFFF_FFFF == gpa(STORE_READ_ONLY)


def test_vsatp_is_what_the_guest_wrote_and_not_what_it_was_entered_with(gdb_path: str) -> None:
    """Until its first trap the stub's own vsatp is what the hypervisor had set: 0."""
    with attached(gdb_path, GUEST, features=H) as found:
        found.to("call_hypervisor")
        assert found.session.value("$vsatp") == 0
        (walked,) = found.session.ask(f"walk {page(STORE_READ_ONLY):#x}")
        assert int(walked["ipa"], 16) == gpa(STORE_READ_ONLY)


@pytest.fixture(scope="module")
def faults(gdb_path: str) -> Iterator[Mapping[int, Any]]:
    """Every fault of the guest, in its order, by what was planted; A and D are set from outside."""
    found: dict[int, Any] = {}
    with attached(gdb_path, GUEST, features=SVADE_H) as running:
        stop_at_faults(running)
        how = "continue"
        for plant in range(PLANTS):
            found[plant] = fault_after(running, how)
            how = "mmu fixup --resume" if plant in (LOAD_CLEAR_A, STORE_CLEAR_D) else "continue"
        running.session.gdb.run(how)
        assert running.ends() == READ, "the guest went on as if nothing had happened"
        yield found


@pytest.mark.parametrize(
    ("plant", "cause", "field"),
    [
        (LOAD_UNMAPPED, 21, "V"),
        (STORE_READ_ONLY, 23, "W"),
        (FETCH_NOT_EXECUTABLE, 20, "X"),
        (LOAD_CLEAR_A, 21, "A"),
        (STORE_CLEAR_D, 23, "D"),
        (LOAD_PERMITTED_LATER, 21, "V"),
        (USER_UNMAPPED, 21, "V"),
    ],
)
def test_a_guest_page_fault_is_the_bit_of_the_g_stage(
    faults: Mapping[int, Any], plant: int, cause: int, field: str
) -> None:
    fault = faults[plant]
    assert said(fault) == ("tables agree", cause, 2, field, hex(gpa(plant)), False)
    assert int(fault["address"], 16) == page(plant)
    assert fault["access"]["privilege"] == ("vu" if plant == USER_UNMAPPED else "vs")


def test_a_refused_table_of_the_guests_is_told_from_its_page(faults: Mapping[int, Any]) -> None:
    """By the pseudoinstruction in htinst; htval leads to the entry that was to be read."""
    fault = faults[TABLE_UNMAPPED]
    assert said(fault) == ("tables agree", 21, 2, "V", hex(GUEST_RAM + SECOND_PAGE * 0x1000), True)
    assert (int(fault["address"], 16), fault["walk"]["fault"]["s1ptw"]) == (SECOND_WINDOW, True)


def test_a_fault_of_the_guests_own_tables_is_the_guests(faults: Mapping[int, Any]) -> None:
    fault = faults[OWN_UNMAPPED]
    assert said(fault) == ("tables agree", 13, 1, "V", None, False)
    assert (fault["delegation"]["taken_by"], fault["vector_entry"]) == ("VS", "vstvec")


def test_what_was_mapped_since_is_permitted_now(gdb_path: str) -> None:
    with attached(gdb_path, GUEST, features=H) as found:
        found.session.say("hbreak *(long)&mapped if $scause == 21")
        fault = fault_after(found)
        assert (fault["verdict"], int(fault["ipa"], 16)) == ("tables permit", gpa(LOAD_UNMAPPED))
        said = " ".join(found.session.say("mmu fault").split())
        assert "a TLB cached the entry while it was invalid, and no hfence.gvma of it followed on this CPU" in said
        assert "sfence.vma" not in said
        (command,) = set(re.findall(r"again, until `mmu (tlbi 0x[^`]*)`", said))
        assert command == f"tlbi {gpa(LOAD_UNMAPPED):#x} --regime g"
        (fenced,) = found.session.ask(command)
        assert "hfence.gvma a0, zero" in str(fenced)
        (fenced,) = found.session.ask(f"tlbi {page(LOAD_UNMAPPED):#x} --regime vs")
        assert "hfence.vvma a0, zero" in str(fenced)


def without_trace(found: RiscV, words: str) -> Any:
    """Return what a probe says; every register is as it was, but for what it says it could not put back."""
    before = every_register(found.session)
    (probed,) = found.session.ask(f"probe {words}")
    now = every_register(found.session)
    changed = {name: now[name] for name in before if now[name] != before[name]}
    left = [each for ask in probed["first"] + probed["again"] for each in ask.get("left", [])]
    assert changed == {each["register"]: hex(int(each["now"], 16)) for each in left}
    assert set(changed) <= {"htinst"}, "which QEMU lets nobody write"
    return probed


def outcome(probed: Any) -> tuple[str, bool, int | None]:
    """Return the verdict, whether the last access was done, and the cause if it was not."""
    last = probed["first"][-1]
    return probed["verdict"], last["done"], last["syndrome"] and int(last["syndrome"], 16)


def test_a_hypervisor_asks_the_hart_as_its_guest(gdb_path: str) -> None:
    """By HLV, HLVX and HSV, as VS and as VU; each fault, of either stage, is taken and undone."""
    with attached(gdb_path, GUEST, features=H) as found:
        stop_at_faults(found)
        fault_after(found)
        granted, refused = page(STORE_READ_ONLY), page(LOAD_UNMAPPED)
        probed = without_trace(found, f"{granted:#x} --regime vs")
        assert outcome(probed) == ("agrees", True, None)
        assert (int(probed["first"][0]["value"], 16), probed["regime"]) == (gpa(STORE_READ_ONLY), "vs")
        assert outcome(without_trace(found, f"{granted:#x}")) == ("agrees", True, None), "its own page is another"
        assert outcome(without_trace(found, f"{granted:#x} --regime vs --access read-code")) == ("agrees", True, None)
        # The guest's own tables have it for VS alone; the hypervisor's have nothing at the other.
        as_user = without_trace(found, f"{granted:#x} --privilege vu --tlbi")
        assert outcome(as_user) == ("agrees", False, 13)
        assert "hfence.vvma" in str(as_user["invalidation"])
        assert outcome(without_trace(found, f"{refused:#x} --regime vs")) == ("agrees", False, 21)
        said = " ".join(found.session.say(f"mmu probe {refused:#x} --regime vs").split())
        assert "read guest-page fault guest-page fault, level 0" in said
        assert "unwound by setting what the exception had set" in said
        fault_after(found)
        stored = without_trace(found, f"{granted:#x} --privilege vs --access write")
        assert (outcome(stored), stored["first"][0]["done"]) == (("agrees", False, 23), True)
        found.session.say("delete")
        found.session.gdb.run("continue")
        assert found.ends() == READ, "and the guest has noticed nothing"


def test_a_hypervisor_that_has_not_fenced_is_shown_what_the_hart_still_does(gdb_path: str) -> None:
    """A page that is taken away from the guest by the debugger: QEMU's TLB has what HLV found before."""
    with attached(gdb_path, GUEST, features=H) as found:
        stop_at_faults(found)
        fault_after(found)
        asked = f"{page(STORE_READ_ONLY):#x} --regime vs"
        assert outcome(without_trace(found, asked)) == ("agrees", True, None)
        place = found.session.value("&guest_window") + 8 * (FIRST_PAGE + STORE_READ_ONLY)
        entry = found.session.value(f"*(unsigned long *){place:#x}")
        found.session.say(f"set var *(unsigned long *){place:#x} = {entry & ~1:#x}")
        stale = without_trace(found, f"{asked} --tlbi")
        assert (stale["verdict"], stale["proved"]) == ("stale", True)
        assert stale["again"][0]["fault"]["kind"] == "page"


def test_what_qemu_7_2_found_for_the_kernel_of_a_guest_it_keeps_for_its_user(gdb_path: str) -> None:
    """It has one TLB for HLV whatever SPVP says; QEMU 10.0 has two, as the probes above show."""
    with attached(gdb_path, GUEST, features=H, suite="system") as found:
        stop_at_faults(found)
        fault_after(found)
        va = page(STORE_READ_ONLY)
        assert outcome(without_trace(found, f"{va:#x} --regime vs")) == ("agrees", True, None)
        as_user = without_trace(found, f"{va:#x} --privilege vu --tlbi")
        assert (as_user["verdict"], as_user["proved"]) == ("stale", True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--regime g", "through both stages: --regime vs"),
        ("--regime m", "M-mode, no translation"),
        ("--regime el1", "is no regime of RISC-V"),
        ("--privilege u", "an access here is S's; stop in U and ask there"),
        ("--regime vs --privilege s", "S does not run in"),
        ("--regime vs --by at", "ask as another by an access"),
        ("--regime vs --unprivileged", "say whose access it is by --privilege"),
        ("--access read-code", "say --privilege vs"),
    ],
)
def test_what_no_access_of_a_hypervisors_is_is_refused_with_what_to_say(faulting: RiscV, words: str, said: str) -> None:
    assert said in faulting.session.refusal(f"mmu probe {page(STORE_READ_ONLY):#x} {words}")


@pytest.fixture(scope="module")
def faulting(gdb_path: str) -> Iterator[RiscV]:
    """A hypervisor at its guest's first fault."""
    with attached(gdb_path, GUEST, features=H) as found:
        stop_at_faults(found)
        fault_after(found)
        yield found


def test_in_the_guest_nothing_is_asked_as_another(gdb_path: str) -> None:
    with attached(gdb_path, GUEST, features=H) as found:
        found.to("guest_load")
        said = found.session.refusal(f"mmu probe {page(STORE_READ_ONLY):#x} --regime s")
        assert "no access here is s's" in said or "does not give the hypervisor's own" in said


@pytest.mark.full
def test_a_guest_of_32_bits_is_no_other(gdb_path: str) -> None:
    with attached(gdb_path, GUEST, 32, features=SVADE_H) as found:
        stop_at_faults(found)
        fault = fault_after(found)
        assert said(fault) == ("tables agree", 21, 2, "V", hex(gpa(LOAD_UNMAPPED)), False)
        assert outcome(without_trace(found, f"{page(LOAD_UNMAPPED):#x} --regime vs")) == ("agrees", False, 21)
        assert outcome(without_trace(found, f"{page(STORE_READ_ONLY):#x} --regime vs")) == ("agrees", True, None)


def test_alone_the_guest_comes_to_its_end() -> None:
    """Where nobody leaves A and D to software, the hypervisor and the guest see to everything themselves."""
    assert alone(GUEST, features="h=true,svade=false,svadu=true") == READ


def test_the_page_on_verdicts_shows_a_stop_in_a_guest_and_one_at_its_hypervisor(gdb_path: str) -> None:
    with attached(gdb_path, GUEST, features=SVADE_H) as found:
        found.to("guest_load")
        found.session.say("hbreak *(long)&hypervisor_vector if $scause >= 12")
        for transcript in marked("hypervised"):
            compare(found.session.say(transcript.command), transcript, numberless)

"""RISC-V live: a kernel that leaves A and D to hardware, on harts that leave them to software (Svade)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.guests.riscv_live import RiscV, alone, attached, by_hardware, every_register

pytestmark = pytest.mark.guest

PAGES, ROUNDS = 64, 4
WINDOW = 0x4000_0000
FAULTS = 2 * PAGES * ROUNDS
"""Of one hart: each page is read first, which needs A, and then written, which needs D."""


@pytest.fixture
def at_fault(gdb_path: str) -> Iterator[RiscV]:
    """A guest at its trap vector, with its first fault."""
    with attached(gdb_path, "accessed") as found:
        found.to("fence_all")
        found.session.say("mmu catch any")
        found.session.say("continue")
        yield found


@pytest.mark.parametrize(("bits", "harts"), [pytest.param(64, 1, marks=pytest.mark.full), (64, 4), (32, 1)])
def test_a_guest_without_a_handler_dies_and_lives_with_the_service(gdb_path: str, bits: int, harts: int) -> None:
    assert "nobody handles it: scause" in alone("accessed", bits)
    with attached(gdb_path, "accessed", bits, harts) as found:
        found.to("fence_all")
        (summary,) = found.session.ask("service")
        assert summary["faults"] == FAULTS * harts
        assert summary["ended"] == "the guest is gone: QEMU closed the connection"
        said = found.ends()
    assert said.startswith("checksum")
    assert said == by_hardware(gdb_path, "accessed", bits, harts), "there nobody faults"


@pytest.mark.full
@pytest.mark.parametrize("harts", [1, 4])
def test_of_twenty_thousand_faults_none_is_lost(gdb_path: str, harts: int) -> None:
    rounds = 160 // harts
    with attached(gdb_path, "accessed", 64, harts, rounds=rounds) as found:
        found.to("fence_all")
        (summary,) = found.session.ask("service")
        assert summary["faults"] == 2 * PAGES * rounds * harts > 20_000
        said = found.ends()
    assert said.startswith("checksum"), "which the guest prints if every A and D was set"
    assert said == by_hardware(gdb_path, "accessed", 64, harts, rounds=rounds), "there nobody faults"


def test_a_vectored_stvec_is_served_too(gdb_path: str) -> None:
    with attached(gdb_path, "accessed", vectored=1) as found:
        found.to("fence_all")
        assert found.session.value("$stvec") & 3 == 1
        (summary,) = found.session.ask("service --count 5")
        assert (summary["faults"], summary["by"][0]["entry"]) == (5, "stvec, exceptions")


def test_a_kind_is_caught_by_what_the_tables_refuse(gdb_path: str) -> None:
    """One cause is every kind: a page that may not be written is no flag that is clear."""
    with attached(gdb_path, "accessed") as found:
        session = found.session
        found.to("fence_all")
        session.ask(f"pte {WINDOW:#x} A=1 D=1 W=0")
        session.say("mmu catch permission")
        session.say("mmu catch translation")
        (summary,) = session.ask("service")
        assert summary["ended"].startswith("breakpoint ")
        (fault,) = session.ask("fault")
        assert (fault["predicted"]["kind"], fault["predicted"]["deciding"]["field"]) == ("permission", "W")
        assert (fault["verdict"], summary["faults"]) == ("tables agree", 0)


def test_a_fault_names_the_bit_and_who_leaves_it_to_whom(at_fault: RiscV) -> None:
    (fault,) = at_fault.session.ask("fault")
    assert (fault["verdict"], fault["current"], fault["vector_entry"]) == ("tables agree", True, "stvec")
    assert (fault["predicted"]["deciding"]["field"], fault["loops_where_presence_counts"]) == ("A", True)
    assert fault["hardware"] == [{"register": "menvcfg", "field": "ADUE", "value": "0x0000000000000000"}]
    assert fault["delegation"]["taken_by"] == "S"


def test_fixup_sets_a_and_then_d_and_returns_by_registers_alone(at_fault: RiscV) -> None:
    session = at_fault.session
    for bit, access in (("A", "read"), ("D", "write")):
        (fault,) = session.ask("fault")
        assert fault["predicted"]["deciding"]["field"] == bit
        (fixed,) = session.ask("fixup --resume")
        assert (fixed["access"], fixed["applied"], fixed["return_through"]) == (access, True, None)
    (next_,) = session.ask("fault")
    assert int(next_["address"], 16) == WINDOW + 4096, "the first page is done"


@pytest.mark.parametrize(("bits", "vectored"), [(64, 0), (64, 1), (32, 1)])
@pytest.mark.parametrize("at_vector", [True, False])
def test_a_probe_that_faults_leaves_no_trace(gdb_path: str, bits: int, vectored: int, at_vector: bool) -> None:
    """At the trap vector, direct and vectored, where the fault would overwrite what is there; and before any fault."""
    with attached(gdb_path, "accessed", bits, vectored=vectored) as found:
        session = found.session
        found.to("fence_all")
        if at_vector:
            session.say("mmu catch any")
            session.say("continue")
            session.say("delete")
        else:
            # The window is to fault by then, and nobody has asked for it.
            found.to("read_page")
        assert session.value("$stvec") & 3 == vectored
        before = every_register(session)
        for words in ("", " --access write"):
            (probed,) = session.ask(f"probe {WINDOW + 4096:#x}{words}")
            asked = probed["first"][0]
            assert (asked["done"], probed["verdict"]) == (False, "agrees")
            now = every_register(session)
            # QEMU does nothing for a write of htinst, whoever makes it: its change is said, and is the only one.
            other = {name: now[name] for name in before if now[name] != before[name]}
            assert set(other) <= {"htinst"}
            assert other == {each["register"]: hex(int(each["now"], 16)) for each in asked.get("left", [])}
            before = now


def test_an_entry_is_changed_invalidated_and_put_back(at_fault: RiscV) -> None:
    session = at_fault.session
    session.ask(f"pte {WINDOW:#x} W=0 A=1")
    (invalidated,) = session.ask(f"tlbi {WINDOW:#x}")
    assert "sfence.vma a0, zero" in str(invalidated)
    session.say("mmu undo")
    (walked,) = session.ask(f"walk {WINDOW:#x}")
    assert walked["steps"][-1]["fields"]["W"] == "0x0000000000000001"


def test_the_syndrome_has_its_names(at_fault: RiscV) -> None:
    for name in ("syndrome", "scause"):
        (found,) = at_fault.session.ask(name)
        assert (found["class"], found["current"]) == ("load page fault", True)
    assert "`esr` is of AArch64, and this source of RISC-V" in at_fault.session.refusal("mmu esr")
    assert "load page fault" in at_fault.session.say("mmu scause 0xd")


def test_an_entry_that_a_tlb_kept_invalid_is_named_and_a_fence_cures_it(gdb_path: str) -> None:
    """QEMU's TLB keeps no invalid entry: the guest's M-mode plays one that does, until a fence has been executed."""
    page = 0x4000_1000
    with attached(gdb_path, "spurious") as found:
        session = found.session
        found.to("use_new_page")
        session.say("mmu catch any")
        for _ in range(2):
            session.say("continue")
            (fault,) = session.ask("fault")
            first = fault["suspicions"][0]
            assert (fault["verdict"], int(fault["address"], 16)) == ("tables permit", page)
            assert (first["cause"], first["weight"]) == ("cached invalid", "shown")
            assert first["written"]["invalidations"] == [], "the code before the access shows that nothing was fenced"
        assert "the invalid entry that a TLB kept" in fault["sentence"]
        session.ask(f"tlbi {page:#x}")
        session.say("delete")
        session.gdb.run("continue")
        assert found.ends() == "the page has 0x600d0000, after 0x00000002 faults that were called spurious\n"


def test_without_a_fence_the_service_names_the_loop(gdb_path: str) -> None:
    with attached(gdb_path, "spurious") as found:
        found.to("use_new_page")
        (summary,) = found.session.ask("service")
        assert summary["ended"].startswith("a fault loop: pc ")
        assert summary["ended"].endswith("which permits it")

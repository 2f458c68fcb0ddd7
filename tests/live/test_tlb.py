"""Repairs and probes on a guest whose TLB holds what the tables say, by instructions that the guest itself has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.live.tlb import BLOCK, LOST, OWN_PAGE, PAGE_A, PAGE_B, PAGE_D, Tlb, looping, symbol
from tests.transcripts import compare, marked

pytestmark = pytest.mark.guest

AF, READ_ONLY, NG, PXN = 1 << 10, 1 << 7, 1 << 11, 1 << 53
A, B = ord("A"), ord("B")
PAGES = f"{PAGE_A:#x},{PAGE_D + 1:#x}"


@pytest.fixture(scope="module", params=[12, 14], ids=["4 KiB", "16 KiB"])
def either(request: pytest.FixtureRequest, qemu: str, gdb_path: str) -> Iterator[Tlb]:
    with looping(gdb_path, granule_bits=request.param) as live:
        yield live


@pytest.fixture(scope="module")
def guest(qemu: str, gdb_path: str) -> Iterator[Tlb]:
    with looping(gdb_path) as live:
        yield live


@pytest.fixture(scope="module")
def two_cpus(qemu: str, gdb_path: str) -> Iterator[Tlb]:
    with looping(gdb_path, cpus=2) as live:
        yield live


@pytest.fixture(scope="module")
def at_el0(qemu: str, gdb_path: str) -> Iterator[Tlb]:
    with looping(gdb_path, at_el0=True) as live:
        yield live


@pytest.fixture(autouse=True)
def _as_it_was(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test leaves the tables as it found them, and the TLB with every page in it."""
    live = next((request.getfixturevalue(each) for each in FIXTURES if each in request.fixturenames), None)
    if live is None:
        yield
        return
    live.say("thread 1")
    before = live.image()
    yield
    live.say("delete")
    while live.ask("status")[0]["abilities"]["written so far"] != "0 descriptors":
        live.ask("undo")
    live.say("thread 1")
    assert live.image() == before
    live.round()


FIXTURES = ("either", "guest", "two_cpus", "at_el0")


def kind(fault: Any) -> tuple[str, int] | None:
    return None if fault is None else (fault["kind"], fault["level"])


# The stale entry: the story, end to end.


def test_a_stale_entry_is_proved_by_the_guests_own_load_and_tlbi(either: Tlb) -> None:
    live, faults = either, either.faults()
    assert live.probe(f"{PAGE_A:#x}")["verdict"] == "agrees"
    live.poke(live.leaf(PAGE_A), 0)
    # Nobody has told the TLB: the guest's own loads go on as if nothing had happened.
    live.round()
    assert live.faults() == faults
    stale = live.probe(f"{PAGE_A:#x}")
    assert (stale["verdict"], stale["proved"]) == ("stale", False)
    assert stale["first"][0]["value"] == f"{A:#018x}"
    assert kind(stale["first"][0]["tables"]["fault"]) == ("translation", 3)
    proof = live.probe(f"{PAGE_A:#x} --tlbi")
    assert (proof["verdict"], proof["proved"]) == ("stale", True)
    (after,) = proof["again"]
    assert kind(after["fault"]) == kind(after["tables"]["fault"]) == ("translation", 3)
    assert int(after["syndrome"], 16) == 0x96000007
    # And the guest's next round faults, as the table says it should.
    live.round()
    assert live.faults() == faults + 1
    restore(live)


def restore(live: Tlb) -> None:
    """Put page A back: the pages of a guest's image follow one another."""
    distance = (live.entry(PAGE_D) - live.entry(PAGE_B)) // 2
    live.poke(live.leaf(PAGE_A), live.entry(PAGE_B) - distance)


def test_the_at_instruction_walks_where_the_load_does_not(guest: Tlb) -> None:
    """QEMU's AT does not ask its TLB: beside the load, it is a second opinion about the tables."""
    guest.ask(f"pte {PAGE_A:#x} TYPE=0")
    load, at = guest.probe(f"{PAGE_A:#x}"), guest.probe(f"{PAGE_A:#x} --by at")
    assert (load["verdict"], at["verdict"]) == ("stale", "agrees")
    assert kind(at["first"][0]["fault"]) == ("translation", 3)
    guest.ask("undo")
    at = guest.probe(f"{PAGE_B:#x} --by at --access write --unprivileged")
    assert at["first"][0]["output"] == at["first"][0]["tables"]["output"]
    assert at["first"][0]["borrowed"]["instruction"].startswith("AT S1E0W")


def test_a_stale_output_address_shows_by_what_is_read_there(either: Tlb) -> None:
    to = either.ask(f"walk {PAGE_A:#x}")[0]["output"]
    either.ask(f"pte {PAGE_B:#x} OutputAddress={to} --live")
    found = either.probe(f"{PAGE_B:#x} --tlbi")
    assert (found["verdict"], found["proved"]) == ("elsewhere", True)
    assert [int(each["value"], 16) for each in (*found["first"], *found["again"])] == [B, A]


def test_break_before_make_leaves_nothing_stale(either: Tlb) -> None:
    to = either.ask(f"walk {PAGE_A:#x}")[0]["output"]
    (changed,) = either.ask(f"pte {PAGE_B:#x} OutputAddress={to} --break")
    assert (changed["need"], changed["way"], changed["applied"]) == ("break", "break", True)
    found = either.probe(f"{PAGE_B:#x}")
    assert (found["verdict"], int(found["first"][0]["value"], 16)) == ("agrees", A)
    either.ask("undo")
    found = either.probe(f"{PAGE_B:#x}")
    assert (found["verdict"], int(found["first"][0]["value"], 16)) == ("agrees", B)


def test_a_block_of_level_2_is_changed_and_invalidated_like_a_page(either: Tlb) -> None:
    (changed,) = either.ask(f"pte {BLOCK:#x} TYPE=0 --tlbi")
    assert (changed["level"], changed["need"]) == (2, "invalidation")
    found = either.probe(f"{BLOCK + 0x1000:#x}")
    assert (found["verdict"], kind(found["first"][0]["fault"])) == ("agrees", ("translation", 2))


def test_a_table_is_cut_off_and_everything_below_it_is_gone_from_the_tlb(guest: Tlb) -> None:
    (changed,) = guest.ask(f"pte {PAGE_A:#x} TYPE=0 --level 2 --tlbi")
    assert changed["invalidation"]["scopes"][0]["extent"] == "all"
    for page in (PAGE_A, PAGE_B, PAGE_D):
        assert kind(guest.probe(f"{page:#x}")["first"][0]["fault"]) == ("translation", 2)


# The store.


def test_a_store_probe_faults_where_only_writing_is_refused_and_leaves_every_byte(guest: Tlb) -> None:
    guest.ask(f"pte {PAGE_A:#x} AP=3 --tlbi")
    before = guest.image()
    found = guest.probe(f"{PAGE_A:#x} --access write")
    assert [(each["access"], kind(each["fault"])) for each in found["first"]] == [
        ("read", None),
        ("write", ("permission", 3)),
    ]
    assert found["verdict"] == "agrees"
    assert guest.image() == before


def test_a_store_probe_writes_back_what_was_there(guest: Tlb) -> None:
    before = guest.image()
    found = guest.probe(f"{PAGE_A + 0x123:#x} --access write")
    assert [each["done"] for each in found["first"]] == [True, True]
    assert found["first"][1]["borrowed"]["registers"]["x1"] == f"{A:#018x}"
    assert guest.image() == before


def test_an_unprivileged_probe_asks_as_el0(guest: Tlb) -> None:
    """The image is EL1's alone."""
    data = symbol("faults")
    assert guest.probe(f"{data:#x}")["first"][0]["done"]
    found = guest.probe(f"{data:#x} --unprivileged")
    assert (found["verdict"], kind(found["first"][0]["fault"])) == ("agrees", ("permission", 3))


# What is left behind.


@pytest.mark.parametrize("words", ["--tlbi", "--access write --tlbi", "--by at --tlbi"])
@pytest.mark.parametrize("type_", [0, 3], ids=["faults", "succeeds"])
def test_a_probe_leaves_every_register_but_the_exceptions_own(guest: Tlb, words: str, type_: int) -> None:
    if type_ == 0:
        guest.ask(f"pte {PAGE_A:#x} TYPE=0 --tlbi")
    before, image = guest.registers(), guest.image()
    found = guest.probe(f"{PAGE_A:#x} {words}")
    after = guest.registers()
    changed = {name for name in before if before[name] != after[name]}
    raised = any(each["syndrome"] for each in (*found["first"], *found["again"]))
    assert changed <= (LOST if raised else {"PAR_EL1"} if "at" in words.split() else set())
    assert guest.image() == image
    assert guest.physical_mode() == "0"


@pytest.mark.parametrize("command", [f"tlbi {PAGE_A:#x}", "tlbi asid=5", "tlbi all", "tlbi"])
def test_an_invalidation_leaves_every_register_and_byte(guest: Tlb, command: str) -> None:
    before, image = guest.registers(), guest.image()
    (answer,) = guest.ask(command)
    assert answer["applied"]
    assert (guest.registers(), guest.image()) == (before, image)


def test_neither_breakpoints_nor_catches_notice_a_borrowed_step(guest: Tlb) -> None:
    guest.ask(f"pte {PAGE_A:#x} TYPE=0 --tlbi")
    guest.say("mmu catch any")
    guest.say(f"hbreak *{symbol('accesses')}")
    assert guest.probe(f"{PAGE_A:#x} --tlbi")["first"][0]["fault"]
    assert "already hit" not in guest.say("info breakpoints")


def test_what_is_said_to_be_borrowed_is_what_gdb_disassembles(guest: Tlb) -> None:
    """An oracle that is not us: the texts against those of GDB's own disassembler."""
    answers = [guest.probe(f"{PAGE_A:#x} --access write --tlbi"), guest.probe(f"{PAGE_A:#x} --unprivileged")]
    answers += [guest.probe(f"{PAGE_A:#x} --by at"), *guest.ask("tlbi asid=5"), *guest.ask("tlbi all")]
    loans = [loan for each in answers if "borrowed" in each for loan in each["borrowed"]]
    loans += [loan for each in answers if each.get("invalidation") for loan in each["invalidation"]["borrowed"]]
    loans += [ask["borrowed"] for each in answers if "first" in each for ask in each["first"]]
    assert len(loans) > 12
    for loan in loans:
        shown = guest.say(f"x/i {loan['address']}").partition(":\t")[2]
        assert re.sub(r"\s+", " ", shown.split("//")[0]).strip() == loan["instruction"].lower()


def test_the_transcript_of_the_docs_is_what_is_printed(qemu: str, gdb_path: str) -> None:
    with looping(gdb_path) as live:
        for transcript in marked("proof"):
            # All but the walk, which is the one of `mmu walk`.
            compare(live.say(transcript.command).partition("\n\nlevel  index")[0], transcript)


# Scopes.


def test_an_asid_invalidates_its_own_page_and_no_global_one(guest: Tlb) -> None:
    own, other = guest.leaf(OWN_PAGE), guest.leaf(PAGE_B)
    before = [(at, guest.descriptor(at)) for at in (own, other)]
    for at, _ in before:
        guest.poke(at, 0)
    guest.ask("tlbi asid=6")
    assert [guest.probe(f"{page:#x}")["verdict"] for page in (OWN_PAGE, PAGE_B)] in (
        ["stale", "stale"],
        ["agrees", "agrees"],  # QEMU's TLB has no ASIDs: it forgets everything for any of them
    )
    guest.ask("tlbi asid=5")
    assert guest.probe(f"{OWN_PAGE:#x}")["verdict"] == "agrees"
    for at, value in before:
        guest.poke(at, value)


def test_an_address_invalidates_that_page_and_leaves_the_others_stale(guest: Tlb) -> None:
    guest.ask(f"pte {PAGE_A:#x} TYPE=0")
    guest.ask(f"pte {PAGE_B:#x} TYPE=0")
    guest.ask(f"tlbi {PAGE_A:#x}")
    assert guest.probe(f"{PAGE_A:#x}")["verdict"] == "agrees"
    assert guest.probe(f"{PAGE_B:#x}")["verdict"] == "stale"


def test_without_an_instruction_for_an_address_alone_all_is_invalidated_and_said(guest: Tlb) -> None:
    # As if the guest had only the one for everything.
    page = symbol("invalidate_page") + 4
    guest.poke(page, guest.descriptor(page) >> 32 << 32 | 0xD503201F)
    try:
        (answer,) = guest.ask(f"tlbi {PAGE_A:#x}")
        assert answer["wider"]
        assert any("VMALLE1IS" in each["instruction"] for each in answer["borrowed"])
        assert "the guest has none for this alone" in guest.say(f"mmu tlbi {PAGE_A:#x}")
    finally:
        guest.poke(page, guest.descriptor(page) >> 32 << 32 | 0xD5088360)


def test_a_guest_without_one_is_told_so_plainly(guest: Tlb) -> None:
    guest.ask(f"pte {symbol('invalidate_page'):#x} PXN=1")
    before = guest.registers(), guest.image()
    for command in (
        f"mmu tlbi {PAGE_A:#x}",
        "mmu tlbi",
        f"mmu pte {PAGE_A:#x} AF=0 --tlbi",
        f"mmu probe {PAGE_A} --tlbi",
    ):
        assert "the guest has no TLB invalidation for this in its mapped executable memory" in guest.refusal(command)
    assert "the guest has no address translation (AT)" in guest.refusal(f"mmu probe {PAGE_A:#x} --by at")
    assert (guest.registers(), guest.image()) == before


def test_what_is_borrowed_may_not_be_broken(guest: Tlb) -> None:
    before = guest.image()
    own = symbol("invalidate_page")
    for words in (f"pte {own:#x} PXN=1 --break", f"pte {own:#x} PXN=1 --tlbi", f"clear-af {own:#x} --tlbi"):
        assert "could not be executed then; nothing was written" in guest.refusal(f"mmu {words}")
    assert guest.image() == before


# Several CPUs, and EL0.


def test_a_broadcast_invalidation_reaches_the_other_cpus_tlb(two_cpus: Tlb) -> None:
    live = two_cpus
    live.ask(f"pte {PAGE_A:#x} TYPE=0")
    live.say("thread 2")
    assert live.probe(f"{PAGE_A:#x}")["verdict"] == "stale"
    live.say("thread 1")
    (answer,) = live.ask(f"tlbi {PAGE_A:#x}")
    assert not answer["local"]
    live.say("thread 2")
    assert live.probe(f"{PAGE_A:#x}")["verdict"] == "agrees"


def test_only_the_selected_cpu_is_stepped(two_cpus: Tlb) -> None:
    live = two_cpus
    live.say("thread 2")
    other = live.registers()
    live.say("thread 1")
    live.probe(f"{PAGE_A:#x} --tlbi")
    assert live.inside("gdb.selected_thread().num") == 1
    live.say("thread 2")
    assert live.registers() == other


def test_at_el0_a_probe_is_el0s_and_comes_back_to_it(at_el0: Tlb) -> None:
    live = at_el0
    assert "at EL0" in live.say("mmu status")
    live.ask(f"pte {PAGE_A:#x} AP=0")
    stale = live.probe(f"{PAGE_A:#x}")
    assert (stale["verdict"], stale["access"]["el"]) == ("stale", 0)
    assert "the CPU is at EL0, which may not invalidate a TLB" in live.refusal(f"mmu probe {PAGE_A:#x} --tlbi")
    assert "at EL0, where AT is not available" in live.refusal(f"mmu probe {PAGE_A:#x} --by at")
    before = live.registers()
    found = live.probe(f"{symbol('faults'):#x}")
    assert (found["verdict"], kind(found["first"][0]["fault"])) == ("agrees", ("permission", 3))
    after = live.registers()
    assert {name for name in before if before[name] != after[name]} <= LOST
    live.round()


# What is refused.


def test_in_the_vectors_a_probe_is_refused_whatever_is_said(guest: Tlb) -> None:
    pc = guest.value("$pc")
    guest.set_registers(pc=symbol("vectors") + 0x200)
    try:
        before = guest.registers()
        for words in ("", "--overwrite", "--access write"):
            said = guest.refusal(f"mmu probe {PAGE_A:#x} {words}")
            assert "in the exception vectors, where ESR, FAR, ELR and SPSR of EL1 are those of an exception" in said
        assert guest.registers() == before
        assert guest.probe(f"{PAGE_A:#x} --by at")["verdict"] == "agrees"
    finally:
        guest.set_registers(pc=pc)


def test_where_interrupts_are_masked_nobody_knows_and_the_user_has_to_say(guest: Tlb) -> None:
    cpsr = guest.value("$cpsr")
    guest.set_registers(cpsr=cpsr | 0x1C0)
    try:
        said = guest.refusal(f"mmu probe {PAGE_A:#x}")
        assert "interrupts are masked at EL1" in said
        assert "say --overwrite" in said
        assert guest.probe(f"{PAGE_A:#x} --overwrite")["verdict"] == "agrees"
    finally:
        guest.set_registers(cpsr=cpsr)


def test_a_change_that_needs_break_before_make_is_refused_in_place(guest: Tlb) -> None:
    before = guest.image()
    for change in ("OutputAddress=0x40000000", "SH=0", "AttrIndx=1", "Contiguous=1"):
        said = guest.refusal(f"mmu pte {PAGE_A:#x} {change}")
        assert f"a live entry may not change {change.split('=')[0]}" in said
        assert "say --break" in said
    # A page that is this ASID's only: to make it global is another matter than to make it less.
    assert "a live entry may not change nG" in guest.refusal(f"mmu pte {OWN_PAGE:#x} nG=0")
    assert guest.ask(f"pte {PAGE_A:#x} nG=1 --dry-run")[0]["need"] == "invalidation"
    assert guest.image() == before


def test_device_memory_is_not_probed_by_an_access(guest: Tlb) -> None:
    guest.ask(f"pte {PAGE_A:#x} AttrIndx=1 --break")
    assert "an access may have effects; ask by --by at" in guest.refusal(f"mmu probe {PAGE_A:#x}")
    assert guest.probe(f"{PAGE_A:#x} --by at")["verdict"] == "agrees"


# Access flags, and undo.


def test_clearing_access_flags_makes_the_next_round_fault_once_for_each_page(guest: Tlb) -> None:
    faults = guest.faults()
    (cleared,) = guest.ask(f"clear-af {PAGES} --tlbi")
    assert [int(each["input"], 16) for each in cleared["changes"]] == [PAGE_A, PAGE_B, OWN_PAGE, PAGE_D]
    assert all(int(each["before"], 16) ^ int(each["after"], 16) == AF for each in cleared["changes"])
    assert "clear already" in guest.refusal(f"mmu clear-af {PAGES}")
    guest.round()
    assert guest.faults() == faults + 4
    guest.ask("undo")
    guest.round()
    assert guest.faults() == faults + 4


def test_without_an_invalidation_the_tlb_hides_a_cleared_access_flag(guest: Tlb) -> None:
    guest.ask(f"clear-af {PAGE_A:#x}")
    assert guest.probe(f"{PAGE_A:#x}")["verdict"] == "stale"


def test_the_vectors_own_access_flag_is_not_cleared(guest: Tlb) -> None:
    assert "maps the exception vectors of CPU 0" in guest.refusal("mmu clear-af 0x40200000,0x40201000")
    [cleared] = guest.ask("clear-af 0x40200000,0x40300000")
    assert "vectors" in cleared["spared"]["0x0000000040200000"]
    assert guest.ask("walk 0x40200000")[0]["attributes"]["accessed"]
    guest.say("mmu undo")


def test_undo_restores_every_byte_of_any_sequence(either: Tlb) -> None:
    before = either.image()
    to = either.ask(f"walk {PAGE_D:#x}")[0]["output"]
    either.ask(f"pte {PAGE_A:#x} AP=3 SOFTWARE=9")
    either.ask(f"pte {PAGE_A:#x} OutputAddress={to} --break")
    either.ask(f"clear-af {PAGES} --tlbi")
    either.ask(f"pte {BLOCK:#x} AF=0 UXN=0 --tlbi")
    either.ask(f"pte {PAGE_B:#x} descriptor=0")
    either.ask(f"pte {PAGE_D:#x} UXNTable=1 --level 1")
    assert either.image() != before
    undone = either.ask("undo 2")
    assert [each["left"] for each in undone] == [4, 4]
    undone += either.ask("undo --all")
    assert [each["what"] for each in undone] == ["pte", "pte", "pte", "clear-af", "pte", "pte"]
    assert either.image() == before
    assert "nothing was written" in either.refusal("mmu undo")


def test_what_somebody_else_changed_since_is_not_undone_and_nothing_else_is(guest: Tlb) -> None:
    guest.ask(f"pte {PAGE_A:#x} AP=3")
    guest.ask(f"clear-af {PAGES}")
    at, mine = guest.leaf(PAGE_D), guest.entry(PAGE_D)
    guest.poke(at, mine | 1 << 58)
    before = guest.image()
    for words in ("undo", "undo --all", "undo --dry-run"):
        assert "somebody changed it since; nothing was taken back" in guest.refusal(f"mmu {words}")
    assert guest.image() == before
    guest.poke(at, mine)

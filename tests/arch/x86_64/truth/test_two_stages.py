"""A guest's own tables through the hypervisor's: who refuses, what the VM exit says of it, and what is kept of it.

Intel SDM volume 3, "EPT Violations", "Accessed and Dirty Flags for EPT", "Exit Qualification for EPT Violations"; AMD64
APM volume 2, "Nested Table Walk", "Nested versus Guest Page Faults, Fault Ordering".
"""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from gdbtools.addresses import VA
from gdbtools.arch.model import written_down
from gdbtools.arch.scan import scan
from gdbtools.arch.x86_64.architecture import X86_64
from gdbtools.arch.x86_64.privileges import SUPERVISOR
from gdbtools.errors import Unavailable, UsageError
from tests.arch.x86_64.guest import Machine

P, RW, US, A, D, NX = 1, 2, 4, 1 << 5, 1 << 6, 1 << 63
GUEST = P | RW | US | A | D
"""Of the guest's entries: nothing has to be set in them."""
EPT_RWX, NESTED = 7 | 6 << 3, P | RW | US | A | D
ROOTS = (0x10000, 0x11000, 0x12000, 0x13000)
RAM = 0x20000
"""Where guest physical address 0 is."""
GUEST_TABLES = (0x1000, 0x2000, 0x3000, 0x4000)
DATA = 0x9000
LINEAR, FINAL = 1 << 7, 1 << 8
GPT, GPA = 1 << 33, 1 << 32
LONG = {"cr0": 0x8001_0001, "cr3": 0x1000, "cr4": 0x20, "efer": 0xD00, "maxphyaddr": 46, "cs": 8, "eflags": 2}


def guest(
    stage: str, leaf: int = GUEST, tables: int = GUEST, changed: dict[int, int] | None = None, **more: int
) -> Machine:
    """Return a guest that maps VA 0 to GPA 0x9000; `changed` are flags of the hypervisor's pages by the GPA."""
    flags = EPT_RWX if stage == "ept" else NESTED
    upper = 7 if stage == "ept" else NESTED
    memory = {pa: below | upper for pa, below in pairwise(ROOTS)}
    for gpa in range(0, 0x10000, 0x1000):
        memory[ROOTS[3] + gpa // 512] = RAM + gpa | (changed or {}).get(gpa, flags)
    for gpa in GUEST_TABLES[:3]:
        memory[RAM + gpa] = gpa + 0x1000 | tables
    memory[RAM + 0x4000] = DATA | leaf
    root = {"eptp": ROOTS[0] | 0x1E} if stage == "ept" else {"ncr3": ROOTS[0], "hefer": 0xD00, "hcr4": 0x20}
    return Machine(LONG | root | more, memory)


@pytest.mark.parametrize("stage", ["ept", "npt"])
def test_an_address_goes_through_both_stages_and_each_fetch_is_kept(stage: str) -> None:
    found, refused, _ = guest(stage).ask(0x123, "write")
    assert refused is None
    assert found.destination is not None
    assert (found.destination.address, found.outcome.address) == (DATA | 0x123, RAM + DATA | 0x123)  # type: ignore[union-attr]
    assert [(step.via.input, step.pa) for step in found.steps if step.via] == [(gpa, RAM + gpa) for gpa in GUEST_TABLES]


@pytest.mark.parametrize(("stage", "name", "label", "register"), [
    ("ept", "EPT (4 levels)", "EPT", "eptp"), ("npt", "nCR3 (4-level paging)", "nested paging", "nCR3"),
])  # fmt: skip
def test_a_second_stage_is_called_what_its_manual_calls_it(stage: str, name: str, label: str, register: str) -> None:
    below = guest(stage).ask(0, "read", regime=stage)[0].regime
    assert (below.short_name, below.stage_label, below.root_register) == (name, label, register)
    assert (below.own_name, below.input_label) == (f"guest physical addresses, {name}", "GPA")


@pytest.mark.parametrize(("stage", "status"), [("ept", 1 | LINEAR), ("npt", RW | US | GPT)])
@pytest.mark.parametrize("kind", ["read", "write", "execute"])
def test_a_table_that_is_not_there_refuses_its_fetch_whatever_is_asked(stage: str, status: int, kind: str) -> None:
    found, refused, said = guest(stage, changed={0x3000: 0}).ask(0, kind)
    assert refused is not None
    assert (refused.fault.stage, refused.fault.s1ptw, refused.fault.level, said) == (2, True, 1, status)
    assert found.fetch is not None
    assert (found.fetch.level.number, found.fetch.via.input) == (2, 0x3000)
    assert " of a guest table walk" in X86_64.called(refused.fault, None, found)


@pytest.mark.parametrize(("stage", "kind", "flags", "status"), [
    ("ept", "read", 4 | 6 << 3, 1 | 4 << 3 | LINEAR | FINAL), ("ept", "write", 5 | 6 << 3, 2 | 5 << 3 | LINEAR | FINAL),
    ("ept", "execute", 3 | 6 << 3, 4 | 3 << 3 | LINEAR | FINAL), ("ept", "read", 0, 1 | LINEAR | FINAL),
    ("npt", "read", 0, US | GPA), ("npt", "write", P | US, P | RW | US | GPA), ("npt", "read", P | RW, P | US | GPA),
    ("npt", "execute", P | RW | US | NX, P | US | 1 << 4 | GPA), ("npt", "execute", 0, US | 1 << 4 | GPA),
    ("npt", "read", P | US | 1 << 50, P | US | 1 << 3 | GPA),
])  # fmt: skip
@pytest.mark.parametrize("who", ["user", "supervisor"])
def test_the_final_address_is_refused_by_the_rights_of_its_page(stage, kind, flags, status, who) -> None:
    found, refused, said = guest(stage, changed={DATA: flags}).ask(0, kind, who)
    assert refused is not None
    assert (refused.fault.stage, refused.fault.s1ptw, said) == (2, False, status)
    assert found.destination is not None
    assert found.destination.address == DATA


@pytest.mark.parametrize(("flags", "kind", "cause"), [
    (0, "read", "NOT_PRESENT"), (P | RW, "read", "NOT_A_GUESTS"), (P | US, "write", "READ_ONLY"),
    (P | US | NX, "execute", "NO_EXECUTE"), (P | US, "execute", ""), (P | US | NX, "read", ""), (P | US, "read", ""),
])  # fmt: skip
def test_nested_tables_refuse_by_the_bit_that_withholds(flags: int, kind: str, cause: str) -> None:
    for who in ("user", "supervisor"):
        found = guest("npt", changed={DATA: flags}).outcome(0, kind, who)
        assert found[0] == (cause or "mapped")


@pytest.mark.parametrize("stage", ["ept", "npt"])
def test_the_guests_own_page_fault_comes_before_the_second_stage_is_asked(stage: str) -> None:
    assert guest(stage, P | A | D, changed={DATA: 0}).outcome(0, "write", "supervisor") == ("READ_ONLY", 3)
    assert guest(stage, 0, changed={DATA: 0}).outcome(0, "read", "user") == ("NOT_PRESENT", 4)


# "Accesses to the guest's tables": EPT reads them, and writes them where a flag is to be set or EPTP.AD is on.
@pytest.mark.parametrize(("eptp", "leaf", "tables", "kind", "status"), [
    (0x1E, GUEST, GUEST, "read", None), (0x1E, GUEST, GUEST, "write", None),
    (0x1E, P | RW | A, GUEST, "write", 2 | 5 << 3 | LINEAR), (0x1E, P | RW | A, GUEST, "read", None),
    (0x1E, P | RW, GUEST, "read", 2 | 5 << 3 | LINEAR), (0x1E, GUEST, P | RW, "read", 2 | 5 << 3 | LINEAR),
    (0x5E, GUEST, GUEST, "read", 3 | 5 << 3 | LINEAR),
])  # fmt: skip
def test_a_flag_is_set_in_a_page_that_the_second_stage_has_writable(eptp, leaf, tables, kind, status) -> None:
    read_only = dict.fromkeys(GUEST_TABLES, 5 | 6 << 3)
    _, refused, said = guest("ept", leaf, tables, read_only, eptp=ROOTS[0] | eptp).ask(0, kind)
    assert said == status
    assert refused is None or (refused.fault.s1ptw, refused.decider.cause.name) == (True, "EPT_NOT_WRITABLE")


def test_paging_writes_are_allowed_by_a_bit_of_their_own_with_that_control() -> None:
    pages = dict.fromkeys(GUEST_TABLES, 5 | 6 << 3 | 1 << 58)
    assert guest("ept", P | RW, P | RW, pages).ask(0, "write")[1] is not None
    assert guest("ept", P | RW, P | RW, pages, tertiary_controls=1 << 2).ask(0, "write")[1] is None
    for gpa in pages:
        pages[gpa] &= ~(1 << 58)
    assert guest("ept", P | RW, P | RW, pages, tertiary_controls=1 << 2).ask(0, "write")[1] is not None


@pytest.mark.parametrize("withheld", [0x1000, 0x4000])
def test_nested_tables_take_each_fetch_of_a_guests_table_for_a_users_write(withheld: int) -> None:
    for flags, status in ((P | US, P | RW | US | GPT), (P | RW, P | RW | US | GPT), (NESTED | NX, None)):
        _, refused, said = guest("npt", changed={withheld: flags}).ask(0, "read")
        assert said == status
        assert refused is None or refused.fault.s1ptw


def test_who_executes_is_by_the_guests_tables_with_mode_based_control() -> None:
    pages = {DATA: 1 | 1 << 10 | 6 << 3}
    mbec = {"secondary_controls": 1 << 22}
    users = guest("ept", changed=pages, **mbec)
    users.memory |= {pa: users.memory[pa] | 1 << 10 for pa in ROOTS[:3]}
    assert users.outcome(0, "execute", "user") == ("mapped", RAM + DATA)
    assert users.outcome(0, "execute", "supervisor") == ("mapped", RAM + DATA), "the address is a user's, whoever asks"
    kernels = guest("ept", P | RW | A | D, changed=pages, **mbec)
    assert kernels.outcome(0, "execute", "supervisor")[0] == "EPT_NOT_EXECUTABLE"


@pytest.mark.parametrize(("leaf", "executable"), [(GUEST, True), (P | RW | A | D, False)])
def test_what_is_shown_of_execution_with_that_control_is_by_whose_page_it_is(leaf: int, executable: bool) -> None:
    """The hypervisor's page is executable for user-mode addresses alone."""
    asked = guest("ept", leaf, changed={DATA: 1 | 1 << 10 | 6 << 3}, secondary_controls=1 << 22)
    asked.memory |= {pa: asked.memory[pa] | 1 << 10 for pa in ROOTS[:3]}
    found, _, _ = asked.ask(0, "read")
    assert found.attributes is not None
    assert found.attributes.rights[SUPERVISOR].execute is executable


def test_advanced_information_tells_of_the_guests_page() -> None:
    told = {"ept_vpid_cap": 1 << 22 | 1 << 17 | 1}
    for leaf, wanted in ((GUEST, 3 << 9), (GUEST & ~US, 1 << 10), (GUEST & ~RW, 1 << 9), (GUEST | NX, 7 << 9)):
        _, _, said = guest("ept", leaf, changed={DATA: 0}, **told).ask(0, "read")
        assert said == 1 | LINEAR | FINAL | wanted
    assert guest("ept", changed={0x3000: 0}, **told).ask(0, "read")[2] == 1 | LINEAR, "of a table nothing is told"
    flat = guest("ept", changed={DATA: 0}, cr0=0, **told)
    assert flat.ask(DATA, "read")[2] == 1 | LINEAR | FINAL | 3 << 9, "without paging all is a user's, and writable"
    read_only = dict.fromkeys(GUEST_TABLES, 5 | 6 << 3)
    assert guest("ept", P | RW | US, GUEST, read_only, **told).ask(0, "read")[2] == 2 | 5 << 3 | LINEAR
    assert guest("ept", changed={DATA: 0}, **told).ask(DATA, "read", regime="ept")[2] == 1 | LINEAR | FINAL


@pytest.mark.parametrize(("stage", "final", "table"), [
    ("ept", 2 | 1 << 3 | 1 << 13 | LINEAR | FINAL, 1 | LINEAR), ("npt", P | RW | US | 1 << 6 | GPA, RW | US | GPT),
])  # fmt: skip
def test_a_write_of_a_shadow_stack_is_told_of_the_page_and_not_of_its_table(stage: str, final: int, table: int) -> None:
    controls = {"cr0": 0x8001_0001, "cr4": 0x80_0020}
    below = {DATA: 1 | 6 << 3 if stage == "ept" else P | US}
    stack = P | US | A | D
    assert guest(stage, stack, changed=below, **controls).ask(0, "shadow-stack-write", "user")[2] == final
    assert guest(stage, stack, changed={0x3000: 0}, **controls).ask(0, "shadow-stack-write", "user")[2] == table


@pytest.mark.parametrize(("stage", "flags", "called"), [
    ("ept", 0, "EPT violation (exit reason 48): not present, level 1"),
    ("ept", 4 | 6 << 3, "EPT violation (exit reason 48): access rights, level 1"),
    ("ept", 2, "EPT misconfiguration (exit reason 49), level 1"),
    ("npt", 0, "nested page fault (VMEXIT_NPF): not present, level 1"),
    ("npt", P, "nested page fault (VMEXIT_NPF): access rights, level 1"),
    ("npt", P | US | 1 << 51, "nested page fault (VMEXIT_NPF): reserved bit, level 1"),
])  # fmt: skip
def test_a_vm_exit_is_called_as_the_manual_calls_it(stage: str, flags: int, called: str) -> None:
    for changed, of in (({DATA: flags}, ""), ({0x4000: flags}, " of a guest table walk")):
        found, refused, _ = guest(stage, changed=changed).ask(0, "read")
        assert refused is not None
        assert X86_64.called(refused.fault, None, found) == called.replace(", level", f"{of}, level")


@pytest.mark.parametrize("stage", ["ept", "npt"])
def test_what_the_second_stage_maps_by_itself_has_its_attributes(stage: str) -> None:
    types = {"WB": 7 | 6 << 3, "UC": 7} if stage == "ept" else {"WB": NESTED, "UC-": NESTED | 1 << 4}
    for memory, flags in types.items():
        found, refused, _ = guest(stage, changed={DATA: flags}).ask(DATA | 0x10, "write", regime=stage)
        assert refused is None
        assert found.attributes is not None
        assert (found.attributes.memory, found.attributes.device) == (memory, memory != "WB")
        assert (found.attributes.accessed, found.attributes.contiguous) == (True, False)
        assert found.attributes.is_global
        assert {str(each) for each in found.attributes.rights.values()} == {"rwx"}
    if stage == "npt":
        found, _, _ = guest(stage, changed={DATA: P | RW | US | NX}).ask(DATA, "read", regime=stage)
        assert found.attributes is not None
        assert (found.attributes.accessed, found.attributes.dirty) == (False, False)
        assert {str(each) for each in found.attributes.rights.values()} == {"rw-"}
        found, _, _ = guest(stage, changed={DATA: P | RW}).ask(DATA, "read", regime=stage)
        assert found.attributes is not None
        assert {str(each) for each in found.attributes.rights.values()} == {"---"}


@pytest.mark.parametrize("stage", ["ept", "npt"])
def test_an_address_that_is_too_large_has_no_attributes_for_want_of_a_step(stage: str) -> None:
    found, _, _ = guest(stage).ask(1 << 48, "read", regime=stage)
    assert found.steps == ()
    assert found.attributes is None


@pytest.mark.parametrize("stage", ["ept", "npt"])
def test_addresses_are_as_wide_as_the_processor_has_them(stage: str) -> None:
    """MAXPHYADDR is 46 here: what an entry of each level has of an address, and the highest of all."""
    below = guest(stage).ask(0, "read", regime=stage)[0].regime
    assert (below.first, below.last, below.output_last) == (0, 0xFFFF_FFFF_FFFF, 0x3FFF_FFFF_FFFF)
    assert below.table_bits() == 0x3FFF_FFFF_F000
    assert {level.number: below.linear_bits(level) for level in below.levels[1:]} == {
        3: 0x3FFF_C000_0000, 2: 0x3FFF_FFE0_0000, 1: 0x3FFF_FFFF_F000,
    }  # fmt: skip


def test_a_table_that_is_reached_twice_grants_what_each_way_to_it_does() -> None:
    """The map reads it once, and by either way has the rights of that way."""
    shared = guest("ept")
    whole = {root: [0] * 512 for root in ROOTS}
    for at, value in shared.memory.items():
        if at & -4096 in whole:
            whole[at & -4096][at % 4096 // 8] = value
    whole[ROOTS[2]][1] = ROOTS[3] | 1
    tables = {root: b"".join(each.to_bytes(8, "little") for each in words) for root, words in whole.items()}
    regime = X86_64.regime_for(written_down(shared.registers), VA(0), "ept")
    runs = list(scan(regime, lambda pa, size: tables[pa][:size]))
    assert [(run.first, run.size_bytes, str(run.attributes.rights[SUPERVISOR])) for run in runs] == [  # type: ignore[union-attr]
        (0, 0x10000, "rwx"), (0x20_0000, 0x10000, "r--"),
    ]  # fmt: skip


def test_a_page_that_the_guests_tables_are_not_in_is_no_paging_write_either() -> None:
    """Paging-write access needs an entry that has its bit, and there is none."""
    absent = guest("ept", changed={0x3000: 0}, tertiary_controls=1 << 2)
    _, refused, status = absent.ask(0, "write")
    assert refused is not None
    assert (refused.fault.stage, refused.fault.s1ptw, status) == (2, True, 1 | LINEAR)


def test_nested_tables_have_the_hosts_levels_and_its_nx() -> None:
    four = guest("npt")
    four.memory[ROOTS[0] + 8 * 511] = 0
    assert four.outcome((1 << 48) - 1, "read", regime="npt") == ("NOT_PRESENT", US | GPA)
    _, refused, _ = four.ask(1 << 48, "read", regime="npt")
    assert refused is not None
    assert (refused.decider.cause.name, refused.fault.kind.name) == ("GUEST_ADDRESS_TOO_LARGE", "TRANSLATION")
    assert (refused.decider.holder, refused.decider.value) == ("hCR4", 0)
    five = guest("npt", hcr4=0x1020)
    five.memory |= {ROOTS[0]: ROOTS[1] | NESTED, ROOTS[3]: 0x14000 | NESTED, 0x14000: RAM | NESTED}
    found, refused, _ = five.ask(0x10, "read", regime="npt")
    assert refused is None
    assert [step.level.number for step in found.steps] == [5, 4, 3, 2, 1]
    five.memory[ROOTS[0] + 8 * 15] = 0
    assert five.outcome((1 << 52) - 1, "read", regime="npt") == ("NOT_PRESENT", US | GPA)
    _, refused, _ = five.ask(1 << 52, "read", regime="npt")
    assert refused is not None
    assert (refused.decider.cause.name, refused.decider.value) == ("GUEST_ADDRESS_TOO_LARGE", 1)
    for hefer, status in ((0xD00, P | US | 1 << 4 | GPA), (0x500, P | US | 1 << 3 | GPA)):
        assert guest("npt", changed={DATA: NESTED | NX}, hefer=hefer).ask(0, "execute")[2] == status


@pytest.mark.parametrize(("own", "wanted"), [(0, "WB"), (1 << 3, "WB through WT"), (1 << 4, "WB through UC-")])
def test_what_both_types_make_together_is_said_where_the_hosts_is_not_write_back(own: int, wanted: str) -> None:
    found, _, _ = guest("npt", changed={DATA: NESTED | own}).ask(0, "read")
    assert found.attributes is not None
    assert found.attributes.memory == wanted
    uncached, _, _ = guest("npt", GUEST | 3 << 3, changed={DATA: NESTED | own}).ask(0, "read")
    assert uncached.attributes is not None
    assert uncached.attributes.memory == "UC"


def test_what_stands_in_for_the_hypervisors_registers_is_said() -> None:
    def assumed(machine: Machine, lacking: str) -> bool:
        registers = {name: value for name, value in machine.registers.items() if name != lacking}
        regime = X86_64.regime_for(written_down(registers), VA(0))
        assert regime.below is not None
        assert set(regime.below.assumed) <= set(regime.assumed)
        return any(each.startswith(f"{lacking}:") for each in regime.assumed)

    for stage, known in (
        ("npt", {"hcr4": 0x20, "hefer": 0xD00, "maxphyaddr": 46}),
        ("ept", {"secondary_controls": 0, "ept_vpid_cap": 0xFFFF_FFFF, "maxphyaddr": 46}),
    ):
        for name in known:
            assert assumed(guest(stage, **known), name)
            assert not any(f"{name}:" in each for each in guest(stage, **known).ask(0, "read")[0].regime.assumed)


def test_a_guest_without_paging_has_the_second_stage_alone() -> None:
    for stage, status in (("ept", 2 | 5 << 3 | LINEAR | FINAL), ("npt", P | RW | US | GPA)):
        real = guest(stage, changed={0x5000: 5 | 6 << 3 if stage == "ept" else P | US}, cr0=0)
        assert real.outcome(0x4010, "write") == ("mapped", RAM + 0x4010)
        assert real.ask(0x5000, "write")[2] == status


def test_one_guest_has_one_second_stage() -> None:
    with pytest.raises(UsageError, match="both ncr3 and eptp"):
        guest("ept", ncr3=0x1000).ask(0, "read")


# "Memory Type Used for Translated Guest-Physical Addresses", and the table of effective types that it refers to: the
# rows are EPT's type, the columns the guest's UC, UC-, WC, WT, WB and WP.
EFFECTIVE = {
    0: "UC UC WC UC UC UC", 1: "UC WC WC UC WC UC", 4: "UC UC WC WT WT WP", 5: "UC WC WC WT WP WP",
    6: "UC UC WC WT WB WP",
}  # fmt: skip


@pytest.mark.parametrize("own", EFFECTIVE)
def test_the_memory_type_is_of_both_stages_unless_the_guests_is_ignored(own: int) -> None:
    pat, pwt_pcd_pat = 0x0000_0506_0401_0700, (0, 1 << 3, 1 << 4, 3 << 3, 1 << 7, 1 << 7 | 1 << 3)
    for bits, wanted in zip(pwt_pcd_pat, EFFECTIVE[own].split(), strict=True):
        for ignored in (0, 1 << 6):
            found, _, _ = guest("ept", GUEST | bits, changed={DATA: 7 | own << 3 | ignored}, pat=pat).ask(0, "read")
            assert found.attributes is not None
            names = {0: "UC", 1: "WC", 4: "WT", 5: "WP", 6: "WB"}
            assert found.attributes.memory == (names[own] if ignored else wanted)


def test_that_a_guest_may_run_whose_second_stage_is_not_known_is_said() -> None:
    alone = {name: value for name, value in guest("npt").registers.items() if name not in ("ncr3", "hcr4", "hefer")}
    for efer, paging, told in ((0x1D00, 1, 1), (0xD00, 1, 0), (0x1D00, 0, 1)):
        registers = alone | {"efer": efer, "cr0": 0x8001_0001 if paging else 1}
        notes = X86_64.regime_for(written_down(registers), VA(0)).notes
        assert len([each for each in notes if "efer.SVME is 1" in each]) == told
    assert not guest("npt", efer=0x1D00).ask(0, "read")[0].regime.notes


def test_what_is_not_replayed_is_said() -> None:
    found, _, _ = guest("ept", eptp=ROOTS[0] | 0x9E, tertiary_controls=1 << 3).ask(0, "read")
    assert re.search("eptp.SSS.*\n.*GPV", "\n".join(found.regime.notes))
    assert not guest("ept").ask(0, "read")[0].regime.notes


def test_a_fault_of_the_second_stage_goes_to_no_vector() -> None:
    for name in ("npt", "ept"):
        with pytest.raises(Unavailable, match="VM exit and goes to no vector"):
            X86_64.exceptions.vectors(written_down(LONG), name)

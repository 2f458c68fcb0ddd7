"""Hyp mode's tables, its stage 2 below PL1, and what its exceptions leave: the manual's rules, one by one."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from gdbtools.addresses import PA, VA
from gdbtools.analysis.faults.diagnosis import Diagnosis, Verdict, diagnose
from gdbtools.arch.model import Access, AccessKind, FaultKind, Mapped, Regime, Walk, with_memory, written_down
from gdbtools.arch.model.registers import CpuRegisters
from gdbtools.arch.walk import walk
from gdbtools.errors import Unavailable, Unreadable
from tests.arch.aarch32.machine import AARCH32, EXECUTE, HYP, PL0, PL1, PL2, READ, SUPERVISOR, WRITE

ROOT, SECOND, STAGE2, SHORT = 0x4000_0000, 0x4000_1000, 0x4001_0000, 0x4002_0000
AF, XN, READ_ONLY, BLOCK, TABLE = 1 << 10, 1 << 54, 1 << 7, 0b01, 0b11
OUTPUT = 0x8000_0000
WHOLE = OUTPUT | AF | 3 << 8 | 1 << 6 | BLOCK
S2_WHOLE = 0x4000_0000 | 0xF << 2 | 3 << 6 | 3 << 8 | AF | BLOCK
VTCR = 1 << 31 | 1 << 6 | 0b11000
"""40 bits of IPA from level 1 on."""
CLEANED, INVALIDATED = AccessKind.CLEAN_INVALIDATION, AccessKind.INVALIDATION
USUAL = {
    "cpsr": HYP, "HSCTLR": 1, "HTCR": 0, "HTTBR": ROOT, "HMAIR0": 0xFF, "HMAIR1": 0x44, "HVBAR": 0x100, "HCR": 0,
    "VTCR": VTCR, "VTTBR": STAGE2, "SCTLR": 1, "TTBCR": 0, "TTBR0": SHORT, "TTBR1": 0, "DACR": 1, "ID_MMFR0": 5,
    "MAIR0": 0, "MAIR1": 0,
}  # fmt: skip


@dataclass
class Hypervisor:
    """Registers, and entries of eight bytes by their addresses; those in `short` have four."""

    entries: dict[int, int]
    registers: dict[str, int] = field(default_factory=dict)
    short: dict[int, int] = field(default_factory=dict)

    @property
    def register(self) -> CpuRegisters:
        return with_memory(written_down({**USUAL, **self.registers}), self.read)

    def read(self, pa: PA, size_bytes: int) -> bytes:
        if not ROOT <= pa < ROOT + (1 << 20):
            raise Unreadable(pa, size_bytes, "no memory is there")
        if size_bytes == 4:
            return self.short.get(pa, 0).to_bytes(4, "little")
        return b"".join(self.entries.get(at, 0).to_bytes(8, "little") for at in range(pa, pa + size_bytes, 8))

    def regime(self, name: str | None = None, va: int = 0) -> Regime:
        return AARCH32.regime_for(self.register, VA(va), name)

    def walk(self, va: int = 0, name: str | None = None) -> Walk:
        return walk(self.regime(name, va), VA(va), self.read)

    def refused(self, kind: AccessKind = READ, va: int = 0, name: str | None = None, user: bool = False) -> str:
        own = PL2 if name is None and {**USUAL, **self.registers}["cpsr"] == HYP else PL0 if user else PL1
        found = AARCH32.check(self.walk(va, name), Access(kind, own), HYP)
        return "" if found is None else found.decider.cause.name


# --- Its own tables.


def test_hyp_mode_has_one_range_and_one_level_of_privilege() -> None:
    machine = Hypervisor({ROOT: WHOLE})
    found = machine.walk(0x1234)
    assert found.outcome == Mapped(OUTPUT + 0x1234, 1 << 30)
    assert (found.regime.name, AARCH32.privileges_of(found.regime)) == ("PL2 stage 1, HTTBR", (PL2,))
    assert found.attributes is not None
    assert {level.label: str(rights) for level, rights in found.attributes.rights.items()} == {"PL2": "rwx"}
    assert (found.attributes.memory, found.attributes.is_global) == ("Normal Write-Back RW-allocate", True)
    other = Hypervisor({ROOT: WHOLE | 4 << 2}).walk().attributes
    assert other is not None
    assert other.memory == "Normal Non-cacheable", "HMAIR1's first"


@pytest.mark.parametrize(
    ("entry", "registers", "refused"),
    [
        (WHOLE, {}, ("", "", "")),
        (WHOLE | READ_ONLY, {}, ("", "READ_ONLY", "")),
        (WHOLE | XN, {}, ("", "", "EXECUTE_NEVER")),
        # PXN and AP[1] are nothing to it.
        (WHOLE & ~(1 << 6) | 1 << 53, {}, ("", "", "")),
        (WHOLE, {"HSCTLR": 1 | 1 << 19}, ("", "", "WRITE_IMPLIES_EXECUTE_NEVER")),
        (WHOLE | READ_ONLY, {"HSCTLR": 1 | 1 << 19}, ("", "READ_ONLY", "")),
        (WHOLE & ~AF, {}, ("NOT_ACCESSED", "NOT_ACCESSED", "NOT_ACCESSED")),
        (0, {}, ("INVALID_ENTRY", "INVALID_ENTRY", "INVALID_ENTRY")),
    ],
)
def test_what_a_leaf_grants_to_hyp_mode(entry: int, registers: dict[str, int], refused: tuple[str, str, str]) -> None:
    machine = Hypervisor({ROOT: entry}, registers)
    assert tuple(machine.refused(kind) for kind in (READ, WRITE, EXECUTE)) == refused


@pytest.mark.parametrize(
    ("bits", "refused"),
    [(1 << 62, ("", "READ_ONLY", "")), (1 << 60, ("", "", "EXECUTE_NEVER")), (1 << 61 | 1 << 59, ("", "", ""))],
)
def test_what_a_table_limits(bits: int, refused: tuple[str, str, str]) -> None:
    machine = Hypervisor({ROOT: SECOND | bits | TABLE, SECOND: WHOLE})
    assert tuple(machine.refused(kind) for kind in (READ, WRITE, EXECUTE)) == refused


def test_maintenance_needs_no_right_but_what_invalidates() -> None:
    machine = Hypervisor({ROOT: WHOLE | READ_ONLY})
    assert (machine.refused(CLEANED), machine.refused(INVALIDATED)) == ("", "READ_ONLY")


@pytest.mark.parametrize(
    ("t0sz", "last", "first_level"), [(0, 0xFFFF_FFFF, 1), (1, 0x7FFF_FFFF, 1), (2, 0x3FFF_FFFF, 2)]
)
def test_t0sz_says_where_the_range_ends_and_at_which_level_it_begins(t0sz: int, last: int, first_level: int) -> None:
    machine = Hypervisor({ROOT + 8 * at: WHOLE for at in range(512)}, {"HTCR": t0sz})
    regime = machine.regime()
    assert (regime.last, regime.levels[0].number) == (last, first_level)
    assert machine.refused(va=last) == ""
    if last < 0xFFFF_FFFF:
        assert machine.refused(va=last + 1) == "OUTSIDE_HYP_RANGE"
        refused = machine.walk(last + 1).refusal
        assert refused is not None
        assert (refused.fault.level, refused.decider.holder) == (1, "HTCR")
    assert machine.refused(va=1 << 32) == "ADDRESS_TOO_LARGE"


def test_what_is_below_the_root_tables_size_is_ignored_and_beyond_40_bits_it_is_refused() -> None:
    assert Hypervisor({ROOT: WHOLE}, {"HTTBR": ROOT | 8}).walk().outcome == Mapped(OUTPUT, 1 << 30)
    found = Hypervisor({}, {"HTTBR": 1 << 40}).walk().refusal
    assert found is not None
    assert (found.fault.kind, found.fault.level, found.decider.holder) == (FaultKind.ADDRESS_SIZE, 0, "HTTBR")


def test_while_its_mmu_is_off_all_leads_to_itself() -> None:
    machine = Hypervisor({}, {"HSCTLR": 0})
    assert machine.regime().name == "PL2 stage 1, MMU off (HSCTLR.M is 0)"
    assert machine.walk(0x1234).outcome == Mapped(0x1234, 1 << 32)
    assert AARCH32.privileges_of(machine.regime()) == (PL2,)
    assert machine.refused(WRITE) == ""


def test_big_endian_tables() -> None:
    swapped = int.from_bytes(WHOLE.to_bytes(8, "little"), "big")
    assert Hypervisor({ROOT: swapped}, {"HSCTLR": 1 | 1 << 25}).walk().outcome == Mapped(OUTPUT, 1 << 30)


# --- Its stage 2.

SECTION = 0x4010_0000 | 3 << 10 | 0b10


def below(entry: int = S2_WHOLE, **registers: int) -> Hypervisor:
    return Hypervisor({STAGE2 + 8: entry}, {"cpsr": SUPERVISOR, "HCR": 1, **registers}, {SHORT: SECTION})


def test_pl1_goes_through_stage_2_where_hcr_says_so() -> None:
    machine = below()
    found = machine.walk(0x1234)
    assert found.outcome == Mapped(0x4010_1234, 1 << 20)
    assert found.regime.name == "PL1&0 stage 1, TTBR0 through stage 2, VTTBR"
    assert [step.via is not None for step in found.steps] == [True]
    alone = below(HCR=0).walk(0x1234)
    assert alone.regime.below is None


@pytest.mark.parametrize(
    ("entry", "refused"),
    [
        (S2_WHOLE, ("", "", "")),
        (S2_WHOLE & ~(2 << 6), ("", "NO_WRITE", "")),
        (S2_WHOLE | XN, ("", "", "EXECUTE_NEVER")),
    ],
)
def test_stage_2_has_its_say_of_what_stage_1_allows(entry: int, refused: tuple[str, str, str]) -> None:
    machine = below(entry)
    assert tuple(machine.refused(kind) for kind in (READ, WRITE, EXECUTE)) == refused
    assert tuple(machine.refused(kind, 0x4000_0000, "stage2") for kind in (READ, WRITE, EXECUTE)) == refused
    own = machine.walk(0x4000_0000, "stage2").attributes
    assert own is not None
    assert {level.label for level in own.rights} == {"PL0", "PL1"}


def test_a_table_that_stage_2_refuses_is_its_fault_on_a_walk() -> None:
    found = below(S2_WHOLE & ~(1 << 6)).walk().refusal
    assert found is not None
    assert (found.fault.kind, found.fault.stage, found.fault.s1ptw) == (FaultKind.PERMISSION, 2, True)
    assert AARCH32.status(found.fault, Access(READ, PL1), below().walk()) == 0b001101


@pytest.mark.parametrize(
    ("vtcr", "bits", "levels"),
    [
        (0b11000 | 1 << 6, 40, (1, 2, 3)),
        (0b00000 | 1 << 6, 32, (1, 2, 3)),
        (0b00111, 25, (2, 3)),
        (0b11110, 34, (2, 3)),
    ],
)
def test_vtcr_says_how_large_an_ipa_is_by_a_signed_number(vtcr: int, bits: int, levels: tuple[int, ...]) -> None:
    regime = below(VTCR=vtcr).regime("stage2")
    assert (regime.last + 1, tuple(level.number for level in regime.levels)) == (1 << bits, levels)


@pytest.mark.parametrize(
    ("vtcr", "field"),
    [(0b01000 | 1 << 6, "S"), (0b10111 | 1 << 6, "S"), (2 << 6, "SL0"), (0b11000, "SL0"), (0b00111 | 1 << 6, "SL0")],
)
def test_a_starting_level_that_does_not_fit_is_refused_at_level_1(vtcr: int, field: str) -> None:
    """The sign that is not T0SZ's highest bit; level 0; a root of more than 16 tables; one of less than an entry."""
    found = below(VTCR=vtcr).walk(0, "stage2").refusal
    assert found is not None
    assert (found.fault.kind, found.fault.level) == (FaultKind.TRANSLATION, 1)
    assert (found.decider.cause.name, found.decider.holder, found.decider.field.name) == (
        "STARTING_LEVEL",
        "VTCR",
        field,
    )


def test_an_ipa_beyond_the_size_is_refused_at_level_1() -> None:
    found = below(VTCR=1 << 6).walk(1 << 32, "stage2").refusal
    assert found is not None
    assert (found.fault.level, found.decider.cause.name, found.decider.holder) == (1, "OUTSIDE_IPA_RANGE", "VTCR")


@pytest.mark.parametrize(
    ("hcr", "memory"), [(1 << 12, "Normal Write-Back RW-allocate"), (1 << 27 | 1, "Device-nGnRnE")]
)
def test_what_turns_stage_1_off(hcr: int, memory: str) -> None:
    machine = below(HCR=hcr)
    found = machine.walk(0x4000_0000)
    assert "MMU off (HCR." in found.regime.name
    assert found.attributes is not None
    assert found.attributes.memory == memory


def test_in_hyp_mode_whose_stage_2_it_is_is_said_and_whether_it_is_on() -> None:
    machine = Hypervisor({STAGE2 + 8: S2_WHOLE}, {"VTTBR": STAGE2 | 5 << 48})
    first, second = machine.regime("stage2").notes
    assert first == "HCR.VM is 0: stage 2 is off"
    assert "VTTBR (VMID 5)" in second
    assert below().regime("stage2").notes == ()
    with pytest.raises(Unavailable, match=r"HCR\.VM is 0, and VTTBR names no table"):
        Hypervisor({}, {"VTTBR": 0}).regime("stage2")


# --- What its exceptions leave.

DATA_LOWER, FETCH_LOWER, DATA_SAME, MCR = 0x24 << 26, 0x20 << 26, 0x25 << 26, 0x03 << 26
IL, TRANSLATION_1, PERMISSION_1, WNR, ISV_R3 = 1 << 25, 0b000101, 0b001101, 1 << 6, 1 << 24 | 2 << 22 | 3 << 16
DEVICE = 0x2200_0000


def taken(hsr: int, entry: int = 0x114, **registers: int) -> Diagnosis:
    """Return a fault of a guest whose VA 0 leads to what its stage 2 does not have."""
    machine = Hypervisor(
        {STAGE2 + 8: S2_WHOLE, ROOT: WHOLE | READ_ONLY},
        {"HSR": hsr | IL, "HCR": 1, "pc": entry, "HDFAR": 0x18, "HIFAR": 0x20, "HPFAR": DEVICE >> 8, **registers},
        {SHORT: DEVICE | 3 << 10 | 0b10},
    )
    return diagnose(AARCH32, machine.register, machine.read)


def test_an_abort_of_a_guest_goes_through_both_stages() -> None:
    found = taken(DATA_LOWER | ISV_R3 | TRANSLATION_1)
    assert found.verdict is Verdict.TABLES_AGREE
    assert (found.exception.target, found.exception.origin, found.exception.ipa) == (PL2, PL1, DEVICE)
    assert (found.leads_to, found.belongs.entry) == (DEVICE + 0x18, "Hyp Trap")
    moved = found.exception.syndrome.transfer
    assert moved is not None
    assert (moved.register, moved.size_bytes) == ("R3", 4)
    assert found.exception.names.address == "HDFAR"


def test_an_aborted_fetch_has_its_address_in_hifar() -> None:
    found = taken(FETCH_LOWER | TRANSLATION_1)
    assert (found.exception.address, found.exception.names.address) == (0x20, "HIFAR")


def test_an_abort_of_hyp_mode_is_of_its_own_tables() -> None:
    found = taken(DATA_SAME | WNR | PERMISSION_1, entry=0x110)
    assert (found.verdict, found.exception.regime) == (Verdict.TABLES_AGREE, "pl2")
    assert (found.exception.origin, found.belongs.entry) == (PL2, "Data Abort")
    assert taken(DATA_SAME | WNR | PERMISSION_1).verdict is Verdict.NOT_ONE_EXCEPTION, "not at the entry for guests"


def test_a_trap_has_the_classes_of_aarch64() -> None:
    found = taken(MCR | 1 << 24 | 0b1110 << 20 | 2 << 17 | 7 << 10 | 3 << 5 | 6 << 1)
    assert found.exception.syndrome.named_instruction == "MCR p15, 0, R3, c7, c6, 2 (DCISW)"
    register = Hypervisor({}, {"HSR": MCR | IL}).register
    assert type(AARCH32.word("HSR", register)).__name__ == "Coprocessor"


def test_where_hyp_mode_takes_what() -> None:
    of = AARCH32.exceptions.vectors
    register = Hypervisor({}).register
    assert of(register) == {0x10C: "Prefetch Abort", 0x110: "Data Abort", 0x114: "Hyp Trap"}
    assert (of(register, "pl2"), of(register, "stage2")) == (
        {0x10C: "Prefetch Abort", 0x110: "Data Abort"}, {0x114: "Hyp Trap"},
    )  # fmt: skip
    kernels = Hypervisor({}, {"cpsr": SUPERVISOR, "VBAR": 0x200}).register
    assert of(kernels) == {0x20C: "Prefetch Abort", 0x210: "Data Abort"}
    assert (AARCH32.exceptions.vector_base(kernels), AARCH32.exceptions.vector_base(kernels, "stage2")) == (
        "VBAR", "HVBAR",
    )  # fmt: skip


def test_what_is_in_force_in_hyp_mode_is_its_own() -> None:
    shown = AARCH32.in_force(Hypervisor({}).register)
    assert {"HSCTLR", "HTTBR", "HSR", "HCR", "VTTBR"} <= set(shown)
    assert not {"TTBR0", "DFSR"} & set(shown)

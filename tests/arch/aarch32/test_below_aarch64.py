"""An AArch32 EL1 by AArch64's names of its registers: which bits are whose, and both stages together."""

from __future__ import annotations

import pytest

from gdbtools.addresses import PA, VA
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.aarch32.translation import under_aarch64
from gdbtools.arch.model import Access, AccessKind, FaultKind, Mapped, Walk, written_down
from gdbtools.arch.walk import walk
from gdbtools.errors import Refused
from tests.arch.aarch32.machine import AFE, EAE, EXECUTE, PAN, READ, ROOT0, ROOT1, SECOND, TRE, WRITE, M

ARM = ARCHITECTURES["aarch64"]
EL0, EL1 = ARM.privileges[:2]
SUPERVISOR, EL2H = 0x13, 0b1001
VM, DC, TGE = 1 << 0, 1 << 12, 1 << 27
STAGE2 = 0x4800_0000
# 39 bits of IPA from level 1 on, 40 bits of address.
VTCR = 1 << 31 | 25 | 1 << 6 | 0b010 << 16
BLOCK = 0x4000_0000 | 0xF << 2 | 3 << 6 | 3 << 8 | 1 << 10 | 1
"""Of stage 2: where the tables are, read and written."""
SECTION = 0x4010_0000 | 3 << 10 | 0b10

USUAL = {
    "SCTLR_EL1": M, "TCR_EL1": 0, "TTBR0_EL1": ROOT0, "TTBR1_EL1": ROOT1, "MAIR_EL1": 0, "DACR32_EL2": 0x5555_5555,
    "ID_AA64PFR0_EL1": 0x2222, "ID_AA64MMFR0_EL1": 2, "HCR_EL2": 0, "cpsr": SUPERVISOR,
}  # fmt: skip


class Guest:
    """Registers of such a CPU, and memory of words of four bytes; an entry of more is two of them."""

    def __init__(self, entries: dict[int, int], **registers: int) -> None:
        self.register = written_down({**USUAL, **registers})
        self.entries = {at: entry & 0xFFFF_FFFF for at, entry in entries.items()}
        self.entries |= {at + 4: entry >> 32 for at, entry in entries.items() if entry >> 32}

    def read(self, pa: PA, size_bytes: int) -> bytes:
        return b"".join(self.entries.get(at, 0).to_bytes(4, "little") for at in range(pa, pa + size_bytes, 4))

    def walk(self, va: int = 0) -> Walk:
        return walk(ARM.regime_for(self.register, VA(va), "el1"), VA(va), self.read)

    def refused(self, kind: AccessKind = READ, user: bool = False, state: int = SUPERVISOR, va: int = 0) -> str:
        found = ARM.check(self.walk(va), Access(kind, EL0 if user else EL1), state)
        return "" if found is None else found.decider.cause.name


def test_short_descriptors_by_dacr32_el2() -> None:
    guest = Guest({ROOT0: SECTION | 3 << 5})
    assert guest.walk().outcome == Mapped(0x4010_0000, 1 << 20)
    assert guest.refused() == ""
    assert guest.walk().regime.assumed == ()
    assert Guest({ROOT0: SECTION | 1}).refused(EXECUTE) == "PRIVILEGED_EXECUTE_NEVER"
    assert Guest({ROOT0: SECTION | 3 << 5}, DACR32_EL2=0x5555_5515).refused() == "DOMAIN_NO_ACCESS"
    assert Guest({ROOT0: SECTION}, SCTLR_EL1=M | AFE).refused() == ""
    assert Guest({ROOT0: 0x4010_0000 | 0b10}, SCTLR_EL1=M | AFE).refused() == "NOT_ACCESSED"
    assert Guest({ROOT0: SECTION}).refused(state=SUPERVISOR | PAN) == "PRIVILEGED_ACCESS_NEVER"
    assert Guest({ROOT0: SECTION & ~(2 << 10)}).refused(user=True) == "PRIVILEGED_ONLY"


def test_a_capture_has_what_the_domains_are_by() -> None:
    assert {name for name, _ in under_aarch64.MAPPED.values()} <= set(ARM.registers)


def test_the_levels_are_aarch64s() -> None:
    (regime,) = ARM.regimes(Guest({}).register, "el1")
    assert ARM.privileges_of(regime) == (EL0, EL1)
    found = Guest({ROOT0: SECTION & ~(2 << 10) | 1 << 4}).walk().attributes
    assert found is not None
    assert {level.label: str(rights) for level, rights in found.rights.items()} == {"EL0": "---", "EL1": "rw-"}


def test_each_half_of_a_register_is_the_one_that_the_manual_maps() -> None:
    """PRRR is MAIR_EL1[31:0] and NMRR [63:32]; TTBCR is TCR_EL1[31:0]."""
    remapped = Guest({ROOT0: SECTION}, SCTLR_EL1=M | TRE, MAIR_EL1=1 << 32 | 2).walk().attributes
    assert remapped is not None
    assert remapped.memory == "Normal inner Write-Back RW-allocate, outer Non-cacheable"
    long = Guest({ROOT0: 0x4000_0000 | 1 << 10 | 4 << 2 | 1}, TCR_EL1=EAE | 5 << 32, MAIR_EL1=0xFF << 32)
    assert long.walk().outcome == Mapped(0x4000_0000, 1 << 30)
    found = long.walk().attributes
    assert found is not None
    assert found.memory == "Normal Write-Back RW-allocate"
    halves = Guest({ROOT1 + 4 * 0x800: SECTION}, TCR_EL1=1)
    assert [each.short_name for each in ARM.regimes(halves.register, "el1")] == ["TTBR0", "TTBR1"]
    assert halves.walk(0x8000_0000).outcome == Mapped(0x4010_0000, 1 << 20)
    assert isinstance(halves.walk(0).outcome, type(halves.walk(0x7FFF_FFFF).outcome))


@pytest.mark.parametrize(("hcr", "said", "memory"), [
    (DC, "HCR_EL2.DC is 1", "Normal Write-Back RW-allocate"), (TGE, "HCR_EL2.TGE is 1", "Device-nGnRnE"),
])  # fmt: skip
def test_what_turns_stage_1_off_at_el2(hcr: int, said: str, memory: str) -> None:
    entries = {STAGE2 + 8: BLOCK, STAGE2: BLOCK & ~0x4000_0000}
    guest = Guest(entries, HCR_EL2=hcr, VTCR_EL2=VTCR, VTTBR_EL2=STAGE2)
    regime = ARM.regimes(guest.register, "el1")[0]
    assert f"MMU off ({said})" in regime.name
    found = guest.walk(0x1234).attributes
    assert found is not None
    assert found.memory == memory


def through(entry: int, stage2: int, **registers: int) -> Guest:
    return Guest({ROOT0: entry, STAGE2 + 8: stage2}, HCR_EL2=VM, VTCR_EL2=VTCR, VTTBR_EL2=STAGE2, **registers)


def test_both_stages_together() -> None:
    guest = through(SECTION, BLOCK)
    found = guest.walk(0x1234)
    assert found.outcome == Mapped(0x4010_1234, 1 << 20)
    assert found.regime.name.startswith("EL1&0 stage 1, TTBR0 through stage 2")
    assert [step.via is not None for step in found.steps] == [True]
    read_only = through(SECTION, BLOCK & ~(2 << 6))
    assert (read_only.refused(), read_only.refused(WRITE)) == ("", "NO_WRITE")
    never = through(SECTION, BLOCK | 2 << 53)
    assert (never.refused(EXECUTE), never.refused(EXECUTE, user=True)) == ("EXECUTE_NEVER", "EXECUTE_NEVER")
    given = read_only.walk().attributes
    assert given is not None
    assert {str(rights) for rights in given.rights.values()} == {"r-x"}


def test_stage_2_may_tell_el0_from_el1() -> None:
    """XN with FEAT_XNX: 0b01 keeps EL1 from executing, 0b11 EL0."""
    for xn, refused in ((0b01, ("EXECUTE_NEVER", "")), (0b11, ("", "EXECUTE_NEVER"))):
        guest = through(SECTION, BLOCK | xn << 53, ID_AA64MMFR1_EL1=1 << 28)
        assert (guest.refused(EXECUTE), guest.refused(EXECUTE, user=True)) == refused


def test_stage_2_may_refuse_the_tables_themselves() -> None:
    found = through(SECTION, BLOCK & ~(1 << 6)).walk()
    assert found.refusal is not None
    fault = found.refusal.fault
    assert (fault.kind, fault.stage, fault.s1ptw) == (FaultKind.PERMISSION, 2, True)


def test_a_fault_status_is_of_the_stage_that_refused() -> None:
    access = Access(READ, EL1)
    short = Guest({ROOT0: SECOND | 1}).walk()
    assert short.refusal is not None
    assert ARM.status(short.refusal.fault, access, short) == 0b00111
    long = Guest({}, TCR_EL1=EAE).walk()
    assert long.refusal is not None
    assert ARM.status(long.refusal.fault, access, long) == 0b000101
    below = through(SECTION, 0).walk()
    assert below.refusal is not None
    assert ARM.status(below.refusal.fault, access, below) == 0b000101


@pytest.mark.parametrize("entry", [SECTION, SECOND | 1, 0])
def test_its_entries_are_not_changed_by_aarch64s_rules(entry: int) -> None:
    guest = Guest({ROOT0: entry})
    word = guest.walk().steps[0].entry.word
    with pytest.raises(Refused, match="EL1 in AArch32 state"):
        ARM.repair.changes(word, word, True, guest.register)

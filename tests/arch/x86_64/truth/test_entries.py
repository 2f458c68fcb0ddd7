"""Which bits of a present entry have to be 0: SDM volume 3, "Reserved Bits", and the figures of the formats."""

from __future__ import annotations

import pytest

from gdbtools.addresses import PA
from gdbtools.arch.model import EntryKind, Fault, FaultKind, Step
from tests.arch.x86_64.machine import (
    LMA,
    LME,
    NX,
    NXE,
    PAE,
    PE,
    PG,
    PS,
    PSE,
    RW,
    US,
    WP,
    Cpu,
    P,
    long_mode,
    paged,
    paged_32,
    paged_pae,
)  # fmt: skip

WIDTH, MISALIGNED, SIZE, OTHER, OFF = "ADDRESS_WIDTH", "MISALIGNED", "PAGE_SIZE", "RESERVED_BIT", "NX_OFF"
FOUR, FIVE = long_mode(), long_mode(5)
EIGHT_BYTES, FOUR_BYTES = long_mode(cr4=PAE, efer=NXE), long_mode(cr4=PSE, efer=NXE)


def spread(high: int, low: int, rule: str) -> dict[int, str]:
    return dict.fromkeys(range(low, high + 1), rule)


WIDE = spread(51, 40, WIDTH)
BELOW_1G, BELOW_2M = spread(29, 13, MISALIGNED), spread(20, 13, MISALIGNED)
UNUSED = spread(62, 52, OTHER)
# A name, the registers, a level, what is set beside P, and the bits that may not be 1 with MAXPHYADDR 40 and NXE 1.
ENTRIES: list[tuple[str, dict[str, int], int, int, dict[int, str]]] = [
    ("PML5E", FIVE, 5, 0, {**WIDE, 7: SIZE}),
    ("PML4E", FOUR, 4, 0, {**WIDE, 7: SIZE}),
    ("PML4E of five levels", FIVE, 4, 0, {**WIDE, 7: SIZE}),
    ("PDPTE", FOUR, 3, 0, {**WIDE, 7: "maps a page"}),
    ("PDPTE, 1 GiB", FOUR, 3, PS, {**WIDE, **BELOW_1G}),
    ("PDPTE of five levels, 1 GiB", FIVE, 3, PS, {**WIDE, **BELOW_1G}),
    ("PDE", FOUR, 2, 0, {**WIDE, 7: "maps a page"}),
    ("PDE, 2 MiB", FOUR, 2, PS, {**WIDE, **BELOW_2M}),
    ("PTE", FOUR, 1, 0, WIDE),
    ("PAE PDPTE", EIGHT_BYTES, 3, 0, {**WIDE, **UNUSED, 63: OTHER, **spread(8, 6, OTHER), **spread(2, 1, OTHER)}),
    ("PAE PDE", EIGHT_BYTES, 2, 0, {**WIDE, **UNUSED, 7: "maps a page"}),
    ("PAE PDE, 2 MiB", EIGHT_BYTES, 2, PS, {**WIDE, **UNUSED, **BELOW_2M}),
    ("PAE PTE", EIGHT_BYTES, 1, 0, {**WIDE, **UNUSED}),
    ("32-bit PDE", FOUR_BYTES, 2, 0, {7: "maps a page"}),
    ("32-bit PDE, 4 MiB", FOUR_BYTES, 2, PS, {21: MISALIGNED}),
    ("32-bit PTE", FOUR_BYTES, 1, 0, {}),
]
EACH = pytest.mark.parametrize(
    ("regs", "level", "flags", "reserved"), [each[1:] for each in ENTRIES], ids=[each[0] for each in ENTRIES]
)


def refused(regs: dict[str, int], number: int, value: int) -> str:
    """Return what refuses an entry at a level, and the bit that decided; empty for nothing."""
    regime = Cpu(regs).regime()
    (level,) = (each for each in regime.levels if each.number == number)
    step = Step(level, 0, PA(0x2000), regime.decode(value.to_bytes(regime.entry_bytes, "little"), level))
    found = regime.accept(step)
    assert (found is not None) == (step.entry.kind is EntryKind.INVALID)
    if found is None:
        return ""
    assert (found.fault, found.decider.pa, found.decider.level) == (
        Fault(FaultKind.RESERVED_BIT, 1, number), 0x2000, number,
    )  # fmt: skip
    assert found.decider.cause is step.entry.cause
    return f"{found.decider.cause.name} {found.decider.holder}{found.decider.field.position}={found.decider.value}"


@EACH
def test_each_reserved_bit_is_refused_by_its_rule_and_no_other_bit_is(regs, level, flags, reserved) -> None:
    assert refused(regs, level, P | flags) == ""
    for bit in range(1, 8 * Cpu(regs).regime().entry_bytes):
        # PS makes a page of it, which has a row of its own.
        if reserved.get(bit) == "maps a page":
            continue
        expected = f"{reserved[bit]} descriptor[{bit}]=1" if bit in reserved else ""
        assert refused(regs, level, P | flags | 1 << bit) == expected


def test_an_entry_of_a_level_without_pages_leads_to_a_table_whatever_its_bit_7_says() -> None:
    for regs, number in ((FOUR, 4), (FIVE, 5), (FIVE, 4)):
        regime = Cpu(regs).regime()
        (level,) = (each for each in regime.levels if each.number == number)
        word = regime.decode((0x3000 | P | PS).to_bytes(8, "little"), level).word
        assert word.field("NextTable").of(word) == 0x3000


@EACH
def test_without_nxe_bit_63_is_reserved_wherever_it_would_be_xd(regs, level, flags, reserved) -> None:
    regs = regs | {"efer": regs["efer"] & ~NXE}
    assert refused(regs, level, P | flags) == ""
    if Cpu(regs).regime().entry_bytes == 8:
        assert refused(regs, level, P | flags | NX) == f"{OTHER if 63 in reserved else OFF} descriptor[63]=1"
        assert refused(regs, level, P | flags | 1 << 62) == (f"{OTHER} descriptor[62]=1" if 62 in reserved else "")


def test_the_bit_that_is_reserved_without_nxe_is_called_nx() -> None:
    _, off, _ = paged(P | NX, efer=LME | LMA).ask(0, "read", "supervisor")
    assert off is not None
    assert (off.decider.cause.name, off.decider.field.name) == ("NX_OFF", "NX")


@pytest.mark.parametrize("width", [36, 39, 40, 46, 51])
def test_address_bits_are_reserved_from_maxphyaddr_on(width: int) -> None:
    for bit in range(32, 52):
        expected = f"ADDRESS_WIDTH descriptor[{bit}]=1 at level 1" if bit >= width else ""
        assert paged(P | 1 << bit, maxphyaddr=width).cause() == expected
        assert paged_pae(P | 1 << bit, maxphyaddr=width).cause() == expected


def test_with_52_bits_and_where_nobody_said_how_many_none_is_reserved() -> None:
    assert paged(P | 1 << 51, maxphyaddr=52).outcome() == ("mapped", 1 << 51)
    unknown = paged(P | 1 << 51)
    del unknown.regs["maxphyaddr"]
    assert unknown.outcome() == ("mapped", 1 << 51)
    assert any(each.startswith("maxphyaddr: 52") for each in unknown.regime().assumed)
    assert not any("maxphyaddr" in each for each in paged(P).regime().assumed)


# "PSE-36 Mechanism": bits 20:13 of a page of 4 MiB are address bits 39:32, as far as MAXPHYADDR goes; 21 is reserved.
@pytest.mark.parametrize(("width", "highest"), [(32, 12), (33, 13), (36, 16), (39, 19), (40, 20), (46, 20)])
def test_a_page_of_4_mib_has_its_upper_address_bits_below(width: int, highest: int) -> None:
    for bit in range(13, 21):
        cpu = paged_32(P | PS | 1 << bit, level=2, maxphyaddr=width)
        if bit <= highest:
            assert cpu.outcome(0x123) == ("mapped", 1 << bit - 13 + 32 | 0x123)
        else:
            assert cpu.cause(0x123) == f"ADDRESS_WIDTH descriptor[{bit}]=1 at level 2"
    assert paged_32(P | PS | 1 << 21, level=2, maxphyaddr=width).cause() == "MISALIGNED descriptor[21]=1 at level 2"


def test_without_pse_bit_7_of_a_page_directory_says_nothing() -> None:
    cpu = paged_32(0x9000 | P, P | PS, cr4=0)
    assert cpu.outcome() == ("mapped", 0x9000)
    assert paged_32(0x40_0000 | P | PS, level=2, cr4=PSE).outcome(0x12345) == ("mapped", 0x41_2345)


def test_the_highest_of_several_reserved_bits_is_named() -> None:
    assert paged(P | 1 << 41 | 1 << 45).cause() == "ADDRESS_WIDTH descriptor[45]=1 at level 1"
    assert paged(P | PS | 1 << 14 | 1 << 17, level=2).cause() == "MISALIGNED descriptor[17]=1 at level 2"


def test_an_entry_that_is_not_present_has_no_reserved_bits() -> None:
    every = (1 << 64) - 2
    assert paged(every).cause() == "NOT_PRESENT descriptor[0]=0 at level 1"
    assert paged_pae(every).cause() == "NOT_PRESENT descriptor[0]=0 at level 1"
    assert paged_32(every & 0xFFFF_FFFF).cause() == "NOT_PRESENT descriptor[0]=0 at level 1"


@pytest.mark.parametrize(
    ("kind", "who", "code"), [("read", "user", 0xD), ("write", "supervisor", 0xB), ("fetch", "user", 0x1D)]
)
def test_the_error_code_of_a_reserved_bit_says_who_and_what_too(kind: str, who: str, code: int) -> None:
    assert paged(P | US | RW | 1 << 40).outcome(0, kind, who) == ("fault", code)


@pytest.mark.parametrize(
    ("kind", "who", "code"), [("read", "user", 4), ("write", "user", 6), ("fetch", "supervisor", 0x10)]
)
def test_the_error_code_of_a_missing_entry_says_who_and_what_too(kind: str, who: str, code: int) -> None:
    assert paged(0).outcome(0, kind, who) == ("fault", code)


def test_a_fetch_is_told_with_nxe_and_pae_or_with_smep() -> None:
    # "Page-Fault Exceptions", the I/D flag: CR4.SMEP = 1, or both CR4.PAE and EFER.NXE.
    smep = 1 << 20
    for nxe, with_smep in ((0, 0), (0, smep), (NXE, 0), (NXE, smep)):
        told = 0x10 if nxe or with_smep else 0
        assert paged(0, efer=LME | LMA | nxe, cr4=with_smep).outcome(0, "fetch") == ("fault", told)
        assert paged_pae(0, efer=nxe, cr4=PAE | with_smep).outcome(0, "fetch") == ("fault", told)
        assert paged_32(0, efer=nxe, cr4=PSE | with_smep).outcome(0, "fetch") == ("fault", 0x10 if with_smep else 0)


def test_where_there_is_no_paging_nothing_is_reserved() -> None:
    off = paged(0, cr0=WP | PE)
    assert off.outcome(0x1234) == ("mapped", 0x1234)
    assert PG & off.regs["cr0"] == 0

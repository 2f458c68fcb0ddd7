"""Which entries are none: reserved bits and encodings, by level and by what is enabled.

"Virtual Address Translation Process", steps 3 to 5; Svnapot, "Page table entry encodings when pte.N=1"; Svpbmt;
Svrsw60t59b.
"""

from __future__ import annotations

import pytest

from gdbtools.addresses import VA
from tests.arch.riscv.machine import (
    AD,
    BARE,
    PBMTE,
    RAM,
    SV39,
    SV48,
    SV57,
    A,
    D,
    G,
    Hart,
    R,
    U,
    V,
    W,
    guest,
    paged,
    pte,
)
from tests.tables import reader

N, NC, IO = 1 << 63, 1 << 61, 2 << 61
LEAF = V | R | W | AD


@pytest.mark.parametrize("bit", range(54, 59))
def test_reserved_bits_are_refused(bit: int) -> None:
    assert paged(LEAF | 1 << bit).cause(0) == "RESERVED_BITS descriptor.Reserved"


@pytest.mark.parametrize("bit", [59, 60])
def test_svrsw60t59b_is_not_taken_for_granted(bit: int) -> None:
    assert paged(LEAF | 1 << bit).cause(0) == "RESERVED_60_59 descriptor.RSW60"


@pytest.mark.parametrize("flags", [G, 1 << 8, 2 << 8, 3 << 8])
def test_software_may_use_its_own_bits_at_any_level(flags: int) -> None:
    hart = paged(LEAF | flags)
    hart.memory[RAM] |= flags
    assert hart.cause(0) == ""


@pytest.mark.parametrize(("pbmt", "pbmte", "cause"), [
    (0, 0, ""), (1, 0, "MEMORY_TYPES_OFF"), (2, 0, "MEMORY_TYPES_OFF"), (3, 0, "MEMORY_TYPES_OFF"),
    (0, 1, ""), (1, 1, ""), (2, 1, ""), (3, 1, "MEMORY_TYPE_RESERVED"),
])  # fmt: skip
def test_memory_types_of_leaves(pbmt: int, pbmte: int, cause: str) -> None:
    assert paged(LEAF | pbmt << 61, menvcfg=pbmte * PBMTE).cause(0).partition(" ")[0] == cause


@pytest.mark.parametrize(("flags", "cause"), [
    (A, "TABLE_AD_BITS descriptor.A"), (D, "TABLE_AD_BITS descriptor.D"), (U, "TABLE_AD_BITS descriptor.U"),
    (N, "TABLE_NAPOT descriptor.N"), (NC, "TABLE_MEMORY_TYPE descriptor.PBMT"),
])  # fmt: skip
def test_an_entry_that_leads_to_a_table_says_nothing_else(flags: int, cause: str) -> None:
    hart = paged(LEAF)
    hart.memory[RAM] |= flags
    assert hart.cause(0) == cause


def test_an_entry_of_the_last_level_leads_to_no_table() -> None:
    assert paged(V).cause(0) == "TABLE_AT_LAST_LEVEL descriptor.X"
    assert paged(0).cause(0) == "INVALID_ENTRY descriptor.V"


@pytest.mark.parametrize("low", range(16))
def test_only_runs_of_64_kib_are_contiguous(low: int) -> None:
    hart = paged(LEAF | N, pa=RAM + 0x40_0000 | low << 12)
    assert hart.cause(0) == ("" if low == 8 else "NAPOT_SIZE descriptor.SIZE")


@pytest.mark.parametrize(("level", "flags", "kind", "span_bytes", "fields"), [
    (0, LEAF, "PAGE", 0, {"OutputAddress"}),
    (0, LEAF | N, "PAGE", 0x1_0000, {"OutputAddress", "SIZE"}),
    (1, LEAF, "BLOCK", 0, {"OutputAddress", "MISALIGNED"}),
    (1, LEAF | N, "INVALID", 0, {"OutputAddress", "MISALIGNED"}),
])  # fmt: skip
def test_what_a_leaf_is_by_its_level_and_n(
    level: int, flags: int, kind: str, span_bytes: int, fields: set[str]
) -> None:
    found, _, _ = paged(flags, level=level, pa=RAM + (0x8000 if flags & N and not level else 0)).ask(0, "read", "s")
    entry = found.steps[-1].entry
    own = {field.name for field in type(entry.word).fields()}
    assert (entry.kind.name, entry.span_bytes) == (kind, span_bytes)
    assert own & {"OutputAddress", "SIZE", "MISALIGNED", "NextTable"} == fields


# Sv39, Sv48, Sv57 and Sv32: how many entries a run has at level 0; at others there are none.
@pytest.mark.parametrize(("xlen", "mode", "run"), [(64, 8, 16), (64, 9, 16), (64, 10, 16), (32, 1, 1)])
def test_runs_of_entries_are_of_level_0_and_of_entries_of_eight_bytes(xlen: int, mode: int, run: int) -> None:
    root = mode << (60 if xlen == 64 else 31) | RAM >> 12
    hart = Hart({"satp": root, "hgatp": root, "vsatp": root, "mstatus": 0, "menvcfg": 0, "priv": 1}, xlen=xlen)
    found, _, _ = hart.ask(0, "read", "s")
    for stage in (found.regime, hart.ask(0, "read", "vs")[0].regime.below):
        assert stage is not None
        assert [stage.contiguous_entries(level) for level in stage.levels] == [*[1] * (len(stage.levels) - 1), run]


def test_a_contiguous_leaf_leads_where_its_place_says() -> None:
    hart = paged(LEAF | N, pa=RAM + 0x40_8000)
    for page in range(16):
        hart.put(RAM + 0x2000, page, pte(RAM + 0x40_8000, LEAF | N))
        assert hart.outcome(page << 12 | 0x123, "read", "s") == ("mapped", RAM + 0x40_0000 + (page << 12 | 0x123))


@pytest.mark.parametrize("mode", [SV39, SV48, SV57])
def test_any_level_may_hold_a_leaf_and_it_has_to_be_aligned(mode: int) -> None:
    deepest = {SV39: 2, SV48: 3, SV57: 4}[mode]
    for level in range(1, deepest + 1):
        size = 1 << 12 + 9 * level
        hart = paged(LEAF, mode, level, pa=size)
        assert hart.outcome(size - 8, "read", "s") == ("mapped", 2 * size - 8)
        assert paged(LEAF | N, mode, level, pa=size).cause(0) == "NAPOT_LEVEL descriptor.N"
        for place in range(12, 12 + 9 * level, 3):
            assert paged(LEAF, mode, level, pa=size | 1 << place).cause(0) == "MISALIGNED descriptor.MISALIGNED"


@pytest.mark.parametrize(("mode", "bits"), [(SV39, 39), (SV48, 48), (SV57, 57)])
def test_a_virtual_address_repeats_its_highest_bit(mode: int, bits: int) -> None:
    hart = paged(LEAF, mode)
    for place in range(bits - 1, 64):
        assert hart.cause(1 << place).startswith("NOT_CANONICAL satp.MODE"), place
    assert hart.outcome(1 << bits - 2, "read", "s") == ("fault", 13)
    upper = (1 << 64) - (1 << bits - 1)
    hart.put(RAM, 256, pte(0, LEAF))
    assert hart.outcome(upper | 0x1234, "read", "s") == ("mapped", 0x1234)
    assert hart.cause(upper ^ 1 << 63).startswith("NOT_CANONICAL")


@pytest.mark.parametrize(("mode", "bits"), [(SV39, 39), (SV48, 48), (SV57, 57)])
def test_each_half_of_the_addresses_ends_where_the_other_begins(mode: int, bits: int) -> None:
    hart = paged(LEAF, mode)
    lower, upper = hart.architecture.regimes(reader(hart.regs))
    half = 1 << bits - 1
    edges = {0: lower, half - 1: lower, (1 << 64) - half: upper, (1 << 64) - 1: upper}
    for address, own in edges.items():
        other = upper if own is lower else lower
        assert own.admit(VA(address)) is None, hex(address)
        assert other.admit(VA(address)).decider.cause.name == "NOT_CANONICAL", hex(address)
    for address in (half, (1 << 64) - half - 1):
        assert lower.admit(VA(address)) is not None, hex(address)
        assert upper.admit(VA(address)) is not None, hex(address)


def test_a_virtual_address_of_sv32_has_32_bits() -> None:
    hart = Hart({"satp": 1 << 31 | RAM >> 12, "mstatus": 0, "menvcfg": 0, "priv": 1}, xlen=32)
    hart.put(RAM, 1023, pte(0, LEAF))
    assert hart.outcome(0xFFFF_FFFF, "read", "s") == ("mapped", 0x3F_FFFF)
    assert hart.cause(1 << 32) == "NOT_CANONICAL satp.MODE"


# PBMT, and the flags that have no say in who may do what.
@pytest.mark.parametrize(("pbmt", "memory"), [(0, "PMA"), (1, "NC"), (2, "IO")])
@pytest.mark.parametrize("flags", [0, A, D, G, AD, AD | G])
def test_what_is_shown_of_a_leaf_besides_its_rights(pbmt: int, memory: str, flags: int) -> None:
    hart = paged(V | R | W | flags | pbmt << 61)
    found, _, _ = hart.ask(0, "read", "s")
    shown = found.attributes
    assert shown is not None
    assert (shown.memory, shown.device, shown.contiguous) == (memory, memory == "IO", False)
    assert (shown.accessed, shown.dirty, shown.is_global) == tuple(bool(flags & bit) for bit in (A, D, G))
    # G of a table is one of all that is below it.
    hart.memory[RAM] |= G
    below = hart.ask(0, "read", "s")[0].attributes
    assert below is not None
    assert below.is_global
    run = paged(LEAF | N, pa=RAM + 0x40_8000).ask(0, "read", "s")[0].attributes
    assert run is not None
    assert run.contiguous


@pytest.mark.parametrize(("mode", "bits"), [(SV39, 41), (SV48, 50), (SV57, 59)])
def test_a_guest_physical_address_has_two_bits_more_and_no_others(mode: int, bits: int) -> None:
    hart = Hart({"vsatp": BARE, "hgatp": mode << 60 | RAM >> 12, "menvcfg": 0, "henvcfg": 0, "mstatus": 0, "priv": 1})
    hart.put(RAM, (1 << 11) - 1, pte(0, LEAF | U))
    last = (1 << bits) - (1 << bits - 11)
    assert hart.outcome(last | 0x5678, "write", "vs") == ("mapped", 0x5678)
    assert hart.outcome((1 << bits) - 1, "read", "vs") == ("mapped", (1 << bits) - 1 - last)
    for place in range(bits, 64):
        assert hart.outcome(1 << place, "fetch", "vs") == ("fault", 20), place
    assert hart.cause(1 << bits, "read", "vs") == "GUEST_ADDRESS_TOO_LARGE hgatp.MODE"


def test_the_g_stage_knows_no_supervisor_and_no_shadow_stack() -> None:
    hart = guest(V | R | AD, guest_flags=V | R | W | AD, tables=V | R | U | AD)
    assert hart.cause(0, "read", "vs") == hart.cause(0, "read", "vu").replace("SUPERVISOR_ONLY", "NOT_A_GUESTS")
    stack = guest(V | R | AD, guest_flags=V | W | U | AD, tables=V | R | U | AD, menvcfg=1 << 3, henvcfg=1 << 3)
    assert stack.cause(0, "read", "vs") == "WRITE_WITHOUT_READ descriptor.R"

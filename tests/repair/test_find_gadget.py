"""What is borrowed: which words qualify, with what in which register, and which of several is taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.gadgets import Borrowable, Extent, Need, Scope, Use
from gdbtools.arch.model import Access, AccessKind, Fault, FaultKind
from gdbtools.errors import Refused
from gdbtools.repair.find_gadget import find
from tests.tables import Tables, reader

ARM = ARCHITECTURES["aarch64"]
LENDING = ARM.gadgets
CODE, TEXT = 0x8000_0000, 0x4800_0000
VA = 0xFFFF_1234_5678_9ABC
READ, WRITE = Access(AccessKind.READ, 1), Access(AccessKind.WRITE, 1)
EL0, EL1, EL2, EL3, AARCH32 = 0b0000, 0b0101, 0b1001, 0b1101, 0b10000
MASKED = 0b111 << 6
E2H, TGE, TTLB, TTLBIS, AT, VM = 1 << 34, 1 << 27, 1 << 25, 1 << 54, 1 << 44, 1

# As GNU as 2.40 assembles them.
LDRB_X0, LDRB_5_X0, LDRB_SP, LDRB_WZR, LDRB_POST = 0x39400001, 0x39401401, 0x394003E1, 0x3940001F, 0x38401401
LDR_X_16_X2, LDURB_M8_X3, LDTRB_1_X4 = 0xF9400841, 0x385F8061, 0x38401881
STRB_X0, STRB_ONTO_ITSELF = 0x39000001, 0x39000000
VAE1IS_X7, VAE1_X7, VAE1IS_XZR, VMALLE1IS, VMALLE1, ASIDE1IS_X1 = (
    0xD5088327, 0xD5088727, 0xD508833F, 0xD508831F, 0xD508871F, 0xD5088341,
)  # fmt: skip
VAE2IS_X3, ALLE2IS = 0xD50C8323, 0xD50C831F
DSB_ISH, DSB_SY, DSB_ISHST, DMB_ISH, ISB = 0xD5033B9F, 0xD5033F9F, 0xD5033A9F, 0xD5033BBF, 0xD5033FDF
AT_S1E1R_X2, AT_S1E0W_X2 = 0xD5087802, 0xD5087862


def registers(**changes: int) -> Mapping[str, int]:
    usual = {"cpsr": EL1, "HCR_EL2": 0, "TTBR0_EL1": 0x4000_0000 | 0x2A << 48}
    return Tables().registers(**{**usual, **changes})


def use(kinds: Sequence[Borrowable], word: int) -> Use | None:
    """Return how a word is used for a purpose; None if it does not qualify."""
    found = [used for kind in kinds if kind.fits(word) and (used := kind.use(word)) is not None]
    assert len(found) <= 1, "one kind, one use"
    return found[0] if found else None


def accesses(access: Access, address: int = VA, **changes: int) -> Sequence[Borrowable]:
    return LENDING.accesses(access, address, reader(registers(**changes)))


def invalidations(scope: Scope, **changes: int) -> Sequence[Borrowable]:
    return LENDING.invalidations(scope, reader(registers(**changes)))


@pytest.mark.parametrize(
    ("word", "text", "base"),
    [
        (LDRB_X0, "LDRB W1, [X0]", {"x0": VA}),
        (LDRB_5_X0, "LDRB W1, [X0, #5]", {"x0": VA - 5}),
        (LDURB_M8_X3, "LDURB W1, [X3, #-8]", {"x3": VA + 8}),
    ],
)
def test_a_loads_base_is_set_so_that_it_loads_from_the_address(word: int, text: str, base: dict[str, int]) -> None:
    assert use(accesses(READ), word) == Use(text, base, "x1", 1)


def test_a_large_load_is_borrowed_only_for_an_aligned_address() -> None:
    assert use(accesses(READ, 0x1008), LDR_X_16_X2) == Use("LDR X1, [X2, #16]", {"x2": 0xFF8}, "x1", 8)
    assert use(accesses(READ, 0x1004), LDR_X_16_X2) is None


def test_an_offset_beyond_zero_wraps_as_the_hardware_adds() -> None:
    assert use(accesses(READ, 0), LDRB_5_X0) == Use("LDRB W1, [X0, #5]", {"x0": 2**64 - 5}, "x1", 1)


@pytest.mark.parametrize("word", [LDRB_SP, LDRB_WZR, LDRB_POST, LDTRB_1_X4, STRB_X0, DSB_ISH, ISB])
def test_what_would_change_its_base_use_the_stack_pointer_or_lose_its_value_is_no_load(word: int) -> None:
    assert use(accesses(READ), word) is None


def test_a_store_that_would_store_its_own_base_does_not_qualify() -> None:
    assert use(accesses(WRITE), STRB_X0) == Use("STRB W1, [X0]", {"x0": VA}, "x1", 1)
    assert use(accesses(WRITE), STRB_ONTO_ITSELF) is None


def test_unprivileged_is_another_instruction() -> None:
    unprivileged = accesses(Access(AccessKind.READ, 1, unprivileged=True))
    assert use(unprivileged, LDTRB_1_X4) == Use("LDTRB W1, [X4, #1]", {"x4": VA - 1}, "x1", 1)
    assert use(unprivileged, LDRB_X0) is None


@pytest.mark.parametrize(
    ("access", "changes", "why"),
    [
        (Access(AccessKind.EXECUTE, 1), {}, "cannot be tried"),
        (READ, {"cpsr": AARCH32}, "AArch32"),
        (Access(AccessKind.READ, 0, unprivileged=True), {"cpsr": EL0}, "every access is unprivileged"),
    ],
)
def test_what_no_access_can_tell_is_refused(access: Access, changes: dict[str, int], why: str) -> None:
    with pytest.raises(Refused, match=why):
        accesses(access, **changes)


# TLB maintenance.  The operand: DDI 0487, "TLBI VAE1IS": ASID [63:48], TTL [47:44], VA[55:12] in [43:0].


def test_an_address_goes_into_the_register_that_the_tlbi_names_with_the_current_asid() -> None:
    kinds = invalidations(Scope(Extent.ADDRESS, VA))
    assert use(kinds, VAE1IS_X7) == Use("TLBI VAE1IS, X7", {"x7": 0x2A << 48 | (VA >> 12 & (1 << 44) - 1)})
    assert use(kinds, VAE1IS_XZR) is None


def test_the_asid_is_ttbr1s_where_the_tcr_says_so() -> None:
    kinds = invalidations(Scope(Extent.ADDRESS, 0), TCR_EL1=1 << 22, TTBR1_EL1=7 << 48)
    assert use(kinds, VAE1IS_X7) == Use("TLBI VAE1IS, X7", {"x7": 7 << 48})


def test_an_asid_is_in_the_upper_bits() -> None:
    kinds = invalidations(Scope(Extent.ADDRESS_SPACE, 0x123))
    assert use(kinds, ASIDE1IS_X1) == Use("TLBI ASIDE1IS, X1", {"x1": 0x123 << 48})
    assert use(kinds, VAE1IS_X7) is None
    assert use(kinds, VMALLE1IS) == Use("TLBI VMALLE1IS", {})


@pytest.mark.parametrize(
    ("changes", "bits"),
    [
        ({"TCR_EL1": 0}, 8),
        ({"TCR_EL1": 1 << 36}, 16),
        ({"cpsr": EL2, "HCR_EL2": E2H | TGE, "TCR_EL2": 1 << 36}, 16),
        ({"cpsr": EL2, "HCR_EL2": 0}, 0),
        ({"cpsr": EL0}, 0),
    ],
)
def test_how_much_of_an_asid_counts_is_in_the_tcr(changes: dict[str, int], bits: int) -> None:
    assert LENDING.address_space_bits(reader(registers(**changes))) == bits


def test_what_is_broadcast_is_wanted_more_than_what_is_precise() -> None:
    kinds = invalidations(Scope(Extent.ADDRESS, VA))
    ranks = {word: min(kind.rank for kind in kinds if kind.fits(word)) for word in (VAE1IS_X7, VMALLE1IS, VAE1_X7)}
    assert ranks[VAE1IS_X7] == 0 < ranks[VMALLE1IS] < ranks[VAE1_X7]


def test_everything_is_invalidated_by_nothing_less() -> None:
    kinds = invalidations(Scope(Extent.ALL))
    assert use(kinds, VMALLE1) is not None
    assert [use(kinds, word) for word in (VAE1IS_X7, ASIDE1IS_X1, ALLE2IS)] == [None, None, None]


def test_at_el2_its_own_regime_is_invalidated_and_a_vhe_hosts_by_el1s_names_too() -> None:
    alone, host = {"cpsr": EL2, "HCR_EL2": 0}, {"cpsr": EL2, "HCR_EL2": E2H | TGE, "TTBR0_EL2": 9 << 48, "TCR_EL2": 0}
    kinds = invalidations(Scope(Extent.ADDRESS, 0x5000), **alone)
    assert use(kinds, VAE2IS_X3) == Use("TLBI VAE2IS, X3", {"x3": 5})
    assert use(kinds, VAE1IS_X7) is None
    assert use(invalidations(Scope(Extent.ADDRESS, 0x5000), **host), VAE1IS_X7) == Use(
        "TLBI VAE1IS, X7", {"x7": 9 << 48 | 5}
    )
    with pytest.raises(Refused, match="has no ASID"):
        invalidations(Scope(Extent.ADDRESS_SPACE, 1), **alone)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"cpsr": EL0}, "EL0, which may not"),
        ({"cpsr": EL3}, "at EL3"),
        ({"HCR_EL2": TTLB}, "traps this guest's TLBI"),
        ({"HCR_EL2": TTLBIS}, "traps this guest's TLBI"),
    ],
)
def test_where_a_tlbi_would_not_be_executed_it_is_refused(changes: dict[str, int], why: str) -> None:
    with pytest.raises(Refused, match=why):
        invalidations(Scope(Extent.ALL), **changes)


@pytest.mark.parametrize(
    ("word", "text"), [(DSB_ISH, "DSB ISH"), (DSB_SY, "DSB SY"), (DSB_ISHST, None), (DMB_ISH, None)]
)
def test_only_a_dsb_of_all_accesses_waits_for_a_tlbi(word: int, text: str | None) -> None:
    dsb, isb = (each.kinds for each in LENDING.barriers())
    assert use(dsb, word) == (None if text is None else Use(text, {}))
    assert use(isb, word) is None
    assert use(isb, ISB) == Use("ISB", {})


# Address translation instructions.


def test_at_is_chosen_by_access_and_privilege() -> None:
    kinds = LENDING.translations(READ, VA, reader(registers()))
    assert use(kinds, AT_S1E1R_X2) == Use("AT S1E1R, X2", {"x2": VA})
    assert use(kinds, AT_S1E0W_X2) is None
    kinds = LENDING.translations(Access(AccessKind.WRITE, 1, unprivileged=True), VA, reader(registers()))
    assert use(kinds, AT_S1E0W_X2) == Use("AT S1E0W, X2", {"x2": VA})


@pytest.mark.parametrize(("changes", "why"), [({"cpsr": EL0}, "at EL0"), ({"HCR_EL2": AT}, "HCR_EL2.AT traps")])
def test_where_at_would_not_be_executed_it_is_refused(changes: dict[str, int], why: str) -> None:
    with pytest.raises(Refused, match=why):
        LENDING.translations(READ, VA, reader(registers(**changes)))


@pytest.mark.parametrize(
    ("par", "found"),
    [
        (0xFF00_0000_4123_4B80, 0x4123_4ABC),
        (0b000111 << 1 | 1, Fault(FaultKind.TRANSLATION, 1, 3)),
        (0b001101 << 1 | 1 | 1 << 9, Fault(FaultKind.PERMISSION, 2, 1)),
        (0b000110 << 1 | 1 | 1 << 9 | 1 << 8, Fault(FaultKind.TRANSLATION, 2, 2, True)),
    ],
)
def test_par_says_where_an_address_leads_or_why_not(par: int, found: int | Fault) -> None:
    assert LENDING.translated(VA, reader({"PAR_EL1": par})) == found


# Who still needs the exception registers.


@pytest.mark.parametrize(
    ("changes", "certain"),
    [
        ({"cpsr": EL0 | MASKED, "pc": CODE}, None),
        ({"cpsr": EL1, "pc": 0x1000}, None),
        ({"cpsr": EL1 | MASKED & ~(1 << 7), "pc": 0x1000}, None),
        ({"cpsr": EL1 | MASKED, "pc": 0x1000}, False),
        ({"cpsr": EL1, "pc": CODE + 0x200}, True),
        ({"cpsr": EL1, "pc": CODE + 0x7FC}, True),
        ({"cpsr": EL1, "pc": CODE + 0x800}, None),
    ],
    ids=["EL0", "unmasked", "one unmasked", "masked", "at an entry", "in the table", "behind the table"],
)
def test_the_exception_registers_are_needed_until_an_interrupt_may_overwrite_them(
    changes: dict[str, int], certain: bool | None
) -> None:
    claim = LENDING.claim(reader(registers(**changes)))
    assert (None if claim is None else claim.certain) is certain


def test_through_stage_2_a_fault_may_be_taken_to_el2_as_well() -> None:
    levels = [ARM.privilege(each) for each in LENDING.entered(reader(registers(cpsr=EL0, HCR_EL2=VM)))]
    assert levels == [1, 2]
    assert [ARM.privilege(each) for each in LENDING.entered(reader(registers(cpsr=EL0)))] == [1]


# The search.


def tables(*pages: Mapping[int, int], **leaf: int) -> Tables:
    t = Tables()
    for number, words in enumerate(pages):
        t.map(CODE + 0x20_0000 * number, TEXT + 0x1000 * number, AP=0b10, **leaf)
        for offset, word in words.items():
            at = TEXT + 0x1000 * number + (offset & -8)
            t.memory[at] = t.memory.get(at, 0) | word << 8 * (offset % 8)
    return t


def found(t: Tables, *purposes: Sequence[Borrowable], **changes: int) -> list[tuple[int, str] | None]:
    loans = find(ARM, reader({**t.registers(), **changes}), t.read, purposes).loans
    return [None if loan is None else (loan.address, loan.use.text) for loan in loans]


def test_the_better_instruction_is_taken_although_it_is_farther_away() -> None:
    t = tables({0x10: VAE1_X7, 0x14: VMALLE1IS}, {0x20: VAE1IS_X7})
    kinds = invalidations(Scope(Extent.ADDRESS, VA))
    assert found(t, kinds) == [(CODE + 0x20_0020, "TLBI VAE1IS, X7")]
    assert found(tables({0x10: VAE1_X7, 0x14: VMALLE1IS}), kinds) == [(CODE + 0x14, "TLBI VMALLE1IS")]


def test_of_the_same_kind_the_first_that_qualifies_is_taken() -> None:
    t = tables({0x10: LDRB_SP, 0x14: LDRB_WZR, 0x18: LDRB_5_X0, 0x1C: LDRB_X0})
    assert found(t, accesses(READ)) == [(CODE + 0x18, "LDRB W1, [X0, #5]")]


def test_several_purposes_are_found_in_one_pass() -> None:
    t = tables({0x8: DSB_SY, 0xC: ISB, 0x10: VMALLE1})
    assert found(t, invalidations(Scope(Extent.ALL)), *(each.kinds for each in LENDING.barriers())) == [
        (CODE + 0x10, "TLBI VMALLE1"),
        (CODE + 0x8, "DSB SY"),
        (CODE + 0xC, "ISB"),
    ]


def test_bytes_that_look_like_an_instruction_across_two_are_none() -> None:
    t = Tables()
    t.map(CODE, TEXT, AP=0b10)
    t.write(TEXT + 0x40, b"\0\0" + VMALLE1.to_bytes(4, "little") + b"\0\0")
    assert found(t, invalidations(Scope(Extent.ALL))) == [None]


def test_what_this_level_may_not_execute_is_not_borrowed() -> None:
    assert found(tables({0x10: LDRB_X0}, PXN=1), accesses(READ)) == [None]
    assert found(tables({0x10: LDRB_X0}, UXN=1), accesses(READ), cpsr=EL0) == [None]


# What a change of a live descriptor needs.


def test_every_field_that_is_declared_is_classified() -> None:
    from gdbtools.arch.aarch64.tables.descriptors import EntryRole, Layout, leaf_descriptor, table_descriptor

    for role in EntryRole:
        for layout in Layout:
            sizes = (16, 29) if layout is Layout.LPA else (12, 21, 30)
            kinds = [leaf_descriptor(low, low > 16, role, layout, o) for low in sizes for o in (False, True)]
            for kind in (*kinds, table_descriptor(sizes[0], role, layout)):
                for field in kind.fields():
                    before = kind(3)
                    if field.name == "TYPE":
                        continue
                    (change,) = ARM.repair.changes(before, kind(field.into(3, field.scale)), True, reader({}))
                    assert change.name == field.name
                    assert change.why


@pytest.mark.parametrize(
    ("before", "after", "need"),
    [
        ({}, {"AP": 3}, Need.INVALIDATION),
        ({"AP": 3}, {"AP": 1}, Need.INVALIDATION),
        ({}, {"UXN": 1, "PXN": 1}, Need.INVALIDATION),
        ({}, {"SOFTWARE": 9}, Need.NOTHING),
        ({}, {"AF": 0}, Need.INVALIDATION),
        ({"AF": 0}, {"AF": 1}, Need.NOTHING),
        ({}, {"DBM": 1}, Need.INVALIDATION),
        ({}, {"OutputAddress": 0x5000_0000}, Need.BREAK),
        ({}, {"AttrIndx": 1}, Need.BREAK),
        ({}, {"SH": 3}, Need.BREAK),
        ({}, {"Contiguous": 1}, Need.BREAK),
        ({}, {"nG": 1}, Need.INVALIDATION),
        ({"nG": 1}, {"nG": 0}, Need.BREAK),
        ({}, {"TYPE": 0}, Need.INVALIDATION),
        ({}, {"TYPE": 0, "OutputAddress": 0}, Need.INVALIDATION),
        ({}, {"AP": 3, "AttrIndx": 1}, Need.BREAK),
    ],
)
def test_a_change_needs_what_the_manual_says(before: dict[str, int], after: dict[str, int], need: Need) -> None:
    from gdbtools.arch.aarch64.tables.descriptors import leaf_descriptor
    from gdbtools.repair.descriptor import greatest

    old = leaf_descriptor(12, False)(0x4000_0003).with_(**{"AF": 1, **before})
    new = old.with_(**after)
    assert greatest(ARM.repair.changes(old, new, True, reader({}))) is need
    assert greatest(ARM.repair.changes(old, new, False, reader({}))) is Need.NOTHING


def test_feat_bbm_level_2_lets_the_contiguous_bit_change_in_place() -> None:
    from gdbtools.arch.aarch64.tables.descriptors import leaf_descriptor

    old = leaf_descriptor(12, False)(0x4000_0403)
    new = old.with_(Contiguous=1)
    needs = [ARM.repair.changes(old, new, True, reader({"ID_AA64MMFR2_EL1": bbm << 52}))[0].need for bbm in (0, 1, 2)]
    assert needs == [Need.BREAK, Need.BREAK, Need.INVALIDATION]


def test_an_invalid_entry_may_become_anything() -> None:
    from gdbtools.arch.aarch64.tables.descriptors import InvalidDescriptor, leaf_descriptor

    after = leaf_descriptor(12, False)(0x4000_0403)
    found = ARM.repair.changes(InvalidDescriptor(0), after, True, reader({}))
    assert {each.need for each in found} == {Need.NOTHING}
    assert {each.name for each in found} == {"OutputAddress", "AF", "TYPE"}

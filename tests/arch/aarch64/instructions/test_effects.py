"""The code before an access, read backwards: what it stored, waited for and invalidated, as registers still tell."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

import pytest

from gdbtools.arch.aarch64.architecture import ARCHITECTURE as ARM
from gdbtools.arch.instruction_effects import Effect, EffectKind
from gdbtools.arch.model import Walk
from gdbtools.arch.walk import walk
from tests.guests.assembly import ASSEMBLER, assemble
from tests.tables import Tables, reader

# As GNU as 2.40 assembles them.
WORDS: Mapping[str, int] = {
    "str x2, [x1]": 0xF9000022,
    "str x2, [x1, #16]": 0xF9000822,
    "stur x2, [x1, #-8]": 0xF81F8022,
    "str x2, [x1, #8]!": 0xF8008C22,
    "str x2, [x1], #8": 0xF8008422,
    "stlr x2, [x1]": 0xC89FFC22,
    "stxr w3, x2, [x1]": 0xC8037C22,
    "cas x3, x2, [x1]": 0xC8A37C22,
    "str w2, [x1]": 0xB9000022,
    "str x2, [sp]": 0xF90003E2,
    "dsb ish": 0xD5033B9F,
    "dsb ishst": 0xD5033A9F,
    "dsb ishld": 0xD503399F,
    "dsb sy": 0xD5033F9F,
    "dmb ish": 0xD5033BBF,
    "isb": 0xD5033FDF,
    "nop": 0xD503201F,
    "mov x1, x5": 0xAA0503E1,
    "add x1, x1, #8": 0x91002021,
    "ldr x1, [x6]": 0xF94000C1,
    "mrs x1, ttbr0_el1": 0xD5382001,
    "fmov x1, d0": 0x9E660001,
    "cbz x3, .": 0xB4000003,
    "b.eq .": 0x54000000,
    "b .": 0x14000000,
    "bl .": 0x94000000,
    "ret": 0xD65F03C0,
    "svc #0": 0xD4000001,
    "udf #0": 0,
    "mov x3, x5": 0xAA0503E3,
    "ldp x3, x4, [x6]": 0xA94010C3,
    "tlbi vmalle1is": 0xD508831F,
    "tlbi vaae1is, x3": 0xD5088363,
    "tlbi vae1is, x3": 0xD5088323,
    "tlbi vale1, x3": 0xD50887A3,
    "tlbi aside1is, x3": 0xD5088343,
    "tlbi vmalls12e1": 0xD50C87DF,
    "tlbi vae2is, x3": 0xD50C8323,
    "tlbi ipas2e1is, x3": 0xD50C8023,
    "tlbi rvae1is, x3": 0xD5088223,
}
END, VA, ASID = 0x8000, 0x1234_5000, 0x2A
UPPER_VA = 0xFFFF_8000_1234_5000
X1 = 0xFFFF_0000_4444_5010


def recent(*code: str, va: int = VA, nG: int = 1, level: int = 3, **registers: int) -> tuple[Effect, ...]:
    """Return what is seen of some code before an access to `va`."""
    t = Tables()
    t.map(va & (1 << 48) - 1, 0x4800_0000, level=level, nG=nG)
    values = t.registers(**{"x1": X1, "x3": 0, "TTBR0_EL1": t.root | ASID << 48, **registers})
    about: Walk = walk(ARM.regime_for(reader(values), va), va, t.read)
    found = b"".join(WORDS[each].to_bytes(4, "little") for each in code)
    return tuple(ARM.exceptions.effects(found, END, reader(values), "el1", about))


@pytest.mark.parametrize(
    ("store", "target"),
    [
        ("str x2, [x1]", X1),
        ("str x2, [x1, #16]", X1 + 16),
        ("stur x2, [x1, #-8]", X1 - 8),
        # The base is where it was put before the store, and where it was put after it.
        ("str x2, [x1, #8]!", X1),
        ("str x2, [x1], #8", X1 - 8),
        ("stlr x2, [x1]", X1),
        ("stxr w3, x2, [x1]", X1),
        ("cas x3, x2, [x1]", X1),
    ],
)
def test_a_store_of_64_bits_is_told_with_the_address_that_it_wrote(store: str, target: int) -> None:
    (found,) = recent(store)
    name = store.split()[0].upper()
    assert found == Effect(END - 4, EffectKind.STORE, name, target)


def test_the_latest_comes_first_each_with_its_own_address() -> None:
    found = recent("str x2, [x1]", "dsb ish", "nop", "isb")
    assert [(each.deed, each.address) for each in found] == [
        (EffectKind.SYNCHRONIZE, END - 4),
        (EffectKind.WAIT, END - 12),
        (EffectKind.STORE, END - 16),
    ]


@pytest.mark.parametrize("barrier", ["dsb ish", "dsb ishst", "dsb sy"])
def test_a_dsb_that_waits_for_stores_counts(barrier: str) -> None:
    assert [each.deed for each in recent(barrier)] == [EffectKind.WAIT]


@pytest.mark.parametrize("other", ["dsb ishld", "dmb ish", "nop", "str w2, [x1]", "str x2, [sp]", "mov x1, x5"])
def test_what_orders_no_store_to_a_descriptor_and_makes_none_does_not(other: str) -> None:
    assert recent(other) == ()


@pytest.mark.parametrize(
    "overwritten", ["mov x1, x5", "add x1, x1, #8", "ldr x1, [x6]", "mrs x1, ttbr0_el1", "fmov x1, d0"]
)
def test_a_base_that_was_written_since_tells_nothing(overwritten: str) -> None:
    assert recent("str x2, [x1]", overwritten) == ()
    # Written before, it tells.
    assert len(recent(overwritten, "str x2, [x1]")) == 1


def test_a_store_that_moves_its_base_hides_what_was_stored_by_it_before() -> None:
    assert [each.target for each in recent("str x2, [x1]", "str x2, [x1], #8")] == [X1 - 8]


@pytest.mark.parametrize("stop", ["b .", "bl .", "ret", "svc #0", "udf #0"])
def test_behind_what_does_not_lead_straight_on_nothing_is_looked_at(stop: str) -> None:
    assert recent("str x2, [x1]", stop) == ()
    assert len(recent(stop, "str x2, [x1]")) == 1


@pytest.mark.parametrize("branch", ["cbz x3, .", "b.eq ."])
def test_a_branch_that_was_not_taken_is_passed(branch: str) -> None:
    assert len(recent("str x2, [x1]", branch)) == 1


def invalidation(code: str, x3: int = 0, **others: int) -> tuple[int | None, bool | None]:
    """Return what an invalidation names, and whether it reaches the address."""
    (found,) = recent(code, **{"x3": x3, **others})
    assert found.deed is EffectKind.INVALIDATE
    assert found.text.lower() == code
    return found.target, found.reaches


PAGE, OWN = VA >> 12, ASID << 48


def test_an_address_is_its_bits_55_to_12_and_everything_else_is_another() -> None:
    assert invalidation("tlbi vaae1is, x3", PAGE) == (VA, True)
    assert invalidation("tlbi vaae1is, x3", PAGE + 1) == (VA + 0x1000, False)
    # The number of a page of 16 KiB, and the address itself.
    assert invalidation("tlbi vaae1is, x3", VA >> 14) == (VA >> 14 << 12, False)
    assert invalidation("tlbi vaae1is, x3", VA)[1] is False
    # A block is found by any address in it.
    assert invalidation("tlbi vaae1is, x3", PAGE + 1, level=2) == (VA + 0x1000, True)
    assert invalidation("tlbi vaae1is, x3", PAGE + 0x200, level=2)[1] is False


def test_the_upper_halfs_addresses_are_told_with_their_sign() -> None:
    operand = UPPER_VA >> 12 & (1 << 44) - 1
    assert invalidation("tlbi vaae1is, x3", operand, va=UPPER_VA) == (UPPER_VA, True)
    assert invalidation("tlbi vaae1is, x3", PAGE, va=UPPER_VA) == (VA, False)


def test_an_asid_has_to_be_the_current_one_unless_the_page_is_global() -> None:
    for by_address in ("tlbi vae1is, x3", "tlbi vale1, x3"):
        assert invalidation(by_address, PAGE | OWN) == (VA, True)
        assert invalidation(by_address, PAGE | 5 << 48) == (VA, False)
        assert invalidation(by_address, PAGE | 5 << 48, nG=0) == (VA, True)
    assert invalidation("tlbi aside1is, x3", OWN) == (None, True)
    assert invalidation("tlbi aside1is, x3", 5 << 48) == (None, False)
    assert invalidation("tlbi aside1is, x3", OWN, nG=0) == (None, False)


@pytest.mark.parametrize("everything", ["tlbi vmalle1is", "tlbi vmalls12e1"])
def test_everything_of_the_regime_is_reached(everything: str) -> None:
    assert invalidation(everything) == (None, True)


def test_another_regimes_entries_are_not_these() -> None:
    assert invalidation("tlbi vae2is, x3", PAGE) == (None, False)


@pytest.mark.parametrize("unknown", ["tlbi ipas2e1is, x3", "tlbi rvae1is, x3"])
def test_what_is_not_worked_out_is_not_claimed(unknown: str) -> None:
    assert invalidation(unknown, PAGE | OWN) == (None, None)


@pytest.mark.parametrize("overwritten", ["mov x3, x5", "ldp x3, x4, [x6]", "stxr w3, x2, [x1]"])
def test_an_operand_that_was_written_since_is_not_known(overwritten: str) -> None:
    found = next(
        each for each in recent("tlbi vaae1is, x3", overwritten, x3=PAGE) if each.deed is EffectKind.INVALIDATE
    )
    assert (found.target, found.reaches) == (None, None)


@pytest.mark.parametrize(
    ("word", "unprivileged"),
    [
        (0xF8400820, True),  # ldtr x0, [x1]
        (0x38000820, True),  # sttrb w0, [x1]
        (0xB8800820, True),  # ldtrsw x0, [x1]
        (0xF8400020, False),  # ldur x0, [x1]
        (0xF8401420, False),  # ldr x0, [x1], #1
        (0xF8626820, False),  # ldr x0, [x1, x2]
        (0xF9400020, False),  # ldr x0, [x1]
        (0xFC400820, False),  # not allocated: there is no LDTR of a vector register
    ],
)
def test_ldtr_and_sttr_are_told_from_their_neighbours(word: int, unprivileged: bool) -> None:
    assert ARM.exceptions.is_unprivileged(word) is unprivileged


def test_the_words_are_what_binutils_make_of_the_texts() -> None:
    if shutil.which(ASSEMBLER) is None:
        pytest.skip(f"{ASSEMBLER} is not installed; install it: apt-get install binutils-aarch64-linux-gnu")
    assert [code.words for code in assemble(list(WORDS))] == [(word,) for word in WORDS.values()]

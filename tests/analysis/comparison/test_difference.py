"""What changed between two address spaces: nothing left out, nothing invented, and alike things said once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdbtools.analysis.comparison.compared_attributes import Aspect
from gdbtools.analysis.comparison.difference import FEW, ChangeKind, MappingChange, Uncompared, difference
from gdbtools.analysis.mappings import mappings_of
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import Walk
from gdbtools.arch.walk import walk
from gdbtools.errors import Unreadable
from tests.arch.aarch64.truth.machine import Memory, guest
from tests.tables import Tables, reader

ARM = ARCHITECTURES["aarch64"]
PAGE, BLOCK = 1 << 12, 1 << 21
BASE = 0x8000_0000
READ_ONLY = 0b10


def regime_of(tables: Tables) -> Any:
    return ARM.regime_for(reader(tables.registers()), 0)


def listed(tables: Tables) -> list[Any]:
    return list(mappings_of(regime_of(tables), tables.read))


def changes(before: Tables, after: Tables, *ignored: Aspect) -> list[MappingChange]:
    found, uncompared = difference(listed(before), listed(after), ignored)
    assert uncompared == []
    return found


def pages(wanted: Mapping[int, Mapping[str, int]] | int, base: int = 0, output: int = BASE) -> Tables:
    """Pages from `base` on, each onto its own place: so many, or those that are named with what is special of them."""
    tables = Tables()
    special = {number: {} for number in range(wanted)} if isinstance(wanted, int) else wanted
    for number, fields in special.items():
        tables.map(base + number * PAGE, output + number * PAGE, **{"AttrIndx": 4, **fields})
    return tables


def block(**fields: int) -> Tables:
    tables = Tables()
    tables.map(0, BASE, 2, **{"AttrIndx": 4, **fields})
    return tables


def test_the_same_twice_is_no_difference() -> None:
    assert changes(pages(600), pages(600)) == []


def test_tables_in_other_places_that_map_the_same_are_no_difference() -> None:
    moved = Tables(_next=0x4050_0000)
    for number in range(40):
        moved.map(number * PAGE, BASE + number * PAGE, AttrIndx=4)
    assert changes(pages(40), moved) == []


@pytest.mark.parametrize(
    ("fields", "aspects"),
    [
        ({"AP": READ_ONLY}, {Aspect.RIGHTS}),
        ({"AP": 0b01}, {Aspect.RIGHTS}),
        ({"UXN": 1}, {Aspect.RIGHTS}),
        # Non-cacheable memory is Outer Shareable, whatever SH says.
        ({"AttrIndx": 1}, {Aspect.MEMORY, Aspect.SHAREABILITY}),
        ({"SH": 3}, {Aspect.SHAREABILITY}),
        ({"AF": 0}, {Aspect.ACCESS_FLAG}),
        ({"DBM": 1}, {Aspect.DIRTY}),
        ({"nG": 1}, {Aspect.GLOBAL}),
        ({"Contiguous": 1}, {Aspect.CONTIGUOUS}),
        ({"AP": READ_ONLY, "AF": 0}, {Aspect.RIGHTS, Aspect.ACCESS_FLAG}),
        ({"SOFTWARE": 5}, set()),
    ],
)
def test_each_field_is_its_own_aspect_and_ignoring_that_leaves_nothing(
    fields: dict[str, int], aspects: set[Aspect]
) -> None:
    before, after = pages(8), pages({number: fields if number == 3 else {} for number in range(8)})
    found = changes(before, after)
    assert [(each.kind, each.first, each.last, each.aspects) for each in found] == (
        [(ChangeKind.CHANGED, 3 * PAGE, 4 * PAGE - 1, aspects)] if aspects else []
    )
    assert changes(before, after, *aspects) == []


def test_clean_to_dirty_is_use_although_it_changes_who_may_write() -> None:
    clean, dirty = ({0: {"DBM": 1, "AP": ap}} for ap in (READ_ONLY, 0))
    [change] = changes(pages(clean), pages(dirty))
    assert change.aspects == {Aspect.DIRTY}
    assert change.is_use
    assert changes(pages(clean), pages(dirty), Aspect.DIRTY) == []


def test_a_right_that_the_dirty_state_does_not_explain_is_said_all_the_same() -> None:
    before, after = pages({0: {"DBM": 1, "AP": READ_ONLY}}), pages({0: {"DBM": 1, "AP": 0b01}})
    [change] = changes(before, after)
    assert change.aspects == {Aspect.DIRTY, Aspect.RIGHTS}
    assert not change.is_use
    assert [each.aspects for each in changes(before, after, Aspect.DIRTY)] == [{Aspect.RIGHTS}]


def test_what_leads_elsewhere_says_from_where_to_where() -> None:
    [change] = changes(pages(4), pages(4, output=0x9000_0000))
    assert change.aspects == {Aspect.OUTPUT}
    assert (change.before[0].run.output, change.after[0].run.output) == (BASE, 0x9000_0000)
    assert (change.before[0].places, change.after[0].places) == (1, 1)
    assert changes(pages(4), pages(4, output=0x9000_0000), Aspect.OUTPUT) == []


def test_places_are_counted_on_each_side_by_itself() -> None:
    scattered = Tables()
    for number, place in enumerate((0, 1, 50, 51)):
        scattered.map(number * PAGE, 0x9000_0000 + place * PAGE, AttrIndx=4)
    [change] = changes(scattered, pages(4))
    [was], [now] = change.before, change.after
    assert (was.places, was.run.size_bytes) == (2, 2 * PAGE)
    assert (now.places, now.run.size_bytes) == (1, 4 * PAGE)


def test_what_stayed_does_not_hide_a_like_run_behind_it_that_moved_or_was_split() -> None:
    before, moved, split = Tables(), Tables(), Tables()
    for tables, second in ((before, 0x8800_0000), (moved, 0x9000_0000), (split, 0x8800_0000)):
        tables.map(0, BASE, 2)
        if tables is not split:
            tables.map(4 * BLOCK, second, 2)
            tables.map(8 * BLOCK, second + 8 * BLOCK, 2)
    for number in range(512):
        split.map(4 * BLOCK + number * PAGE, 0x8800_0000 + number * PAGE)
        split.map(8 * BLOCK + number * PAGE, 0x8800_0000 + 8 * BLOCK + number * PAGE)
    assert sum(each.size_bytes for each in changes(before, moved)) == 2 * BLOCK
    assert sum(each.size_bytes for each in changes(before, split)) == 2 * BLOCK


def test_pages_of_a_split_block_that_lead_elsewhere_are_apart() -> None:
    after = Tables()
    for number in range(512):
        after.map(number * PAGE, (BASE if number < 500 else 0x9000_0000) + number * PAGE, AttrIndx=4)
    [change] = changes(block(), after)
    assert [(each.first, each.aspects) for each in change.after] == [(0, set()), (500 * PAGE, {Aspect.OUTPUT})]


def test_new_and_gone_are_said_with_their_size() -> None:
    some, more = pages(4), pages(7)
    [new] = changes(some, more)
    assert (new.kind, new.first, new.size_bytes, new.before[0].run) == (ChangeKind.MAPPED, 4 * PAGE, 3 * PAGE, None)
    [gone] = changes(more, some)
    assert (gone.kind, gone.first, gone.size_bytes, gone.after[0].run) == (
        ChangeKind.UNMAPPED,
        4 * PAGE,
        3 * PAGE,
        None,
    )


def test_a_read_only_block_that_became_512_pages_of_which_3_are_writable_is_one_change() -> None:
    special = {number: {"AP": 0 if 7 <= number < 10 else READ_ONLY} for number in range(512)}
    [change] = changes(block(AP=READ_ONLY), pages(special))
    assert (change.kind, change.first, change.last) == (ChangeKind.SPLIT, 0, BLOCK - 1)
    assert [(each.size_bytes // each.run.leaf_bytes, each.run.leaf_bytes) for each in change.before] == [(1, BLOCK)]
    assert [(each.first, each.size_bytes // PAGE, each.aspects) for each in change.after] == [
        (0, 509, set()),
        (7 * PAGE, 3, {Aspect.RIGHTS}),
    ]


def test_a_split_that_lost_pages_says_what_is_missing() -> None:
    [change] = changes(block(), pages({number: {} for number in range(512) if number not in (0, 100, 511)}))
    assert change.kind is ChangeKind.SPLIT
    assert change.size_bytes == BLOCK
    [missing] = [each for each in change.after if each.run is None]
    assert (missing.first, missing.size_bytes, missing.places) == (0, 3 * PAGE, 3)


@pytest.mark.parametrize("kept", [range(256), range(256, 512)], ids=["behind it", "before it"])
def test_a_split_that_lost_half_is_not_mixed_up_with_the_block_that_is_gone_beside_it(kept: range) -> None:
    before, after = Tables(), Tables()
    for number in range(3):
        before.map(number * BLOCK, BASE + number * BLOCK, 2)
    for number in kept:
        after.map(BLOCK + number * PAGE, BASE + BLOCK + number * PAGE)
    found = changes(before, after)
    assert sorted((each.kind.name, each.size_bytes) for each in found) == [("SPLIT", BLOCK), ("UNMAPPED", 2 * BLOCK)]
    [split] = [each for each in found if each.kind is ChangeKind.SPLIT]
    assert (split.first, split.last) == (BLOCK, 2 * BLOCK - 1)


def test_pages_that_became_a_block_are_a_merge() -> None:
    special = {number: {"AP": READ_ONLY if number == 9 else 0} for number in range(512)}
    [change] = changes(pages(special), block())
    assert change.kind is ChangeKind.MERGED
    assert [(each.size_bytes // PAGE, each.aspects) for each in change.before] == [(511, set()), (1, {Aspect.RIGHTS})]
    assert [each.run.leaf_bytes for each in change.after] == [BLOCK]


def test_a_block_that_is_gone_is_gone_and_not_split() -> None:
    [change] = changes(block(), Tables())
    assert (change.kind, change.size_bytes) == (ChangeKind.UNMAPPED, BLOCK)


def test_blocks_that_were_split_side_by_side_are_one_change() -> None:
    before, after = Tables(), Tables()
    for number in range(3):
        before.map(number * BLOCK, BASE + number * BLOCK, 2)
    for number in range(3 * 512):
        after.map(number * PAGE, BASE + number * PAGE)
    [change] = changes(before, after)
    assert change.size_bytes == 3 * BLOCK


def test_every_other_page_that_was_accessed_is_said_once() -> None:
    before = pages({number: {"AF": 0} for number in range(64)})
    after = pages({number: {"AF": number % 2} for number in range(64)})
    [change] = changes(before, after)
    assert (change.first, change.last, change.size_bytes) == (PAGE, 64 * PAGE - 1, 32 * PAGE)
    assert change.is_use


def test_two_kinds_of_change_that_alternate_are_two_changes() -> None:
    before = pages({number: {"AF": 0} for number in range(32)})
    after = pages({number: {"AF": 1} if number % 2 else {"AF": 0, "AP": READ_ONLY} for number in range(32)})
    found = changes(before, after)
    assert [(each.aspects, each.size_bytes) for each in found] == [
        ({Aspect.RIGHTS}, 16 * PAGE),
        ({Aspect.ACCESS_FLAG}, 16 * PAGE),
    ]


def test_what_changed_alike_but_far_apart_is_said_apart() -> None:
    count = FEW + 3
    before = pages(count)
    near = pages({number: {"AF": int(number not in (0, count - 2))} for number in range(count)})
    far = pages({number: {"AF": int(number not in (0, count - 1))} for number in range(count)})
    assert len(changes(before, near)) == 1
    assert len(changes(before, far)) == 2


def test_small_gaps_between_what_is_new_do_not_part_it_and_large_ones_do() -> None:
    stacks = pages({number: {} for number in range(50) if number % 5})
    [change] = changes(Tables(), stacks)
    assert (change.size_bytes, change.after[0].places) == (40 * PAGE, 10)
    apart = pages({0: {}, FEW + 2: {}})
    assert len(changes(Tables(), apart)) == 2


def test_regions_of_other_rights_are_not_said_together() -> None:
    before = pages({number: {"AP": READ_ONLY, "PXN": 0} if number < 4 else {"PXN": 1} for number in range(8)})
    found = changes(before, Tables())
    assert [(each.first, each.size_bytes) for each in found] == [(0, 4 * PAGE), (4 * PAGE, 4 * PAGE)]


def test_pages_that_all_led_to_one_place_and_now_lead_on_have_moved_but_for_the_first() -> None:
    same = Tables()
    for number in range(4):
        same.map(number * PAGE, BASE, AttrIndx=4)
    [change] = changes(same, pages(4))
    assert change.aspects == {Aspect.OUTPUT}
    assert changes(same, same) == []
    assert changes(pages(1), pages(1)) == []


def test_a_table_that_cannot_be_read_is_neither_same_nor_different() -> None:
    before, after = pages(4), pages(4)
    for number in (600, 601):
        before.map(number * PAGE, BASE)
        after.map(number * PAGE, BASE)

    def without(tables: Tables, missing: int):
        def read(pa: int, size_bytes: int) -> bytes:
            if pa <= missing < pa + size_bytes:
                raise Unreadable(pa, size_bytes, "gone")
            return tables.read(pa, size_bytes)

        return read

    regime = regime_of(before)
    table = walk(regime, 600 * PAGE, before.read).steps[-1].pa & -PAGE
    whole, holed = list(mappings_of(regime, before.read)), list(mappings_of(regime, without(before, table)))
    found, uncompared = difference(holed, list(mappings_of(regime, after.read)))
    assert found == []
    assert {(each.before is None, each.after is None) for each in uncompared} == {(False, True)}
    assert (uncompared[0].first, sum(each.size_bytes for each in uncompared)) == (BLOCK, BLOCK)
    found, [unknown] = difference(holed, holed)
    assert found == []
    assert isinstance(unknown, Uncompared)
    assert (unknown.first, unknown.size_bytes) == (BLOCK, BLOCK)
    assert unknown.before is not None
    assert unknown.after is not None
    assert difference(whole, whole) == ([], [])


def test_a_stage_2_that_leads_elsewhere_is_seen_through_an_unchanged_stage_1() -> None:
    def two_stages(pa: int) -> list[Any]:
        memory = Memory()
        normal = 0b1111 << 2 | 0b11 << 8
        memory.stage1(0, va=0x5000, output=0x6543_2000)
        memory.identity(normal | 0b01 << 6)
        memory.stage2(normal | 0b11 << 6, 0x6543_2000, pa)
        return list(mappings_of(ARM.regime_for(reader(guest()), 0, "el1"), memory.read))

    [change], _ = difference(two_stages(0x7000_0000), two_stages(0x7100_0000))
    assert change.aspects == {Aspect.OUTPUT}
    assert change.before[0].run.ipa == change.after[0].run.ipa == 0x6543_2000
    assert difference(two_stages(0x7000_0000), two_stages(0x7000_0000)) == ([], [])


def test_a_leaf_that_two_runs_lead_to_one_place_did_not_change() -> None:
    """One run goes on from leaf to leaf, and of the other all lead to the second's place."""
    going: list[Any] = [({"AttrIndx": 4}, BASE), ({"AttrIndx": 4}, BASE + BLOCK), None, None]
    still: list[Any] = [({"AttrIndx": 4}, BASE + BLOCK), ({"AttrIndx": 4}, BASE + BLOCK), None, None]
    for before, after in ((going, still), (still, going)):
        [change] = changes(built(before), built(after))
        assert (change.first, change.last, change.size_bytes) == (0, BLOCK - 1, BLOCK)


# Four slots of 2 MB, each nothing, a block, or a table with a few pages or with all of them.
LEAVES = st.fixed_dictionaries(
    {"AP": st.integers(0, 3), "AF": st.integers(0, 1), "AttrIndx": st.sampled_from([1, 4]), "DBM": st.integers(0, 1)}
)
PLACES = st.sampled_from([BASE, BASE + BLOCK])
SLOTS = st.one_of(
    st.none(),
    st.tuples(LEAVES, PLACES),
    st.tuples(st.dictionaries(st.sampled_from([0, 1, 2, 5, 30, 511]), LEAVES, min_size=1), PLACES, st.booleans()),
)


def built(slots: Sequence[Any]) -> Tables:
    tables = Tables()
    for slot, given_ in enumerate(slots):
        if given_ is None:
            continue
        first = slot * BLOCK
        if len(given_) == 2:
            tables.map(first, given_[1], 2, **given_[0])
            continue
        leaves, output, full = given_
        for number in range(512) if full else leaves:
            tables.map(first + number * PAGE, output + number * PAGE, **leaves.get(number, {"AttrIndx": 4}))
    return tables


def page_by_page(tables: Tables) -> list[object]:
    """What a walk of each page says: the oracle, which knows no runs.  Of what has no pages one walk is enough."""
    regime, found = regime_of(tables), []
    for slot in range(4):
        for number in range(512):
            walked = walk(regime, slot * BLOCK + number * PAGE, tables.read)
            found.append(said(walked))
            if walked.steps[-1].level.number < 3:
                found += [moved(found[-1], page * PAGE) for page in range(1, 512)]
                break
    return found


def said(walked: Walk) -> tuple[Any, ...] | None:
    given_ = walked.attributes
    if walked.leaf is None or given_ is None:
        return None
    rights = tuple((el, str(allowed)) for el, allowed in sorted(given_.rights.items()))
    traits = (given_.memory, given_.shareability, rights, given_.accessed, given_.dirty, given_.is_global)
    return walked.destination.address, walked.leaf.level.size_bytes, traits


def moved(page: tuple[Any, ...] | None, offset: int) -> tuple[Any, ...] | None:
    return page and (page[0] + offset, *page[1:])


@settings(max_examples=25)
@given(st.lists(SLOTS, min_size=4, max_size=4), st.lists(SLOTS, min_size=4, max_size=4))
def test_exactly_the_pages_that_a_walk_finds_different_are_in_the_changes(one: list[Any], other: list[Any]) -> None:
    before, after = built(one), built(other)
    found = changes(before, after)
    pairs = list(zip(page_by_page(before), page_by_page(after), strict=True))
    differing = {page for page, (was, now) in enumerate(pairs) if was != now}
    assert sum(each.size_bytes for each in found) == len(differing) * PAGE
    covered = {page for each in found for page in range(each.first // PAGE, (each.last + 1) // PAGE)}
    assert differing <= covered
    for each in found:
        assert each.first // PAGE in differing
        assert each.last // PAGE in differing
        for side in (each.before, each.after):
            assert sum(portion.size_bytes for portion in side) == each.size_bytes
            for portion in side:
                expected = pairs[portion.first // PAGE][side is each.after]
                assert (expected is None) == (portion.run is None)
                if portion.run is not None:
                    assert (portion.run.output, portion.run.leaf_bytes) == expected[:2]


@settings(max_examples=40)
@given(st.lists(SLOTS, min_size=4, max_size=4), st.lists(SLOTS, min_size=4, max_size=4))
def test_backwards_it_is_the_same_the_other_way_round(one: list[Any], other: list[Any]) -> None:
    turned = {
        ChangeKind.MAPPED: ChangeKind.UNMAPPED,
        ChangeKind.UNMAPPED: ChangeKind.MAPPED,
        ChangeKind.SPLIT: ChangeKind.MERGED,
        ChangeKind.MERGED: ChangeKind.SPLIT,
        ChangeKind.CHANGED: ChangeKind.CHANGED,
    }
    forth, back = changes(built(one), built(other)), changes(built(other), built(one))

    def of(kind: ChangeKind, each: MappingChange) -> tuple[object, ...]:
        return kind.value, each.first, each.last, each.size_bytes, sorted(aspect.value for aspect in each.aspects)

    assert sorted(of(turned[each.kind], each) for each in forth) == sorted(of(each.kind, each) for each in back)

"""Samples put together: regions, how hot each stretch is, runs that were touched alike."""

from __future__ import annotations

import pytest

from gdbtools.analysis.working_set import (
    GAP_SHARE,
    Leaf,
    Sample,
    Touch,
    every_leaf,
    heat,
    hottest,
    regions,
    stretches,
    touched_runs,
)
from gdbtools.arch.model import Access, AccessKind

PAGE = 1 << 12
READ, WRITE = Access(AccessKind.READ, 0), Access(AccessKind.WRITE, 0)


def pages(*numbers: int) -> list[Leaf]:
    return [Leaf(number * PAGE, PAGE, 0x1000 + number * 8) for number in numbers]


def sample(there: list[Leaf], touched: dict[Leaf, Touch | None] | list[Leaf]) -> Sample:
    return Sample(0.0, 1.0, there, touched if isinstance(touched, dict) else dict.fromkeys(touched))


def test_what_is_resident_is_what_was_there_in_any_sample_each_leaf_once() -> None:
    first, second = sample(pages(1, 2), pages(1)), sample(pages(2, 3, 0), pages(3))
    assert every_leaf([first, second]) == pages(0, 1, 2, 3)
    assert (first.resident_bytes, first.touched_bytes) == (2 * PAGE, PAGE)
    assert second.resident_bytes == 3 * PAGE


def test_heat_is_the_number_of_samples_in_which_a_leaf_was_touched() -> None:
    there = pages(0, 1, 2)
    samples = [sample(there, pages(0, 1)), sample(there, pages(1))]
    assert heat(samples) == {there[0]: 1, there[1]: 2}


def test_a_gap_ends_a_region() -> None:
    found = regions(pages(0, 1, 3, 4, 9), 12)
    assert [(region.first // PAGE, region.size_bytes // PAGE) for region in found] == [(0, 2), (3, 2), (9, 1)]


def test_where_there_are_too_many_the_smallest_gaps_are_taken_in() -> None:
    found = regions(pages(0, 2, 10, 13, 1000), 3)
    assert [[leaf.first // PAGE for leaf in region.leaves] for region in found] == [[0, 2], [10, 13], [1000]]
    assert len(regions(pages(0, 2, 4), 1)) == 1


def test_stretches_are_as_long_as_what_is_equally_hot() -> None:
    there = pages(0, 1, 2, 3, 4)
    shares = {there[1]: 1.0, there[2]: 1.0, there[3]: 0.5}
    assert list(stretches(there, shares)) == [(PAGE, 0.0), (2 * PAGE, 1.0), (PAGE, 0.5), (PAGE, 0.0)]


def test_a_gap_is_drawn_and_no_longer_than_its_share() -> None:
    near, far = pages(*range(64), 65), pages(*range(64), 1 << 30)
    assert list(stretches(near, {})) == [(64 * PAGE, 0.0), (PAGE, None), (PAGE, 0.0)]
    (_, (gap, nothing), _) = stretches(far, {})
    assert (gap, nothing) == (64 // GAP_SHARE * PAGE, None)


def test_gaps_may_be_left_out_and_what_is_not_there_is_none() -> None:
    there = pages(0, 7)
    assert list(stretches(there, {}, gaps=False)) == [(2 * PAGE, 0.0)]
    assert list(stretches(there, {there[0]: None}, gaps=False)) == [(PAGE, None), (PAGE, 0.0)]


def test_stretches_lose_no_byte() -> None:
    there = [*pages(0, 1, 2), Leaf(1 << 21, 1 << 21, 0x2000), Leaf(2 << 21, 1 << 21, 0x2008)]
    drawn = stretches(there, {there[1]: 1.0, there[4]: 1.0})
    assert sum(length for length, share in drawn if share is not None) == sum(leaf.size_bytes for leaf in there)


@pytest.mark.parametrize("apart", [False, True])
def test_a_run_ends_where_the_address_the_size_or_the_number_of_samples_is_another(apart: bool) -> None:
    there = [*pages(0, 1, 3, 511), Leaf(1 << 21, 1 << 21, 0x2000)]
    samples = [sample(there, there), sample(there, there[:1])]
    found = [(run.first // PAGE, run.leaves, run.samples) for run in touched_runs(samples, apart)]
    assert found == [(0, 1, 2), (1, 1, 1), (3, 1, 1), (511, 1, 1), (512, 1, 1)]


def test_who_touched_it_cuts_a_run_only_where_that_is_asked_for() -> None:
    there = pages(0, 1, 2)
    by = [Touch(0.3, READ, 0, 0x10), Touch(0.1, READ, 0, 0x10), Touch(0.2, WRITE, 0, 0x10)]
    samples = [sample(there, dict(zip(there, by, strict=True)))]
    (run,) = touched_runs(samples)
    assert (run.leaves, run.size_bytes, run.earliest) == (3, 3 * PAGE, by[1])
    assert [(run.first // PAGE, run.leaves, run.earliest) for run in touched_runs(samples, apart=True)] == [
        (0, 2, by[1]),
        (2, 1, by[2]),
    ]


def test_a_touch_that_nobody_saw_has_no_earliest() -> None:
    (run,) = touched_runs([sample(pages(0), pages(0))])
    assert run.earliest is None


def test_the_hottest_come_first_then_the_largest() -> None:
    there = pages(0, 2, 3, 5)
    samples = [sample(there, there), sample(there, pages(5))]
    assert [run.first // PAGE for run in hottest(touched_runs(samples), 2)] == [5, 2]

"""Filters and cuts: which runs, and which part of them."""

from __future__ import annotations

import pytest

from gdbtools.analysis.selection import Permission, Who, onto, permits, touched_by, within
from gdbtools.arch.aarch64.exception_levels import LEVELS
from gdbtools.arch.model import Attributes, Hole, LeafKind, Rights, Run

PAGE = 0x1000
NOTHING = Rights(False, False, False)


def rights(text: str) -> Rights:
    return Rights("r" in text, "w" in text, "x" in text)


def attributes(**by_level: str) -> Attributes:
    granted = {LEVELS[int(name[2:])]: rights(text) for name, text in by_level.items()}
    return Attributes("Normal Write-Back", "Inner Shareable", granted, True, None, True, False)


def a_run(first: int, size_bytes: int, output: int | None, leaf: int = PAGE, stride: int | None = None,
          ipa: int | None = None, **by_level: str) -> Run:  # fmt: skip
    kind = LeafKind(3, attributes(**(by_level or {"el0": "r--", "el1": "rw-"})), None)
    return Run(first, size_bytes, output, leaf, leaf if stride is None else stride, kind, 0x4000_0000, ipa)


def spans(found: list[Run | Hole]) -> list[tuple[int, int]]:
    return [(each.first, each.size_bytes) for each in found]


RUN = a_run(0x10000, 0x8000, 0x8000_0000)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (None, [(0x10000, 0x8000)]),
        ((0x0, 0x10000), []),
        ((0x18000, 0x1000), []),
        ((0x0, 0x10001), [(0x10000, PAGE)]),
        ((0x17FFF, 1), [(0x17000, PAGE)]),
        ((0x12000, 0x2000), [(0x12000, 0x2000)]),
        ((0x12FFF, 2), [(0x12000, 0x2000)]),
        ((0x0, 1 << 64), [(0x10000, 0x8000)]),
        ((0x10000, 0x8000), [(0x10000, 0x8000)]),
    ],
)
def test_a_range_cuts_runs_in_whole_leaves(wanted: tuple[int, int] | None, expected: list[tuple[int, int]]) -> None:
    found = list(within([RUN], wanted))
    assert spans(found) == expected
    for each in found:
        assert isinstance(each, Run)
        assert each.output == 0x8000_0000 + each.first - RUN.first


def test_a_cut_block_stays_a_whole_block() -> None:
    run = a_run(0x4000_0000, 0x40_0000, 0x8000_0000, leaf=0x20_0000)
    [cut] = within([run], (0x4030_0000, PAGE))
    assert spans([cut]) == [(0x4020_0000, 0x20_0000)]
    assert isinstance(cut, Run)
    assert cut.output == 0x8020_0000


def test_a_cut_of_a_run_that_repeats_leads_to_the_same_place() -> None:
    run = a_run(0x10000, 0x8000, 0x8000_0000, stride=0, ipa=0x6000_0000)
    [cut] = within([run], (0x13000, 0x2000))
    assert isinstance(cut, Run)
    assert (cut.first, cut.size_bytes, cut.output, cut.ipa) == (0x13000, 0x2000, 0x8000_0000, 0x6000_0000)


def test_a_cut_of_what_stage_2_does_not_map_has_its_own_ipa_and_no_output() -> None:
    [cut] = within([a_run(0x10000, 0x8000, None, ipa=0x6000_0000)], (0x13000, PAGE))
    assert isinstance(cut, Run)
    assert (cut.output, cut.ipa) == (None, 0x6000_3000)


def test_a_range_keeps_a_hole_that_it_touches_and_leaves_the_others_out() -> None:
    holes = [Hole(first, 0x20_0000, 0x7000_0000, "gone") for first in (0, 0x20_0000, 0x40_0000)]
    assert list(within(holes, (0x3F_FFFF, 1))) == [holes[1]]
    assert list(within(holes, (0x20_0000, 0x20_0001))) == holes[1:]


def test_a_range_asks_for_nothing_beyond_its_end() -> None:
    def endless():
        at = 0
        while True:
            assert at <= 0x5000, "it went on asking"
            yield a_run(at, PAGE, 0x8000_0000)
            at += 2 * PAGE

    assert spans(list(within(endless(), (0, 0x3000)))) == [(0, PAGE), (0x2000, PAGE)]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ((0x8000_0000, 0x8000), (0x10000, 0x8000)),
        ((0x8000_2000, PAGE), (0x12000, PAGE)),
        ((0x8000_2FFF, 2), (0x12000, 0x2000)),
        ((0x7FFF_FFFF, 2), (0x10000, PAGE)),
        ((0x7FFF_FFFF, 1), None),
        ((0x8000_8000, 1), None),
        ((0x8000_7FFF, 1), (0x17000, PAGE)),
    ],
)
def test_a_physical_range_cuts_to_what_leads_into_it(wanted: tuple[int, int], expected: tuple[int, int] | None) -> None:
    found = list(onto(RUN, wanted))
    assert spans(list(found)) == ([expected] if expected else [])
    assert all(each.output == 0x8000_0000 + each.first - RUN.first for each in found)


def test_a_physical_range_takes_a_run_that_repeats_whole_or_not_at_all() -> None:
    run = a_run(0x10000, 0x8000, 0x8000_0000, stride=0)
    assert list(onto(run, (0x8000_0FFF, 1))) == [run]
    assert list(onto(run, (0x8000_1000, PAGE))) == []


def test_what_leads_nowhere_is_in_no_physical_range() -> None:
    nowhere = a_run(0x10000, 0x8000, None, ipa=0x6000_0000)
    assert list(onto(nowhere, (0, 1 << 64))) == []
    assert list(onto(nowhere, None)) == [nowhere]


@pytest.mark.parametrize(
    ("wanted", "exact", "has", "fits"),
    [
        ("r", False, "rwx", True),
        ("wx", False, "rwx", True),
        ("wx", False, "rw", False),
        ("x", False, "x", True),
        ("r", False, "", False),
        ("", False, "", True),
        ("r", True, "r", True),
        ("r", True, "rw", False),
        ("rx", True, "rx", True),
        ("rx", True, "rwx", False),
        ("", True, "", True),
        ("", True, "x", False),
    ],
)
def test_permissions_are_at_least_or_exactly_these(wanted: str, exact: bool, has: str, fits: bool) -> None:
    assert Permission(rights(wanted), exact).fits(rights(has)) is fits


def test_who_is_asked_about_decides_whose_rights_count() -> None:
    kernel = a_run(0, PAGE, 0, el0="---", el1="rw-")
    user = a_run(0, PAGE, 0, el0="rw-", el1="r--")
    write = Permission(rights("w"), exact=False)
    assert [permits(write, who)(kernel) for who in Who] == [True, False, True]
    assert [permits(write, who)(user) for who in Who] == [True, True, False]


def test_no_level_is_taken_for_another() -> None:
    """EL2 has no EL0 in it; its own level is the privileged one."""
    hypervisor = a_run(0, PAGE, 0, el2="rwx")
    execute = Permission(rights("x"), exact=False)
    assert [permits(execute, who)(hypervisor) for who in Who] == [True, False, True]
    assert [touched_by(who)(hypervisor) for who in Who] == [True, False, True]


def test_rights_of_different_levels_do_not_add_up() -> None:
    """W^X: one level that may write and another that may execute are not one that may do both."""
    run = a_run(0, PAGE, 0, el0="--x", el1="rw-")
    assert not permits(Permission(rights("wx"), exact=False), Who.ANYBODY)(run)


@pytest.mark.parametrize("right", ["r", "w", "x"])
def test_touched_is_any_right_at_all(right: str) -> None:
    assert touched_by(Who.USER)(a_run(0, PAGE, 0, el0=right, el1=""))
    assert not touched_by(Who.PRIVILEGED)(a_run(0, PAGE, 0, el0=right, el1=""))

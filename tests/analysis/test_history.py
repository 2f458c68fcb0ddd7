"""Who changed it last, on recordings that are lists: one value after each instruction, and which ones are stores."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from gdbtools.analysis.history import PARTS, LastChange, last_change


@dataclass
class Recording:
    """`values[n]` is there after n instructions; instruction n, if in `watched`, is a store to it that is seen."""

    values: list[int]
    watched: set[int] = field(default_factory=set)
    position: int = 0
    moves: int = 0

    def __post_init__(self) -> None:
        self.position = len(self.values) - 1

    def back(self) -> bool:
        earlier = [at for at in self.watched if at + 1 < self.position]
        self.moves += 1
        self.position = max(earlier) + 1 if earlier else 0
        return bool(earlier)

    def stores(self) -> bool:
        return self.position in self.watched

    def step_back(self) -> None:
        assert self.position > 0
        self.position -= 1

    def go(self, position: int) -> None:
        assert 0 <= position < len(self.values)
        self.moves += 1
        self.position = position

    def read(self) -> int:
        return self.values[self.position]

    def ask(self) -> LastChange | None:
        return last_change(self, self.read)


def test_the_last_store_that_changed_it_is_found_and_the_guest_stands_before_it() -> None:
    recording = Recording([1, 1, 2, 2, 3, 3, 3], {1, 3})
    assert recording.ask() == LastChange(3, 2, 3, True, 0)
    assert recording.position == 3


def test_stores_that_leave_it_as_it_is_are_passed_over_and_counted() -> None:
    recording = Recording([1, 2, 2, 2, 2, 2, 2, 2, 2], {0, 2, 5})
    assert recording.ask() == LastChange(0, 1, 2, True, 2)


def test_what_was_changed_just_now_is_found_at_once_and_known_for_a_store_or_none() -> None:
    assert Recording([1, 1, 2], {1}).ask() == LastChange(1, 1, 2, True, 0)
    assert Recording([1, 1, 2]).ask() == LastChange(1, 1, 2, False, 0)


def test_a_store_right_before_another_is_not_missed() -> None:
    assert Recording([1, 1, 2, 2, 2, 2], {1, 2}).ask() == LastChange(1, 1, 2, True, 1)


def test_at_the_beginning_there_is_nothing() -> None:
    assert Recording([1], {0}).ask() is None


def test_what_never_changed_is_none_at_the_beginning() -> None:
    recording = Recording([5] * 9, {2, 4})
    assert recording.ask() is None
    assert recording.position == 0


def test_asked_again_it_finds_the_one_before() -> None:
    recording = Recording([1, 2, 2, 3, 3], {0, 2})
    assert [recording.ask(), recording.ask(), recording.ask()] == [
        LastChange(2, 2, 3, True, 0),
        LastChange(0, 1, 2, True, 0),
        None,
    ]


@pytest.mark.parametrize("length", [2, 3, PARTS, PARTS + 1, 10 * PARTS**2 + 7])
def test_what_no_store_has_changed_is_found_to_the_instruction(length: int) -> None:
    for at in {0, 1, length // 2, length - 2}:
        recording = Recording([7] * (at + 1) + [8] * (length - at - 1))
        if at + 1 < length:
            assert recording.ask() == LastChange(at, 7, 8, False, 0)
            assert recording.position == at


def test_an_unseen_change_after_the_last_store_is_not_blamed_on_the_store() -> None:
    recording = Recording([1, 2, 2, 2, 9, 9, 9, 9], {0})
    assert recording.ask() == LastChange(3, 2, 9, False, 0)


def test_and_one_between_two_stores_neither() -> None:
    recording = Recording([1, 2, 2, 9, 9, 9, 9], {0, 4})
    found = recording.ask()
    assert found is not None
    assert (found.position, found.before, found.after, found.seen) == (2, 2, 9, False)


def test_of_unseen_changes_there_and_back_the_last_is_found() -> None:
    recording = Recording([1, 1, 2, 2, 1, 1, 2, 2, 2])
    assert recording.ask() == LastChange(5, 1, 2, False, 0)


def test_a_recording_of_millions_takes_a_few_hundred_moves() -> None:
    recording = Recording([7] * 2_000_000 + [8] * 1_000_000)
    assert recording.ask() == LastChange(1_999_999, 7, 8, False, 0)
    assert recording.moves < 6 * PARTS


@pytest.mark.parametrize("seed", range(50))
def test_a_seen_change_is_always_the_last_there_is(seed: int) -> None:
    chance = random.Random(seed)
    values, stores = [0], set()
    for at in range(200):
        if chance.random() < 0.1:
            stores.add(at)
            values.append(chance.randrange(3))
        else:
            values.append(values[-1])
    recording = Recording(values, stores)
    changes = [at for at in range(200) if values[at] != values[at + 1]]
    found = recording.ask()
    if not changes:
        assert found is None
        return
    assert found is not None
    at = changes[-1]
    assert (found.position, found.before, found.after, found.seen) == (at, values[at], values[-1], True)
    assert found.silent <= len([each for each in stores if each > at])

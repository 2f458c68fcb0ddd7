from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdbtools.bits import Field, Word


class Sample(Word):
    """A descriptor-like word with a split address."""

    flag = Field(10, values={0: "clear", 1: "set"})
    address = Field((9, 8), (47, 12), scale=1 << 12)
    kind = Field((1, 0))


words = st.integers(0, (1 << 64) - 1)


def test_overlapping_fields_are_rejected_when_the_class_is_made() -> None:
    with pytest.raises(TypeError, match="overlaps"):
        type("Overlap", (Word,), {"a": Field((3, 0)), "b": Field(3)})


def test_a_field_beyond_the_word_is_rejected() -> None:
    with pytest.raises(TypeError, match="wider"):
        type("Wide", (Word,), {"a": Field(64)})


def test_a_split_field_is_read_most_significant_first() -> None:
    assert Sample(0b10 << 8 | 5 << 12).address == (0b10 << 36 | 5) << 12


def test_a_subclass_that_declares_a_field_again_replaces_it() -> None:
    class Narrow(Sample):
        """The same with a shorter address."""

        address = Field((47, 21), scale=1 << 21)

    assert Narrow(0xFFFF_F000).address == 0xFFE0_0000
    assert Sample(0xFFFF_F000).address == 0xFFFF_F000


def test_a_value_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        Sample(0).with_(kind=4)
    with pytest.raises(ValueError, match="address is a multiple of 0x1000, and 0x1 is none"):
        Sample(0).with_(address=1)


@given(words)
def test_every_bit_is_in_one_field_or_reserved(value: int) -> None:
    word = Sample(value)
    rebuilt = Sample(word.reserved).with_(**{each.field.name: each.value for each in word.decoded()})
    assert rebuilt == word


@given(words, st.integers(0, 3))
def test_with_changes_one_field_and_nothing_else(value: int, kind: int) -> None:
    changed = Sample(value).with_(kind=kind)
    assert changed.kind == kind
    assert changed & ~0b11 == value & ~0b11


def test_meanings_are_for_named_encodings_only() -> None:
    assert Sample.flag.meaning(1) == "set"
    assert Sample.kind.meaning(3) == ""

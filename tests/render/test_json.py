"""JSON: hex strings that keep 64 bits, one object a line."""

from __future__ import annotations

import enum
import json

from hypothesis import given
from hypothesis import strategies as st

from gdbtools import __version__
from gdbtools.render.json import hexadecimal, json_line, optional_hexadecimal
from gdbtools.wording import name_of


@given(st.integers(0, (1 << 64) - 1))
def test_a_value_is_16_digits_that_read_back(value: int) -> None:
    text = hexadecimal(value)
    assert int(text, 16) == value
    assert len(text) == len("0x") + 16
    assert text == text.lower()


def test_nothing_is_null_and_zero_is_not_nothing() -> None:
    assert optional_hexadecimal(None) is None
    assert optional_hexadecimal(0) == "0x0000000000000000"


def test_an_enum_is_its_name_in_words() -> None:
    assert name_of(enum.Enum("Sample", "ACCESS_FLAG").ACCESS_FLAG) == "access flag"


@given(st.dictionaries(st.text(), st.text()))
def test_an_answer_is_one_line_whatever_it_holds(result: dict) -> None:
    line = json_line("walk", result)
    assert len(line.splitlines()) == 1
    # By a decoder of its own: it is no answer of `walk`, and json.loads holds those to their schema.
    assert json.JSONDecoder().decode(line) == {
        "schema": "gdbtools/1",
        "version": __version__,
        "command": "walk",
        "result": result,
    }

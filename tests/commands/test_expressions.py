"""Addresses outside GDB: numbers, symbols and registers, with offsets."""

from __future__ import annotations

import pytest

from gdbtools.commands.expressions import Expressions
from gdbtools.errors import Unavailable, UsageError

SYMBOLS = {"vectors": 0x40200000, "foo-bar": 0x10, "a.part.0": 0x20}


def register(name: str) -> int:
    if name != "pc":
        raise Unavailable(f"no {name}")
    return 0x1000


EXPRESSIONS = Expressions(lambda: SYMBOLS, "is not a symbol", register)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0x40", 0x40),
        ("64", 64),
        ("vectors", 0x40200000),
        ("&vectors", 0x40200000),
        ("vectors+0x200", 0x40200200),
        ("vectors-16", 0x401FFFF0),
        ("foo-bar", 0x10),
        ("foo-bar+1", 0x11),
        ("a.part.0", 0x20),
        ("$pc", 0x1000),
        ("$pc+4", 0x1004),
        ("$pc-0x1000", 0),
    ],
)
def test_what_is_written_is_what_is_meant(text: str, value: int) -> None:
    assert EXPRESSIONS.evaluate(text) == value


@pytest.mark.parametrize("text", ["nosuch", "nosuch+4", "vectors+zz", "vectors+", "$pc-0x1001", "-1", "", "$"])
def test_what_means_nothing_is_a_usage_error(text: str) -> None:
    with pytest.raises((UsageError, Unavailable)):
        EXPRESSIONS.evaluate(text)


def test_a_register_that_is_not_there_is_said_so() -> None:
    with pytest.raises(Unavailable, match="no x99"):
        EXPRESSIONS.evaluate("$x99")


def test_without_registers_a_dollar_is_no_expression() -> None:
    with pytest.raises(UsageError, match="is not a symbol"):
        Expressions(lambda: SYMBOLS, "is not a symbol").evaluate("$pc")


def test_symbols_are_read_only_when_one_is_asked_for() -> None:
    def never() -> dict[str, int]:
        raise AssertionError("nobody asked")

    assert Expressions(never, "", register).evaluate("0x10") == 16
    assert Expressions(never, "", register).evaluate("$pc") == 0x1000

"""Numbers as logs write them: hexadecimal where a decimal makes no sense, and said so."""

from __future__ import annotations

import pytest

from gdbtools import numbers
from gdbtools.errors import UsageError
from gdbtools.numbers import Literal


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("96000006", 0x96000006),
        ("0000000096000006", 0x96000006),
        ("9600004f", 0x9600004F),
        ("DEADBEEF", 0xDEADBEEF),
        ("10", 0x10),
        ("0x10", 0x10),
        ("0b101", 0b101),
        ("0b101000", 0b101000),
        ("0b000101", 0b101),
        ("0b101000101", 0b101000101),
    ],
)
def test_what_a_register_holds_is_hexadecimal(text: str, value: int) -> None:
    assert numbers.word(text).value == value


@pytest.mark.parametrize("text", ["96000006", "9600004f", "0000000096000006"])
def test_digits_that_C_reads_otherwise_are_said_to_be_hexadecimal(text: str) -> None:
    assert numbers.word(text).said == f"{text} is read as hexadecimal: {int(text, 16):#x}"


@pytest.mark.parametrize("text", ["zz", "0x", "96000006,", "", "-1", "1.5", "12345678901234567"])
def test_junk_is_no_register_value(text: str) -> None:
    with pytest.raises(UsageError):
        numbers.word(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("ffff", None),
        ("$pc", None),
        ("vectors", None),
        ("1+2", None),
        ("0x1000", 0x1000),
        ("4096", 4096),
        ("0", 0),
        ("00400000", 0x400000),
        ("1e5", 0x1E5),
        ("4010000080000000", 0x4010000080000000),
        ("0b10000000000000", 0x0B10000000000000),
        ("0b100000", 0b100000),
    ],
)
def test_an_address_with_letters_a_leading_zero_or_all_digits_is_hexadecimal(text: str, value: int | None) -> None:
    literal = numbers.address(text)
    assert (literal and literal.value) == value


def test_a_long_decimal_address_is_said_to_be_decimal() -> None:
    said = "40201000 is read as decimal: 0x2656b28; in hexadecimal it is 0x40201000"
    assert numbers.address("40201000") == Literal(40201000, said)
    assert numbers.address("4096") == Literal(4096)


@pytest.mark.parametrize(
    ("text", "value"),
    [("ffff800008000000", 0xFFFF800008000000), ("f00", 0xF00), ("deadbeef", 0xDEADBEEF), ("add", None), ("main", None)],
)
def test_a_word_of_letters_is_a_number_only_when_it_is_long(text: str, value: int | None) -> None:
    literal = numbers.unless_a_name(text)
    assert (literal and literal.value) == value

"""What the words of an argument mean: addresses, ranges, changes of registers and descriptors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, cast

from gdbtools import numbers
from gdbtools.addresses import Input
from gdbtools.commands.model import DescriptorChange, RegisterChange
from gdbtools.errors import UsageError
from gdbtools.numbers import Literal, number

if TYPE_CHECKING:
    from gdbtools.arch.gadgets import Scope

Evaluate = Callable[[str], int]
"""A face's own way from an expression to an unsigned 64-bit integer; raises `UsageError`.

It is asked only for what is no number by itself (`gdbtools.numbers`).
"""
LONGEST_SECONDS = 86400
WHOLE = "descriptor"
"""What a descriptor's value is called where a field's name could be."""
_RANGE = "write FIRST,END or FIRST-END (END not included) or FIRST,+SIZE, like 0x1000,+64K"
_ASID = "asid="


def seconds(text: str) -> float:
    """Read a length of time; raise `UsageError` for anything else."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= LONGEST_SECONDS:
        raise UsageError(f"{text!r} is no length of time; give seconds up to a day, like 2 or 0.5")
    return value


def level(text: str) -> int:
    """Read the number of a level, which may be below 0; raise `UsageError` for what is no number.

    Which levels there are, a regime knows.
    """
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"{text!r} is no level of translation tables; give its number, as `walk` shows it") from None


class ArgumentReader:
    """Reads the words of one command; `said` collects how digits were taken that could have meant another number."""

    def __init__(self, evaluate: Evaluate) -> None:
        self._evaluate = evaluate
        self.said: list[str] = []

    def address(self, text: str, hexadecimal: bool = False) -> int:
        """Read a number, or else an expression, or else hexadecimal digits that begin with a letter."""
        literal = numbers.address(text, hexadecimal=hexadecimal)
        if literal is not None:
            return self._taken(literal)
        try:
            return self._evaluate(text)
        except UsageError:
            literal = numbers.unless_a_name(text)
            if literal is None:
                raise
            return self._taken(literal)

    def word(self, text: str) -> int:
        """Read what a register holds: digits are hexadecimal, anything else is an expression."""
        if not numbers.is_digits(text):
            return self.address(text)
        return self._taken(numbers.word(text))

    def range(self, text: str) -> tuple[int, int]:
        """Read a range, or one address; returns (first, size in bytes)."""
        first, comma, end = text.partition(",")
        if not comma:
            first, comma, end = _at_dash(text)
        if not first or (comma and not end.lstrip("+")):
            raise UsageError(f"{text!r} is no range; {_RANGE}")
        sized = end.startswith("+") and comma == ","
        # As /proc/PID/maps has them: one that is hexadecimal makes both so, and so does writing out eight digits.
        padded = comma == "-" and min(len(first), len(end)) >= numbers.LIKE_MAPS
        hexadecimal = padded or any(numbers.is_hexadecimal(each) for each in (first, end.lstrip("+")))
        start = self.address(first, hexadecimal)
        if not comma:
            return start, 1
        last = numbers.size(end[1:]) if sized else None
        if last is None:
            last = self.address(end[1:] if sized else end, hexadecimal)
        size = last if sized else last - start
        if size <= 0 or start + size > 1 << numbers.BITS:
            raise UsageError(f"{text!r} is no range: {_why_none(sized, start, last)}; {_RANGE}")
        return start, size

    def register_change(self, text: str) -> RegisterChange:
        what, _, value = text.partition("=")
        register, _, field = what.partition(".")
        if not register or not value:
            raise UsageError(f"{text!r} changes nothing; write REGISTER.FIELD=VALUE or REGISTER=VALUE")
        return RegisterChange(register, field or None, self._value(value, whole=not field))

    def descriptor_change(self, text: str) -> DescriptorChange:
        what, _, value = text.rpartition("=")
        address, _, field = what.rpartition(".")
        if not address or not field or not value:
            raise UsageError(f"{text!r} changes nothing; write ADDRESS.FIELD=VALUE, like 0xffff000000080000.AP=3")
        return DescriptorChange(cast(Input, self.address(address)), field, self._value(value, whole=field == WHOLE))

    def field_change(self, text: str) -> tuple[str, int]:
        field, _, value = text.partition("=")
        if not field or not value:
            raise UsageError(f"{text!r} changes nothing; write FIELD=VALUE, like AF=1 or AP=3")
        return field, self._value(value, whole=field == WHOLE)

    def scope(self, text: str) -> Scope:
        from gdbtools.arch.gadgets import Extent, Scope

        if text == "all":
            return Scope(Extent.ALL)
        if text.startswith(_ASID):
            return Scope(Extent.ADDRESS_SPACE, number(text.removeprefix(_ASID)))
        return Scope(Extent.ADDRESS, self.address(text))

    def _value(self, text: str, whole: bool) -> int:
        """Read a value: one that is `whole` is hexadecimal, a field's may be small and decimal."""
        if whole:
            return self._taken(numbers.word(text))
        literal = numbers.address(text)
        return number(text) if literal is None else self._taken(literal)

    def _taken(self, literal: Literal) -> int:
        self.said += [literal.said] if literal.said else []
        return literal.value


def _why_none(sized: bool, start: int, last: int) -> str:
    if sized and last > 0:
        return f"it leads beyond {(1 << numbers.BITS) - 1:#x}"
    return "it is empty" if sized or last == start else f"it ends at {last:#x}, before it begins, at {start:#x}"


def _at_dash(text: str) -> tuple[str, str, str]:
    """Cut FIRST-END at its dash; one in brackets, in quotes or in `->` is an expression's own."""
    at = list(_dashes(text))
    if len(at) > 1:
        raise UsageError(f"{text!r} has more than one dash; {_RANGE}, with FIRST and END in brackets if need be")
    return (text[: at[0]], "-", text[at[0] + 1 :]) if at else (text, "", "")


def _dashes(text: str) -> Iterator[int]:
    depth, quote = 0, ""
    for at, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
        elif letter == "-" and not depth and at and text[at + 1 : at + 2] != ">" and text[at - 1] not in "+-*/%&|^<>(,":
            yield at

"""Numbers as people and logs write them: the one place where text becomes an integer.

Crash logs print syndromes, descriptors and addresses in hexadecimal without saying so, and `/proc/PID/maps` its ranges;
C's rules would read `96000006` as ninety-six million, and `0000ffff` not at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from gdbtools.errors import UsageError

BITS: Final = 64
WHOLE: Final = BITS // 4
"""The digits of a 64-bit value written out: nobody writes a decimal number so."""
LIKE_MAPS: Final = 8
"""The digits that `/proc/PID/maps` pads its addresses to."""
COUNTED: Final = 2
"""Up to how many digits a value may as well be a decimal number, as a cause of RISC-V has in its manual."""
DOUBTFUL: Final = 6
"""From how many digits on a decimal address is said to have been read as one."""
_SIZE: Final = re.compile(r"(0x[0-9a-f]+|[0-9]+)([kmgt])(?:i?b)?", re.IGNORECASE)
_SHIFTS: Final = {"k": 10, "m": 20, "g": 30, "t": 40}
_HEXADECIMAL: Final = re.compile(r"[0-9a-fA-F]+")


@dataclass(frozen=True)
class Literal:
    """A value, and in words how its digits were taken where that is not plain from them; else empty."""

    value: int
    said: str = ""


def number(text: str) -> int:
    """Return an unsigned 64-bit integer as C writes it; raise `UsageError` for anything else."""
    try:
        value = int(text, 0)
    except ValueError:
        raise UsageError(f"{text!r} is not a number; write it like 0x40000000 or 4096") from None
    return _fits(value, text)


def size(text: str) -> int | None:
    """Return a size in bytes of a number with a binary unit, `64K`, `2MiB`, in any case; None for what has no unit."""
    found = _SIZE.fullmatch(text)
    if found is None:
        return None
    digits = found[1]
    value = int(digits, 16 if digits[:2].lower() == "0x" else 10)
    return _fits(value << _SHIFTS[found[2].lower()], text)


def word(text: str) -> Literal:
    """Return what a register or a descriptor is to hold: digits without a prefix are hexadecimal."""
    if is_digits(text):
        return _hexadecimal(text)
    try:
        return Literal(number(text))
    except UsageError as error:
        if "not a number" in str(error):
            raise UsageError(f"{text!r} is not a hexadecimal number; write it like 0x96000006") from None
        raise


def address(text: str, *, hexadecimal: bool = False) -> Literal | None:
    """Return an address that is a number whatever symbols there are; None for what may be an expression.

    Without a prefix it is hexadecimal where it has letters, begins with a zero, or is written out; `hexadecimal` says
    that it is in any case.
    """
    if not text[:1].isdigit():
        return None
    if is_digits(text):
        if hexadecimal or not _is_decimal(text):
            return _hexadecimal(text)
        said = f"{text} is read as decimal: {int(text):#x}; in hexadecimal it is 0x{text}"
        return Literal(_fits(int(text), text), said if len(text) >= DOUBTFUL else "")
    try:
        return Literal(_fits(int(text, 0), text))
    except ValueError:
        return None


def unless_a_name(text: str) -> Literal | None:
    """Return what hexadecimal digits that begin with a letter stand for where no symbol has that name.

    A short word of letters only, like `add`, is a name that is not known rather than a number.
    """
    if not _HEXADECIMAL.fullmatch(text) or (text.isalpha() and len(text) < LIKE_MAPS):
        return None
    return _hexadecimal(text)


def is_digits(text: str) -> bool:
    """Return whether text is hexadecimal digits, whatever they mean, without a prefix."""
    return bool(_HEXADECIMAL.fullmatch(text)) and not _has_prefix(text)


def is_hexadecimal(text: str) -> bool:
    """Return whether digits without a prefix are hexadecimal: a letter or a leading zero makes them so."""
    return is_digits(text) and not _is_decimal(text)


def _is_decimal(text: str) -> bool:
    return text.isdecimal() and len(text) != WHOLE and (text == "0" or not text.startswith("0"))


def _has_prefix(text: str) -> bool:
    """Return whether `0b` begins a binary number: at the length of a whole value it is two more digits."""
    return text[:2] in ("0b", "0B") and not set(text[2:]) - {"0", "1"} and len(text) not in (2, WHOLE)


def _hexadecimal(text: str) -> Literal:
    value = _fits(int(text, 16), text)
    said = f"{text} is read as hexadecimal: {value:#x}" if len(text) > 1 or text.isalpha() else ""
    if said and text.isdecimal() and len(text) <= COUNTED and not text.startswith("0"):
        said += f"; decimal {text} is {int(text):#x}"
    return Literal(value, said)


def _fits(value: int, text: str) -> int:
    if not 0 <= value < 1 << BITS:
        raise UsageError(f"{text} does not fit 64 bits; give a value from 0 to 0xffffffffffffffff")
    return value

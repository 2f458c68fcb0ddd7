"""The symbols that a stock Xen carries in its own image, for its own backtraces: no debug package is needed.

They are laid out as Linux's kallsyms are: addresses or offsets, how many, names in pieces, and a table of the pieces.
Source: Xen 4.17, xen/tools/symbols.c and xen/common/symbols.c.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

DIGITS = b"".join(b"%d\0" % each for each in range(9))
"""In the table of pieces digits stand for themselves, but for one that no name has."""
PIECES = 256
FEWEST, MOST = 1000, 20000
ALIGNMENT = 1 << 8
"""Of each table: `.align 8` is a power of two in an assembler for Arm."""


def symbols(image: Path) -> Mapping[str, int]:
    """Return each function's name and address; of several of one name, the first."""
    data = image.read_bytes()
    found: dict[str, int] = {}
    for tokens, tokens_at in _pieces(data):
        for count, names, at in _names(data, tokens, tokens_at):
            for address, name in zip(_addresses(data, count, at), names, strict=True):
                found.setdefault(name, address)
            return found
    raise AssertionError(f"{image.name} has no table of symbols as Xen 4.17 has it")


def _pieces(data: bytes) -> Iterator[tuple[Sequence[bytes], int]]:
    """Yield the pieces of names, and where their table begins."""
    for digits in re.finditer(re.escape(DIGITS), data):
        # Behind it is where each piece begins in it: the ASCII code of a digit is its number.
        for at in range(digits.end(), digits.end() + (1 << 13)):
            index = struct.unpack_from(f"<{PIECES}H", data, at)
            start = digits.start() - index[ord("0")]
            if index[0] == 0 and list(index) == sorted(set(index)) and index[ord("8")] - index[ord("0")] == 16:
                yield [data[start + each :].partition(b"\0")[0][:64] for each in index], start
                break


def _names(data: bytes, pieces: Sequence[bytes], end: int) -> Iterator[tuple[int, Sequence[str], int]]:
    """Yield how many names there are, the names, and where the number stands."""
    for at in range(0, end, ALIGNMENT):
        (count,) = struct.unpack_from("<I", data, at)
        if not FEWEST < count < MOST:
            continue
        place, names = at + ALIGNMENT, list[str]()
        while len(names) < count and place < end and data[place]:
            size = data[place]
            name = b"".join(pieces[each] for each in data[place + 1 : place + 1 + size])
            names.append(name[1:].decode("ascii", "replace"))
            place += 1 + size
        if len(names) == count:
            yield count, names, at


def _addresses(data: bytes, count: int, end: int) -> Sequence[int]:
    """Return the addresses that stand before the number of them."""
    return struct.unpack_from(f"<{count}Q", data, end - -(-8 * count // ALIGNMENT) * ALIGNMENT)

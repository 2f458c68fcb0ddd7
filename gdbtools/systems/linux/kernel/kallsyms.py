"""kallsyms: the kernel's own table of its symbols, compressed as the kernel keeps it.

Source: Linux, `kernel/kallsyms.c` and `scripts/kallsyms.c`; where its parts are is in VMCOREINFO since 6.0
(`kernel/vmcore_info.c`).
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from gdbtools.addresses import VA
from gdbtools.errors import Unavailable
from gdbtools.systems.linux.notes import number
from gdbtools.systems.tasks import ReadVirtual

_TOKENS: Final = 256
_LONGEST_TOKENS: Final = 1 << 14
"""Bytes of the table of tokens: each is a few letters."""
_MOST_SYMBOLS: Final = 1 << 22
_CHUNK_BYTES: Final = 1 << 16
_LONGEST_NAME: Final = 1 << 15
_LONG: Final = 0x80
"""Of a length's first byte: another one has its upper bits (6.1 and later)."""
_ADDRESSES: Final = 1 << 64


@dataclass(frozen=True)
class KernelSymbols:
    """A kernel's symbols, by rising address: `kinds` has a letter for each, as nm has them."""

    addresses: Sequence[int]
    names: Sequence[str]
    kinds: str

    @cached_property
    def _by_name(self) -> Mapping[str, int]:
        return dict(zip(reversed(self.names), reversed(self.addresses), strict=True))

    def address(self, name: str) -> VA | None:
        """Return where a symbol is, the lowest of several of that name; None for one that is not in the table."""
        found = self._by_name.get(name)
        return None if found is None else VA(found)

    def at(self, address: VA) -> tuple[str, int] | None:
        """Return the symbol that an address is in or behind, and how far; None for one below all of them."""
        index = bisect_right(self.addresses, address) - 1
        return None if index < 0 else (self.names[index], address - self.addresses[index])


def read_symbols(info: Mapping[str, str], read: ReadVirtual) -> KernelSymbols:
    """Return the symbols of the kernel that wrote this VMCOREINFO; raise `Unavailable` where they do not hold together.

    They do if there are as many names as are announced, the addresses rise, and `_stext` is where VMCOREINFO has it.
    """
    count = int.from_bytes(read(_place(info, "num_syms"), 4), "little")
    if not 0 < count <= _MOST_SYMBOLS:
        raise Unavailable(f"kallsyms is said to have {count} symbols, which no kernel has")
    tokens = _tokens(info, read)
    names, kinds = _names(_place(info, "names"), count, tokens, read)
    addresses = _addresses(info, count, read)
    ordered = sorted(range(count), key=addresses.__getitem__)
    symbols = KernelSymbols(
        [addresses[at] for at in ordered], [names[at] for at in ordered], "".join(kinds[at] for at in ordered)
    )
    text = number(info, "SYMBOL(_stext)", 16)
    if symbols.address("_stext") != text:
        raise Unavailable(f"kallsyms does not have _stext at {text:#x}, where VMCOREINFO has it")
    return symbols


def _place(info: Mapping[str, str], part: str) -> VA:
    return VA(number(info, f"SYMBOL(kallsyms_{part})", 16))


def _tokens(info: Mapping[str, str], read: ReadVirtual) -> list[bytes]:
    """Return what each byte of a compressed name stands for."""
    starts = struct.unpack(f"<{_TOKENS}H", read(_place(info, "token_index"), 2 * _TOKENS))
    if starts[0] or list(starts) != sorted(starts) or starts[-1] > _LONGEST_TOKENS:
        raise Unavailable("the tokens of kallsyms are not one behind the other")
    table = read(_place(info, "token_table"), starts[-1] + _TOKENS)
    return [table[start : table.index(0, start)] for start in starts]


def _names(at: VA, count: int, tokens: Sequence[bytes], read: ReadVirtual) -> tuple[list[str], list[str]]:
    """Return names and kinds, in the order of the table."""
    data, used = b"", 0
    names, kinds = [], []
    for _ in range(count):
        if len(data) - used < _LONGEST_NAME:
            data, at, used = data[used:] + read(VA(at), _CHUNK_BYTES), VA(at + _CHUNK_BYTES), 0
        length = data[used]
        used += 1
        if length & _LONG:
            length = length & _LONG - 1 | data[used] << 7
            used += 1
        text = b"".join([tokens[each] for each in data[used : used + length]])
        used += length
        if len(text) < 2 or not text.isascii():
            raise Unavailable(f"kallsyms has a name that is none: {text[:16]!r}")
        names.append(text[1:].decode())
        kinds.append(chr(text[0]))
    return names, kinds


def _addresses(info: Mapping[str, str], count: int, read: ReadVirtual) -> Sequence[int]:
    """Return the address of each symbol, in the order of the table, of the three ways in which they are kept."""
    if "SYMBOL(kallsyms_offsets)" not in info:
        return struct.unpack(f"<{count}Q", read(_place(info, "addresses"), 8 * count))
    base = int.from_bytes(read(_place(info, "relative_base"), 8), "little")
    offsets = struct.unpack(f"<{count}i", read(_place(info, "offsets"), 4 * count))
    # With KALLSYMS_ABSOLUTE_PERCPU what is not negative is an address itself, that of a per-CPU symbol: few are.
    if 2 * sum(offset < 0 for offset in offsets) > count:
        return [offset if offset >= 0 else (base - 1 - offset) % _ADDRESSES for offset in offsets]
    return [(base + (offset & 0xFFFF_FFFF)) % _ADDRESSES for offset in offsets]

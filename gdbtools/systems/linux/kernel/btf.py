"""BTF, the types of a kernel as it keeps them for its own verifier: structures, their members and sizes.

Source: Linux, `Documentation/bpf/btf.rst` and `include/uapi/linux/btf.h`.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gdbtools.errors import Unavailable

HEADER: Final = struct.Struct("<HBBIIIII")
"""Magic, version, flags, own length; then where types and strings are, behind it: offset and length of each."""
MAGIC: Final = b"\x9f\xeb\x01\x00" + HEADER.size.to_bytes(4, "little")
"""What it begins with: little-endian, version 1."""
MOST_BYTES: Final = 1 << 26
_TYPE: Final = struct.Struct("<III")
_MEMBER: Final = struct.Struct("<III")
_ARRAY: Final = struct.Struct("<III")
_INT, _PTR, _ARRAY_KIND, _STRUCT, _UNION, _ENUM, _TYPEDEF, _VOLATILE, _CONST, _RESTRICT, _TYPE_TAG, _ENUM64 = (
    1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 18, 19
)  # fmt: skip
_QUALIFIERS: Final = frozenset((_TYPEDEF, _VOLATILE, _CONST, _RESTRICT, _TYPE_TAG))
_FIXED_BYTES: Final = {_INT: 4, _ARRAY_KIND: 12, 14: 4, 17: 4}
_EACH_BYTES: Final = {_STRUCT: 12, _UNION: 12, _ENUM: 8, 13: 8, 15: 12, _ENUM64: 12}
_LAST_KIND: Final = 19
_POINTER_BYTES: Final = 8
_DEEPEST: Final = 32
_MOST_MEMBERS: Final = 1 << 14


@dataclass(frozen=True, slots=True)
class Member:
    """A member: where it begins in its structure, in bits, how many it has, and its type's number.

    `bits` is 0 for one that is no bit-field.
    """

    at_bit: int
    bits: int
    type: int

    @property
    def at(self) -> int:
        return self.at_bit // 8


class Types:
    """The types in the bytes of a BTF section; raises `Unavailable` for bytes that are none."""

    def __init__(self, data: bytes) -> None:
        if len(data) < HEADER.size or not data.startswith(MAGIC):
            raise Unavailable("this is not BTF of version 1")
        *_, length, types_at, types_bytes, strings_at, strings_bytes = HEADER.unpack_from(data)
        self._types = data[length + types_at : length + types_at + types_bytes]
        self._strings = data[length + strings_at : length + strings_at + strings_bytes]
        if len(self._types) != types_bytes or len(self._strings) != strings_bytes or self._strings[:1] != b"\0":
            raise Unavailable("BTF ends before its types and strings do")
        self._starts, self._structures = self._index()
        self._members: dict[int, Mapping[str, Member]] = {}

    def _index(self) -> tuple[Sequence[int], Mapping[int, int]]:
        """Return where each type begins, number 0 being void, and the structures by the place of their name."""
        starts = array("I", [0])
        structures: dict[int, int] = {}
        at, end, unpack = 0, len(self._types), _TYPE.unpack_from
        while at + _TYPE.size <= end:
            name, info, _ = unpack(self._types, at)
            kind, count = info >> 24 & 0x1F, info & 0xFFFF
            if not 0 < kind <= _LAST_KIND:
                raise Unavailable(f"BTF has a type of kind {kind}, which this does not know")
            if kind == _STRUCT:
                structures.setdefault(name, len(starts))
            starts.append(at)
            at += _TYPE.size + _FIXED_BYTES.get(kind, 0) + count * _EACH_BYTES.get(kind, 0)
        if at != end:
            raise Unavailable("the last type of BTF is not whole")
        return starts, structures

    def _name(self, at: int) -> str:
        return self._strings[at : self._strings.find(b"\0", at)].decode("ascii", "replace")

    def _head(self, number: int) -> tuple[int, int, int]:
        """Return the kind, the count and the last word (size or type) of a type."""
        if not 0 < number < len(self._starts):
            raise Unavailable(f"BTF has no type {number}")
        _, info, word = _TYPE.unpack_from(self._types, self._starts[number])
        return info >> 24 & 0x1F, info & 0xFFFF, word

    def plain(self, number: int) -> int:
        """Return a type without its qualifiers and names."""
        for _ in range(_DEEPEST):
            kind, _, word = self._head(number)
            if kind not in _QUALIFIERS:
                return number
            number = word
        raise Unavailable("a type of BTF is defined by itself")

    def structure(self, name: str) -> int:
        """Return the number of a structure; raise `Unavailable` for one that this kernel does not have."""
        at = self._strings.find(b"\0" + name.encode() + b"\0") + 1
        # What a linker merged is the end of a longer name, and then not at a beginning.
        found = self._structures.get(at) if at else None
        if found is None:
            raise Unavailable(f"this kernel's types have no struct {name}")
        return found

    def size_of(self, number: int, depth: int = 0) -> int:
        """Return the size of a type in bytes."""
        number = self.plain(number)
        if depth > _DEEPEST:
            raise Unavailable("an array of BTF has itself as an element")
        kind, _, word = self._head(number)
        if kind == _PTR:
            return _POINTER_BYTES
        if kind == _ARRAY_KIND:
            element, _, count = self._array(number)
            return count * self.size_of(element, depth + 1)
        if kind in (_INT, _STRUCT, _UNION, _ENUM, _ENUM64):
            return word
        raise Unavailable(f"a type of kind {kind} has no size")

    def _array(self, number: int) -> tuple[int, int, int]:
        element, index, count = _ARRAY.unpack_from(self._types, self._starts[number] + _TYPE.size)
        return element, index, count

    def is_signed(self, number: int) -> bool:
        """Return whether an integer has a sign."""
        number = self.plain(number)
        if self._head(number)[0] != _INT:
            return False
        word = int.from_bytes(self._types[self._starts[number] + _TYPE.size :][:4], "little")
        return bool(word >> 24 & 1)

    def pointed(self, number: int) -> int | None:
        """Return what a pointer's type points to; None for a type that is no pointer, 0 for void."""
        kind, _, word = self._head(self.plain(number))
        return word if kind == _PTR else None

    def element(self, number: int) -> tuple[int, int] | None:
        """Return the type of an array's elements, and how many there are; None for a type that is no array."""
        number = self.plain(number)
        if self._head(number)[0] != _ARRAY_KIND:
            return None
        element, _, count = self._array(number)
        return element, count

    def members(self, number: int) -> Mapping[str, Member]:
        """Return the members of a structure or union by name, those of its unnamed ones among them."""
        number = self.plain(number)
        if number not in self._members:
            self._members[number] = dict(self._members_of(number, 0))
        return self._members[number]

    def _members_of(self, number: int, depth: int) -> list[tuple[str, Member]]:
        kind, count, _ = self._head(number)
        if kind not in (_STRUCT, _UNION) or depth > _DEEPEST:
            raise Unavailable(f"BTF's type {number} is no structure")
        info = _TYPE.unpack_from(self._types, self._starts[number])[1]
        with_bits = info >> 31
        found: list[tuple[str, Member]] = []
        for at in range(count):
            start = self._starts[number] + _TYPE.size + at * _MEMBER.size
            name, type_, place = _MEMBER.unpack_from(self._types, start)
            bits, at_bit = (place >> 24, place & 0xFF_FFFF) if with_bits else (0, place)
            if name:
                found.append((self._name(name), Member(at_bit, bits, type_)))
                continue
            inner = self.plain(type_)
            if self._head(inner)[0] in (_STRUCT, _UNION):
                within = self._members_of(inner, depth + 1)
                found += [(each, Member(at_bit + sub.at_bit, sub.bits, sub.type)) for each, sub in within]
            if len(found) > _MOST_MEMBERS:
                raise Unavailable(f"BTF's type {number} has more members than any structure")
        return found

    def member(self, structure: int, path: str) -> Member:
        """Return a member by its path, `mm_mt.ma_root`; raise `Unavailable` where this kernel has none."""
        at_bit, type_ = 0, structure
        found = Member(0, 0, structure)
        for part in path.split("."):
            known = self.members(type_).get(part)
            if known is None:
                raise Unavailable(f"this kernel's types have no {path} where it was looked for")
            found = known
            at_bit, type_ = at_bit + known.at_bit, known.type
        return Member(at_bit, found.bits, found.type)

    @property
    def counted(self) -> int:
        """How many types there are."""
        return len(self._starts) - 1

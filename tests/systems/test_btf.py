"""BTF: structures by name, members by path, and nothing but one clear line for bytes that are none."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdbtools.errors import Unavailable
from gdbtools.systems.linux.kernel.btf import HEADER, MAGIC, Types

STRINGS = b"\0int\0task_struct\0pid\0comm\0flag\0next\0own_task_struct\0a\0b\0"


def name(text: str) -> int:
    return STRINGS.index(b"\0" + text.encode() + b"\0") + 1


def head(text: str, kind: int, count: int, word: int, with_bits: bool = False) -> bytes:
    return struct.pack("<III", name(text) if text else 0, with_bits << 31 | kind << 24 | count, word)


def member(text: str, type_: int, at_bit: int, bits: int = 0) -> bytes:
    return struct.pack("<III", name(text) if text else 0, type_, bits << 24 | at_bit)


INT = head("int", 1, 0, 4) + struct.pack("<I", 1 << 24 | 32)
POINTER = head("", 2, 0, 6)
CHARACTER = head("", 1, 0, 1) + struct.pack("<I", 8)
ARRAY = head("", 3, 0, 0) + struct.pack("<III", 3, 1, 16)
UNION = head("", 5, 2, 8) + member("a", 1, 0) + member("b", 2, 0)
TASK = head("task_struct", 4, 5, 40, with_bits=True) + b"".join(
    (
        member("pid", 1, 0),
        member("flag", 1, 35, bits=3),
        member("comm", 4, 64),
        member("", 5, 192),
        member("next", 7, 256),
    )
)
NAMED_POINTER = head("next", 8, 0, 2)
TYPES = INT + POINTER + CHARACTER + ARRAY + UNION + TASK + NAMED_POINTER


def btf(types: bytes = TYPES, strings: bytes = STRINGS) -> bytes:
    return MAGIC + struct.pack("<IIII", 0, len(types), len(types), len(strings)) + types + strings


def test_members_are_found_by_name_those_of_unnamed_unions_among_them() -> None:
    types = Types(btf())
    task = types.structure("task_struct")
    found = {text: (each.at_bit, each.bits) for text, each in types.members(task).items()}
    assert found == {"pid": (0, 0), "flag": (35, 3), "comm": (64, 0), "a": (192, 0), "b": (192, 0), "next": (256, 0)}
    assert types.size_of(types.member(task, "comm").type) == 16
    assert types.pointed(types.member(task, "next").type) == task
    assert types.is_signed(types.member(task, "pid").type)
    assert not types.is_signed(types.member(task, "comm").type)


@pytest.mark.parametrize("wanted", ["own_task_struct", "mm_struct", "ask_struct"])
def test_a_structure_is_not_taken_for_one_whose_name_is_a_part_of_its_own(wanted: str) -> None:
    with pytest.raises(Unavailable, match=f"no struct {wanted}"):
        Types(btf()).structure(wanted)


def test_a_member_that_is_not_there_is_named() -> None:
    types = Types(btf())
    with pytest.raises(Unavailable, match=r"mm\.pgd"):
        types.member(types.structure("task_struct"), "mm.pgd")


def test_types_that_are_made_of_themselves_end() -> None:
    own = head("", 3, 0, 0) + struct.pack("<III", 1, 1, 1)
    with pytest.raises(Unavailable, match="itself"):
        Types(btf(own)).size_of(1)
    alias = head("int", 8, 0, 1)
    with pytest.raises(Unavailable, match="itself"):
        Types(btf(alias)).plain(1)
    nested = head("task_struct", 4, 40, 8) + member("", 1, 0) * 40
    with pytest.raises(Unavailable):
        Types(btf(nested)).members(1)


@pytest.mark.parametrize("length", range(0, len(btf()), 7))
def test_bytes_that_end_early_are_refused(length: int) -> None:
    with pytest.raises(Unavailable):
        Types(btf()[:length])


@given(st.lists(st.tuples(st.integers(HEADER.size, len(btf()) - 1), st.integers(0, 255)), max_size=6))
def test_whatever_the_bytes_are_they_are_read_or_refused(changes: list[tuple[int, int]]) -> None:
    data = bytearray(btf())
    for at, value in changes:
        data[at] = value
    try:
        types = Types(bytes(data))
        task = types.structure("task_struct")
        for each in types.members(task).values():
            types.size_of(each.type)
            types.is_signed(each.type)
            types.pointed(each.type)
    except Unavailable:
        return

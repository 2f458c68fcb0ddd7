"""Linux's two roots of a process on x86-64: believed for what the tables show."""

from __future__ import annotations

import struct

import pytest

from gdbtools.addresses import PA
from gdbtools.analysis.isolation import isolation
from gdbtools.arch.x86_64.architecture import X86_64
from gdbtools.errors import Unavailable, Unreadable

P, RW, PS = 1, 2, 1 << 7
FULL, REDUCED, TABLES = 0x2000, 0x3000, (0x4000, 0x5000, 0x6000, 0x7000)
IDT = 0xFFFF_FF80_0000_0000
REGISTERS = {"cr0": 0x8001_0001, "cr3": REDUCED, "cr4": 0x20, "efer": 0xD00, "maxphyaddr": 40, "idtr": IDT}


def tables(kernels: int = 40, moved: int = 0) -> bytearray:
    """Return a pair of roots: both have the first page of the last slot, the full one so many more."""
    memory = bytearray(0x10000)

    def put(pa: int, *words: int) -> None:
        memory[pa : pa + 8 * len(words)] = struct.pack(f"<{len(words)}Q", *words)

    shared, kernel, directory, table = TABLES
    for root in (FULL, REDUCED):
        put(root + 8 * 511, shared | P | RW)
    put(FULL + 8 * 300, kernel | P | RW)
    put(shared, directory | P | RW)
    put(directory, table | P | RW)
    put(table, 0x9000 | P)
    put(kernel, *((0x4000_0000 + (number << 30)) | P | RW | PS for number in range(kernels)))
    if moved:
        put(FULL + 8 * 511, 0x8000 | P | RW)
        put(0x8000, 0x4000_0000 | P | PS)
    return memory


def asked(memory: bytearray, **registers: int):  # type: ignore[no-untyped-def]
    values = REGISTERS | registers

    def register(name: str) -> int:
        if name not in values:
            raise Unavailable(name)
        return values[name]

    def read(pa: PA, size_bytes: int) -> bytes:
        if pa + size_bytes > len(memory):
            raise Unreadable(pa, size_bytes, "nothing is there")
        return bytes(memory[pa : pa + size_bytes])

    return isolation(X86_64, register, read)


def test_the_page_below_is_the_full_root_if_it_has_all_of_this_one_and_more() -> None:
    found = asked(tables())
    assert found is not None
    assert found.full is not None
    assert (found.reduced.root, found.full.root, found.leaves) == (REDUCED, FULL, 1)
    assert found.registers == {"cr3": FULL}
    assert found.full.first == found.reduced.first, "the same half of it"


@pytest.mark.parametrize(("kernels", "moved"), [(1, 0), (40, 1)])
def test_it_is_not_believed_where_the_tables_speak_against_it(kernels: int, moved: int) -> None:
    found = asked(tables(kernels, moved))
    assert found is not None
    assert found.full is None


def test_a_root_in_a_lower_page_has_none_below_it() -> None:
    found = asked(tables(), cr3=FULL)
    assert found is None or found.full is None


def test_an_identifier_of_the_users_goes_with_the_bit() -> None:
    found = asked(tables(), cr3=REDUCED | 0x801, cr4=0x2_0020)
    assert found is not None
    assert found.registers == {"cr3": FULL | 1}

"""A reduced space in force is noticed, and its full root is believed on evidence from this guest only."""

from __future__ import annotations

import pytest

from gdbtools.analysis.isolation import isolation, vector_entries
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.aarch64.exceptions.entry_code import Logical
from gdbtools.arch.isolation import Isolation
from gdbtools.errors import Unreadable
from tests.isolated import (
    B_HERE,
    BL_8,
    CODE_PA,
    KERNEL_VECTORS,
    MRS_TTBR1,
    MSR_TPIDRRO,
    MSR_TTBR1,
    NOP,
    RET,
    ROOT,
    TRAMPOLINE,
    VECTORS,
    Isolated,
    add_pages,
)
from tests.tables import reader

ARM = ARCHITECTURES["aarch64"]


def found(guest: Isolated, **changes: int) -> Isolation | None:
    return isolation(ARM, reader(guest.at_el0(**changes)), guest.read)


def proven(guest: Isolated) -> int | None:
    """Return the full root that is proven; the space has to be a reduced one."""
    known = found(guest)
    assert known is not None
    assert known.leaves == 3
    return known.full.root if known.full else None


@pytest.mark.parametrize("pages", [1, 2, 3, 7, -1, -5])
def test_the_distance_is_what_the_guests_own_code_says(pages: int) -> None:
    guest = Isolated(pages)
    assert proven(guest) == ROOT + (pages << 12)


def test_the_kernels_own_vectors_are_read_through_the_full_root() -> None:
    known = found(Isolated())
    assert known is not None
    assert list(known.entries) == [KERNEL_VECTORS + offset for offset in (0, 0x200, 0x400, 0x600)]
    assert dict(known.registers) == {"TTBR1_EL1": ROOT + 0x2000}, "with the ASID that the code makes of it"


def test_in_the_kernel_nothing_is_reduced() -> None:
    guest = Isolated()
    assert isolation(ARM, reader(guest.in_kernel()), guest.read) is None


def test_between_the_two_writes_of_the_way_in_nothing_is_reduced() -> None:
    """TTBR1 is the kernel's already, and VBAR still the trampoline's."""
    assert found(Isolated(), TTBR1_EL1=ROOT + 0x2000) is None


def test_a_small_kernel_whose_vectors_change_no_root_is_no_trampoline() -> None:
    guest = Isolated()
    guest.write_entry([NOP] * 8 + [RET])
    assert found(guest) is None


def test_vectors_of_the_lower_half_are_no_trampoline() -> None:
    assert found(Isolated(), VBAR_EL1=0x8000_0000) is None


def test_a_root_that_maps_the_trampoline_elsewhere_is_not_believed() -> None:
    guest = Isolated()
    guest.full.map(TRAMPOLINE + 0x1000, CODE_PA + 0x9000, AttrIndx=4, SH=3, AP=0b10, UXN=1, nG=1)
    known = found(guest)
    assert known is not None
    assert (known.full, dict(known.registers)) == (None, {})
    assert "does not map this space's leaves where this one does" in known.evidence[0]


def test_a_root_that_maps_no_more_than_the_trampoline_is_not_believed() -> None:
    """As where the trampoline's own tables are there twice."""
    guest = Isolated()
    guest.lower.memory[ROOT + 0x2000 + 8 * 503] = guest.lower.memory[ROOT + 8 * 503]
    for index in range(512):
        at = ROOT + 0x2000 + 8 * index
        if index == 503:
            continue
        guest.lower.memory.pop(at, None)
    assert proven(guest) is None


def without(guest: Isolated, first: int, size_bytes: int = 0x1000):
    def read(pa: int, length: int) -> bytes:
        if pa < first + size_bytes and first < pa + length:
            raise Unreadable(pa, length, "the source does not have it")
        return guest.read(pa, length)

    return read


@pytest.mark.parametrize(("pages", "root"), [(2, ROOT + 0x2000), (1, ROOT + 0x1000), (5, None)])
def test_vectors_that_cannot_be_read_leave_where_linux_keeps_it(pages: int, root: int | None) -> None:
    guest = Isolated(pages)
    known = isolation(ARM, reader(guest.at_el0()), without(guest, CODE_PA + 0x1000))
    assert known is not None
    assert (known.full.root if known.full else None) == root
    assert "Linux keeps" in known.evidence[0] if root else "cannot be read" in known.evidence[0]


def test_a_full_root_whose_tables_cannot_be_read_is_not_believed() -> None:
    guest = Isolated()
    known = isolation(ARM, reader(guest.at_el0()), without(guest, ROOT + 0x2000))
    assert known is not None
    assert known.full is None
    assert "whose tables cannot be read" in known.evidence[0]


def test_vectors_that_the_full_root_does_not_map_are_not_said() -> None:
    guest = Isolated()
    guest.put(CODE_PA + 0x3000, VECTORS & 0xFFFF_FFFF, 0x1234)
    known = found(guest)
    assert known is not None
    assert known.full is not None
    assert known.entries == {}


LOWER = [VECTORS + 0x400, VECTORS + 0x600]


def entries(guest: Isolated, registers: dict[str, int]) -> list[int]:
    return list(vector_entries(ARM, reader(registers), guest.read))


def test_from_el0_the_vectors_of_both_spaces_are_known() -> None:
    guest = Isolated()
    both = [base + offset for base in (VECTORS, KERNEL_VECTORS) for offset in (0, 0x200, 0x400, 0x600)]
    assert entries(guest, guest.at_el0()) == both


@pytest.mark.parametrize(("pages", "known"), [(2, LOWER), (1, LOWER), (4, [])])
def test_in_the_kernel_the_trampolines_entries_are_those_whose_code_leads_there(pages: int, known: list[int]) -> None:
    """Where Linux keeps its root; the current level's entries of a trampoline lead nowhere."""
    guest = Isolated(pages)
    own = [KERNEL_VECTORS + offset for offset in (0, 0x200, 0x400, 0x600)]
    assert entries(guest, guest.in_kernel()) == own + known


def test_between_the_two_writes_of_the_way_in_the_vectors_of_both_spaces_are_known() -> None:
    """The root is the kernel's own already, and the vectors still the trampoline's: so is the way out, for a moment."""
    guest = Isolated()
    moment = {**guest.in_kernel(), "VBAR_EL1": VECTORS}
    assert entries(guest, moment) == entries(guest, guest.at_el0())


def test_in_the_kernel_code_that_leads_to_another_root_is_no_way_in() -> None:
    guest = Isolated()
    guest.write_entry([MSR_TPIDRRO, BL_8, B_HERE, MRS_TTBR1, add_pages(3), MSR_TTBR1, RET])
    assert len(entries(guest, guest.in_kernel())) == 4


def test_tables_that_are_none_are_not_read_without_end() -> None:
    """Behind the root of a guest without a trampoline anything may be: here, tables upon tables without a leaf."""
    guest = Isolated()
    for at in range(ROOT, ROOT + 0x1000, 8):
        guest.lower.memory[at] = (0x4200_0000 + ((at & 0xFFF) << 9)) | 3
    read: list[int] = []

    def counted(pa: int, size_bytes: int) -> bytes:
        read.append(pa)
        return guest.read(pa, size_bytes)

    assert len(vector_entries(ARM, reader(guest.in_kernel()), counted)) == 4
    assert len(read) < 1000


@pytest.mark.parametrize(
    ("word", "mask"),
    [
        (0x924FFBDE, 0xFFFE_FFFF_FFFF_FFFF),
        (0xB25003DE, 0x0001_0000_0000_0000),
        (0x92401C00, 0x0000_0000_0000_00FF),
        (0x9200F000, 0x5555_5555_5555_5555),
        (0x92789C00, 0x0000_FFFF_FFFF_FF00),
    ],
)
def test_a_bitmask_is_what_the_assembler_makes_of_it(word: int, mask: int) -> None:
    assert Logical(word).mask == mask

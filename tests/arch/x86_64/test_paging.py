"""x86-64's paging, by hand: what an error code would say, for each mode of paging and each rule that refuses."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from itertools import pairwise

import pytest

from gdbtools.addresses import PA, VA
from gdbtools.arch.model import Access, AccessKind, Mapped, written_down
from gdbtools.arch.walk import walk
from gdbtools.arch.x86_64.architecture import X86_64
from gdbtools.arch.x86_64.privileges import SUPERVISOR, USER
from gdbtools.arch.x86_64.registers.cpu_note import cpu_state
from gdbtools.cli import main
from gdbtools.errors import Unavailable, Unreadable

READ, WRITE, EXECUTE = AccessKind.READ, AccessKind.WRITE, AccessKind.EXECUTE
P, RW, US, PWT, PCD, A, D, PS, G = (1 << n for n in range(9))
NX = 1 << 63
ROOT, TABLES = 0x1000, (0x2000, 0x3000, 0x4000, 0x5000)
LONG = {"cr0": 0x8001_0001, "cr3": ROOT, "cr4": 0x20, "efer": 0xD00, "maxphyaddr": 40, "cs": 0x10, "eflags": 2}
LA57, SMEP, SMAP, PKE, PKS, PSE = 1 << 12, 1 << 20, 1 << 21, 1 << 22, 1 << 24, 1 << 4


def asked(
    entries: Mapping[int, int],
    address: int,
    kind: AccessKind,
    who: object,
    registers: Mapping[str, int],
    size: int = 8,
) -> tuple[str, int | None]:
    """Return where an access leads, or the cause that refuses it with its error code; `entries` are by their place."""
    memory = {pa: struct.pack("<Q" if size == 8 else "<I", value) for pa, value in entries.items()}

    def read(pa: PA, count: int) -> bytes:
        if pa not in memory:
            raise Unreadable(pa, count, "nothing is there")
        return memory[pa]

    def register(name: str) -> int:
        if name not in registers:
            raise Unavailable(name)
        return registers[name]

    access = Access(kind, who)  # type: ignore[arg-type]
    regime, met = X86_64.met_by(X86_64.regime_for(register, VA(address)), access, register)
    found = walk(regime, VA(address), read)
    refused = X86_64.check(found, met, X86_64.state(register))
    if refused is None:
        assert isinstance(found.outcome, Mapped)
        return f"{found.outcome.address:#x}", None
    return refused.decider.cause.name, X86_64.status(refused.fault, access, found)


def path(leaf: int, upper: int = P | RW | US, levels: int = 4) -> dict[int, int]:
    """Return tables of so many levels for address 0, all of whose upper entries are alike."""
    places = (ROOT, *TABLES)[:levels]
    below = dict(pairwise(places))
    return {pa: below[pa] | upper for pa in places[:-1]} | {places[-1]: leaf}


PAGE = 0x9000 | P
CASES = [
    # leaf, upper entries, access, whose, cr4 besides, other registers, what is to be
    (PAGE | RW | US, P | RW | US, READ, USER, 0, {}, ("0x9000", None)),
    (PAGE | RW | US, P | RW | US, WRITE, USER, 0, {}, ("0x9000", None)),
    (0, P | RW | US, READ, SUPERVISOR, 0, {}, ("NOT_PRESENT", 0)),
    (0, P | RW | US, WRITE, USER, 0, {}, ("NOT_PRESENT", 6)),
    (0, P | RW | US, EXECUTE, USER, 0, {}, ("NOT_PRESENT", 0x14)),
    (0, P | RW | US, EXECUTE, USER, 0, {"efer": 0x500}, ("NOT_PRESENT", 4)),
    (0, P | RW | US, EXECUTE, USER, SMEP, {"efer": 0x500}, ("NOT_PRESENT", 0x14)),
    (PAGE | RW, P | RW | US, READ, USER, 0, {}, ("SUPERVISOR_ONLY", 5)),
    (PAGE | RW | US, P | RW, WRITE, USER, 0, {}, ("SUPERVISOR_ONLY", 7)),
    (PAGE | US, P | RW | US, WRITE, USER, 0, {}, ("READ_ONLY", 7)),
    (PAGE | US | RW, P | US, WRITE, USER, 0, {}, ("READ_ONLY", 7)),
    (PAGE, P | RW, WRITE, SUPERVISOR, 0, {}, ("READ_ONLY", 3)),
    (PAGE, P | RW, WRITE, SUPERVISOR, 0, {"cr0": 0x8000_0001}, ("0x9000", None)),
    (PAGE | US, P | RW | US, WRITE, USER, 0, {"cr0": 0x8000_0001}, ("READ_ONLY", 7)),
    (PAGE | NX, P | RW, EXECUTE, SUPERVISOR, 0, {}, ("NO_EXECUTE", 0x11)),
    (PAGE, P | RW | NX, EXECUTE, SUPERVISOR, 0, {}, ("NO_EXECUTE", 0x11)),
    (PAGE | NX, P | RW, READ, SUPERVISOR, 0, {}, ("0x9000", None)),
    (PAGE | NX, P | RW, READ, SUPERVISOR, 0, {"efer": 0x500}, ("NX_OFF", 9)),
    (PAGE | US, P | RW | US, EXECUTE, SUPERVISOR, SMEP, {}, ("SMEP", 0x11)),
    (PAGE | US, P | RW, EXECUTE, SUPERVISOR, SMEP, {}, ("0x9000", None)),
    (PAGE | US, P | RW | US, READ, SUPERVISOR, SMAP, {}, ("SMAP", 1)),
    (PAGE | US, P | RW | US, READ, SUPERVISOR, SMAP, {"eflags": 0x4_0002}, ("0x9000", None)),
    (PAGE | US, P | RW, READ, SUPERVISOR, SMAP, {}, ("0x9000", None)),
    (PAGE | US, P | RW | US, READ, USER, SMAP | SMEP, {}, ("0x9000", None)),
    (PAGE | 1 << 40, P | RW | US, READ, SUPERVISOR, 0, {}, ("ADDRESS_WIDTH", 9)),
    (PAGE | 1 << 51, P | RW | US, WRITE, USER, 0, {}, ("ADDRESS_WIDTH", 0xF)),
    (PAGE | 1 << 39, P | RW | US, READ, SUPERVISOR, 0, {}, ("0x8000009000", None)),
    (PAGE | US | 3 << 59, P | RW | US, READ, USER, 0, {"pkru": 1 << 6}, ("0x9000", None)),
    (PAGE | US | 3 << 59, P | RW | US, READ, USER, PKE, {"pkru": 1 << 6}, ("KEY_NO_ACCESS", 0x25)),
    (PAGE | US | 3 << 59, P | RW | US, READ, SUPERVISOR, PKE, {"pkru": 1 << 6}, ("KEY_NO_ACCESS", 0x21)),
    (PAGE | US | 3 << 59, P | RW | US, EXECUTE, USER, PKE, {"pkru": 1 << 6}, ("0x9000", None)),
    (PAGE | US | 3 << 59, P | RW | US, WRITE, USER, PKE, {"pkru": 1 << 7}, ("KEY_NO_WRITE", 0x27)),
    (PAGE | US | RW | 3 << 59, P | RW | US, READ, USER, PKE, {"pkru": 1 << 7}, ("0x9000", None)),
    (PAGE | RW | 3 << 59, P | RW | US, WRITE, SUPERVISOR, PKE, {"pkru": 3 << 6}, ("0x9000", None)),
    (PAGE | RW | 3 << 59, P | RW | US, WRITE, SUPERVISOR, PKS, {"pkrs": 1 << 7}, ("KEY_NO_WRITE", 0x23)),
    (
        PAGE | RW | 3 << 59, P | RW | US, WRITE, SUPERVISOR, PKS, {"pkrs": 1 << 7, "cr0": 0x8000_0001},
        ("0x9000", None),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("leaf", "upper", "kind", "who", "cr4", "registers", "wanted"), CASES)
def test_an_access_is_answered_as_the_error_code_has_it(leaf, upper, kind, who, cr4, registers, wanted) -> None:
    state = LONG | {"cr4": LONG["cr4"] | cr4} | registers
    assert asked(path(leaf, upper), 0, kind, who, state) == wanted


@pytest.mark.parametrize("levels", [4, 5])
def test_pages_are_small_and_large_and_no_larger(levels: int) -> None:
    state = LONG | {"cr4": LONG["cr4"] | (LA57 if levels == 5 else 0)}
    large = path(0x4020_0000 | P | PS, levels=levels - 1)
    assert asked(large, 0x1234, READ, SUPERVISOR, state) == ("0x40201234", None)
    huge = path(0x8000_0000 | P | PS, levels=levels - 2)
    assert asked(huge, 0x1234, READ, SUPERVISOR, state) == ("0x80001234", None)
    assert asked(path(P | PS, levels=levels - 3), 0, READ, SUPERVISOR, state) == ("PAGE_SIZE", 9)
    # Bit 12 of a large page is its PAT bit, and what is between that and its address has to be 0.
    assert asked(path(P | PS | 1 << 12, levels=levels - 1), 0, READ, SUPERVISOR, state) == ("0x0", None)
    for low, depth in ((21, 1), (30, 2)):
        for bit in (13, low - 1):
            bad = path(P | PS | 1 << bit, levels=levels - depth)
            assert asked(bad, 0, READ, SUPERVISOR, state) == ("MISALIGNED", 9)


@pytest.mark.parametrize(("cr4", "bits"), [(0, 48), (LA57, 57)])
def test_an_address_is_canonical_or_no_page_fault_at_all(cr4: int, bits: int) -> None:
    state = LONG | {"cr4": LONG["cr4"] | cr4}
    for address in (1 << bits - 1, (1 << 64) - (1 << bits - 1) - 1):
        assert asked({}, address, READ, SUPERVISOR, state) == ("NOT_CANONICAL", None)
    for address, place in (((1 << bits - 1) - 1, 255), ((1 << 64) - (1 << bits - 1), 256)):
        tables = {ROOT + 8 * place: 0}
        assert asked(tables, address, READ, SUPERVISOR, state) == ("NOT_PRESENT", 0)


def test_masked_bits_of_a_data_address_are_no_part_of_it() -> None:
    page, u48, u57, sup = path(PAGE | US), 1 << 62, 1 << 61, 1 << 28
    tagged = 0x7FFE << 48
    for cr3, address, kind, wanted in (
        (0, tagged, READ, "NOT_CANONICAL"),
        (u48, tagged, READ, "0x9000"),
        (u48, tagged, EXECUTE, "NOT_CANONICAL"),
        (u57, 0x3F << 57, READ, "0x9000"),
        (u57, tagged, READ, "NOT_CANONICAL"),
        (u48 | u57, tagged, READ, "NOT_CANONICAL"),
        (u48, tagged | 1 << 47, READ, "NOT_CANONICAL"),
    ):
        assert asked(page, address, kind, USER, LONG | {"cr3": ROOT | cr3})[0] == wanted
    upper = {ROOT + 8 * 256: TABLES[0] | P | RW, **{pa: entry for pa, entry in page.items() if pa != ROOT}}
    address = 1 << 63 | 1 << 47
    assert asked(upper, address, READ, SUPERVISOR, LONG)[0] == "NOT_CANONICAL"
    assert asked(upper, address, READ, SUPERVISOR, LONG | {"cr4": LONG["cr4"] | sup})[0] == "0x9000"


PAE = {"cr0": 0x8001_0001, "cr3": 0x1020, "cr4": 0x20, "efer": 0x800, "maxphyaddr": 40, "cs": 0x10, "eflags": 2}


@pytest.mark.parametrize(
    ("pointer", "directory", "leaf", "kind", "who", "wanted"),
    [
        (P, P | RW | US, PAGE | US, READ, USER, ("0x9000", None)),
        (P, P | RW | US, PAGE | US | NX, EXECUTE, USER, ("NO_EXECUTE", 0x15)),
        (P, P | RW, PAGE | US | RW, READ, USER, ("SUPERVISOR_ONLY", 5)),
        (0, P, PAGE, READ, USER, ("NOT_PRESENT", 4)),
        (P | RW, P, PAGE, READ, USER, ("RESERVED_BIT", 0xD)),
        (P | 1 << 63, P, PAGE, READ, SUPERVISOR, ("RESERVED_BIT", 9)),
        (P, P, PAGE | 1 << 52, READ, SUPERVISOR, ("RESERVED_BIT", 9)),
        (P, P, PAGE | 1 << 62, READ, SUPERVISOR, ("RESERVED_BIT", 9)),
        (P, P | 1 << 41, PAGE, READ, SUPERVISOR, ("ADDRESS_WIDTH", 9)),
    ],
)
def test_pae_has_a_first_level_without_rights(pointer, directory, leaf, kind, who, wanted) -> None:
    entries = {0x1028: 0x2000 | pointer, 0x2000: 0x3000 | directory, 0x3000: leaf}
    assert asked(entries, 1 << 30, kind, who, PAE) == wanted


@pytest.mark.parametrize(
    ("directory", "leaf", "cr4", "kind", "wanted"),
    [
        (0x2000 | P | RW | US, PAGE | US | RW, 0, WRITE, ("0x9123", None)),
        (0x2000 | P | RW | US, PAGE | US | RW, 0, EXECUTE, ("0x9123", None)),
        (0x2000 | P | RW | US, PAGE | US, 0, WRITE, ("READ_ONLY", 7)),
        (0x2000 | P | RW | US, 0, SMEP, EXECUTE, ("NOT_PRESENT", 0x14)),
        (0x2000 | P | RW | US, 0, 0, EXECUTE, ("NOT_PRESENT", 4)),
        (0x2000 | P | RW | US | PS, PAGE | US, 0, READ, ("0x9123", None)),
        (0x40_0000 | P | RW | US | PS, 0, PSE, READ, ("0x400123", None)),
        (0x40_0000 | P | RW | US | PS | 0xAB << 13, 0, PSE, READ, ("0xab00400123", None)),
        (0x40_0000 | P | RW | US | PS | 1 << 21, 0, PSE, READ, ("MISALIGNED", 0xD)),
    ],
)
def test_32_bit_paging_has_no_nx_and_pages_of_4_mib(directory, leaf, cr4, kind, wanted) -> None:
    state = {"cr0": 0x8001_0001, "cr3": 0x1000, "cr4": cr4, "efer": 0x800, "maxphyaddr": 40, "cs": 0x23, "eflags": 2}
    assert asked({0x1000: directory, 0x2000: leaf}, 0x123, kind, USER, state, size=4) == wanted


def test_without_paging_an_address_is_its_own() -> None:
    state = {"cr0": 1, "cr4": 0, "cs": 0x10, "eflags": 2}
    assert asked({}, 0xFFFF_0123, WRITE, SUPERVISOR, state) == ("0xffff0123", None)
    assert asked({}, 1 << 32, WRITE, SUPERVISOR, state) == ("ADDRESS_TOO_LARGE", None)


def test_who_asks_is_the_code_segments_level() -> None:
    def at(**registers: int) -> object:
        return X86_64.privilege((LONG | registers).__getitem__)

    assert at(cs=0x33) == USER
    assert at(cs=0x10) == SUPERVISOR
    assert at(cs=0x33, cr0=0) == SUPERVISOR, "a real mode's segment is no selector"
    assert at(cs=0x10, eflags=1 << 17) == USER, "virtual-8086 mode"


def test_memory_types_are_chosen_through_the_page_attribute_table() -> None:
    linux = 0x0407_0506_0007_0106
    for bits, wanted in ((0, "WB"), (PWT, "WC"), (PCD, "UC-"), (PWT | PCD, "UC"), (PS, "WB"), (PS | PWT, "WP")):
        regime = X86_64.regime_for(written_down(LONG | {"pat": linux}), VA(0))
        memory = {pa: struct.pack("<Q", value) for pa, value in path(PAGE | bits).items()}
        attributes = walk(regime, VA(0), lambda pa, _, held=memory: held[pa]).attributes
        assert attributes is not None
        assert attributes.memory == wanted


def test_a_value_alone_is_decoded_for_every_level(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pte", "0x80000000082001e3", "--arch", "x86_64"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^2 +a block of 2MB +0x8200000 +supervisor rw-  user ---", said, re.MULTILINE)
    assert re.search(r"^1 +a page of 4KB +0x8200000 +supervisor rw-  user ---", said, re.MULTILINE)
    assert "5 to 4  invalid" in said
    assert main(["pte", "0x1", "--arch", "x86_64", "--granule", "64k"]) == 2
    assert "leave --granule out" in capsys.readouterr().err


def test_long_mode_shows_where_efer_is_not_known_and_is_said_to_be_assumed() -> None:
    lacking = {name: value for name, value in LONG.items() if name != "efer"}

    def regime(**registers: int):  # type: ignore[no-untyped-def]
        values = lacking | registers

        def register(name: str) -> int:
            if name not in values:
                raise Unavailable(f"no {name}")
            return values[name]

        return X86_64.regime_for(register, VA(0))

    found = regime(rip=0xFFFF_FFFF_8100_0000)
    assert len(found.levels) == 4
    assert any(each.startswith("efer: LMA=1") for each in found.assumed)
    with pytest.raises(Unavailable, match="no efer"):
        regime(rip=0x10_0000)
    assert not any("efer" in each for each in regime(efer=0xD00).assumed)


def test_a_note_of_another_layout_has_no_registers() -> None:
    assert cpu_state(b"") == {}
    assert cpu_state(struct.pack("<2I", 2, 440) + bytes(440)) == {}
    note = struct.pack("<2I", 1, 440) + struct.pack("<18Q", *range(18))
    note += b"".join(struct.pack("<4IQ", number, 0, 0, 0, 0x1000 * number) for number in range(10))
    found = cpu_state(note + struct.pack("<5Q", 0x8001_0001, 0, 0x1234, 0x5000, 0x20))
    assert (found["rax"], found["rip"], found["eflags"], found["cs"], found["idtr"]) == (0, 16, 17, 0, 0x9000)
    assert (found["cr0"], found["cr2"], found["cr3"], found["cr4"]) == (0x8001_0001, 0x1234, 0x5000, 0x20)

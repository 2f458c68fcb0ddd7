"""What of an entry is changed, and which of a guest's instructions are borrowed for what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from gdbtools.addresses import PA, VA
from gdbtools.analysis.faults.diagnosis import Verdict, diagnose
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.capabilities import DirtyConvention
from gdbtools.arch.gadgets import Extent, Need, Scope
from gdbtools.arch.model import Access, AccessKind
from gdbtools.arch.riscv.privilege_modes import VS, VU, S
from gdbtools.arch.riscv.registers.status import HSTATUS64
from gdbtools.arch.riscv.tables.descriptors import leaf_entry, table_entry
from gdbtools.arch.riscv.tables.geometry import PAGE_BITS
from gdbtools.errors import Refused
from gdbtools.repair.access_flag import plan
from gdbtools.repair.accessed import AccessFlags, find
from gdbtools.repair.change import Change
from gdbtools.repair.log import Written
from tests.arch.riscv.assembled import WORDS
from tests.arch.riscv.machine import AD, ADUE, RAM, A, D, Hart, R, U, V, W, X, guest, pte
from tests.tables import reader

RISCV: Any = ARCHITECTURES["riscv64"]
NARROW: Any = ARCHITECTURES["riscv32"]
Leaf = leaf_entry(8, PAGE_BITS)
NONE = DirtyConvention.NONE
KERNEL = {"priv": 1, "mstatus": 0, "sstatus": 0, "medeleg": 0xB100, "stvec": 0x1000, "mtvec": 0x2000, "satp": 0}


def test_a_read_sets_a_and_a_store_sets_d_too_whatever_the_convention() -> None:
    for convention in DirtyConvention:
        assert RISCV.repair.set_access_flag(Leaf(V | R | W), False, convention) == V | R | W | A
        assert RISCV.repair.set_access_flag(Leaf(V | R | W | A), True, convention) == V | R | W | AD


def test_what_leads_to_a_table_has_no_flag() -> None:
    for change in (RISCV.repair.clear_access_flag, lambda entry: RISCV.repair.set_access_flag(entry, False, NONE)):
        with pytest.raises(Refused, match="only a leaf"):
            change(table_entry(8)(V))


def test_a_clean_entry_is_one_that_may_be_written() -> None:
    assert RISCV.repair.set_dirty_state(Leaf(V | R | W | A), NONE) == V | R | W | AD
    assert RISCV.repair.set_dirty_state(Leaf(V | R | A), NONE) is None
    assert RISCV.repair.set_dirty_state(Leaf(V | R | W | AD), NONE) is None
    assert RISCV.repair.broken(Leaf(V | R | W | AD)) == R | W | AD
    assert RISCV.repair.clear_access_flag(Leaf(V | R | AD)) == V | R | D


def needs(before: int, after: int, cached: bool = True) -> dict[str, Need]:
    return {each.name: each.need for each in RISCV.repair.changes(Leaf(before), Leaf(after), cached, reader({}))}


def test_every_change_of_what_hardware_reads_needs_an_invalidation_and_none_a_break() -> None:
    assert needs(V | R, V | R | W | A) == {"W": Need.INVALIDATION, "A": Need.INVALIDATION}
    assert needs(V | R, R) == {"V": Need.INVALIDATION}
    assert needs(R, V | R) == {"V": Need.INVALIDATION}, "an invalid entry may be in a TLB"
    assert needs(V | R, V | R | 1 << 8) == {"RSW": Need.NOTHING}
    assert needs(V | R, V | R | 1 << 10) == {"OutputAddress": Need.INVALIDATION}
    assert needs(V | R, V | R | X, cached=False) == {"X": Need.NOTHING}


@pytest.mark.parametrize(
    ("registers", "regime", "found"),
    [
        ({"menvcfg": ADUE}, "s", [("menvcfg", 1)]),
        ({"menvcfg": 0}, None, [("menvcfg", 0)]),
        ({"menvcfg": ADUE, "henvcfg": 0}, "vs", [("henvcfg", 0), ("menvcfg", 1)]),
        ({"menvcfg": ADUE, "henvcfg": 0}, "g", [("menvcfg", 1)]),
        ({}, "s", []),
    ],
)
def test_who_sets_a_and_d_is_adues_to_say(
    registers: dict[str, int], regime: str | None, found: list[tuple[str, int]]
) -> None:
    controls = RISCV.repair.access_flag_controls(lacking({"priv": 1, **registers}), regime)
    assert [(name, control.value) for name, control in controls] == found


def lacking(values: dict[str, int]) -> Any:
    from gdbtools.errors import Unavailable

    def read(name: str) -> int:
        if name not in values:
            raise Unavailable(name)
        return values[name]

    return read


def test_a_trap_needs_its_vector_and_a_kernels_its_stack() -> None:
    known = reader({**KERNEL, "pc": 0x5000, "sp": 0x9000})
    assert [(each.name, each.first) for each in RISCV.repair.entry_needs(known)] == [
        ("the trap vector", 0x1000),
        ("the code at pc", 0x5000),
        ("the stack", 0x9000 - 512),
    ]
    user = reader({**KERNEL, "priv": 0, "pc": 0x5000, "sp": 0x9000})
    assert [each.name for each in RISCV.repair.entry_needs(user)] == ["the trap vector"]


def lent(scope: Scope, text: str, regime: str | None = None, **registers: int) -> dict[str, int] | None:
    """Return the registers by which an instruction invalidates at least a scope; None where it is not borrowed."""
    for each in RISCV.gadgets.invalidations(scope, reader({**KERNEL, **registers}), regime):
        if each.fits(WORDS[text]) and (use := each.use(WORDS[text])) is not None:
            assert not each.broadcast, "a fence is of its own hart"
            return dict(use.registers)
    return None


def test_an_address_is_fenced_in_every_address_space_and_all_by_no_operand() -> None:
    here = Scope(Extent.ADDRESS, 0x4000)
    assert lent(here, "sfence.vma a0") == {"a0": 0x4000}
    assert lent(here, "sfence.vma") == {}
    assert lent(here, "sfence.vma a0, a1") is None, "what is global would stay"
    assert lent(here, "sfence.vma zero, a1") is None
    assert lent(Scope(Extent.ADDRESS_SPACE, 7), "sfence.vma zero, a1") == {"a1": 7}
    assert lent(Scope(Extent.ALL), "sfence.vma a0") is None
    assert lent(Scope(Extent.ALL), "sfence.vma") == {}
    for other in ("sinval.vma a0, zero", "hfence.vvma a0, a1", "sret"):
        assert lent(Scope(Extent.ALL), other) is None


def test_an_identifier_has_as_many_bits_as_its_field() -> None:
    """How many of them a hart has it does not say; what is wider than the field is no identifier of any."""
    for architecture, space, machine in ((RISCV, 16, 14), (NARROW, 9, 7)):
        assert architecture.gadgets.address_space_bits(reader(KERNEL)) == space
        assert architecture.gadgets.address_space_bits(reader(KERNEL), "vs") == space
        assert architecture.gadgets.address_space_bits(reader(KERNEL), "g") == machine


@pytest.mark.parametrize("scope", [Scope(Extent.ALL), Scope(Extent.ADDRESS, 0x4000), Scope(Extent.ADDRESS_SPACE, 7)])
def test_a_search_ends_where_there_is_a_fence_of_just_what_was_asked_for(scope: Scope) -> None:
    """At a first choice: one that has none goes through all of a kernel's text for each invalidation."""
    kinds = RISCV.gadgets.invalidations(scope, reader(KERNEL))
    assert [each.extent for each in kinds if each.rank == 0] == [scope.extent]


def test_a_hypervisor_fences_its_guests_by_the_instructions_for_that() -> None:
    """hfence.gvma has a guest physical address, shifted right by 2; nobody takes one for the other, or for its own."""
    here, hypervisor = Scope(Extent.ADDRESS, 0x4000), {"virt": 0, "hgatp": 8 << 60}
    assert lent(here, "hfence.gvma a0, zero", "g", **hypervisor) == {"a0": 0x1000}
    assert lent(here, "hfence.vvma a0, zero", "vs", **hypervisor) == {"a0": 0x4000}
    assert lent(Scope(Extent.ALL), "hfence.gvma zero, zero", "g", **hypervisor) == {}
    assert lent(here, "sfence.vma a0", "g", **hypervisor) is None
    assert lent(here, "hfence.vvma a0, zero", "g", **hypervisor) is None
    assert lent(here, "hfence.gvma a0, zero", **hypervisor) is None


def test_only_a_hypervisor_reaches_what_is_below_it() -> None:
    def reached(regime: str, **registers: int) -> bool:
        return bool(RISCV.gadgets.reaches(reader({**KERNEL, "virt": 0, "hgatp": 8 << 60, **registers}), regime))

    assert [reached(regime) for regime in ("vs", "g", "s", "m")] == [True, True, False, False]
    assert not reached("g", virt=1)
    assert not reached("g", priv=0)
    assert not reached("g", hgatp=0)


@pytest.mark.parametrize(
    ("registers", "said"),
    [
        ({"priv": 0}, "U-mode"),
        ({"mstatus": 1 << 20}, "mstatus.TVM"),
        ({"virt": 1, "hstatus": 1 << 20}, "hstatus.VTVM"),
        ({"priv": 0, "virt": 1}, "VU-mode"),
    ],
)
def test_where_a_fence_would_trap_none_is_borrowed(registers: dict[str, int], said: str) -> None:
    with pytest.raises(Refused, match=said):
        RISCV.gadgets.invalidations(Scope(Extent.ALL), reader({**KERNEL, **registers}))


def tried(
    text: str, address: int, kind: AccessKind, architecture: Any = RISCV
) -> tuple[dict[str, int], str, int] | None:
    for each in architecture.gadgets.accesses(Access(kind, S), address, reader(KERNEL)):
        if each.fits(WORDS[text]) and (use := each.use(WORDS[text])) is not None:
            assert each.size_bytes == (2 if text.startswith("c.") else 4)
            return dict(use.registers), use.result, use.size_bytes
    return None


@pytest.mark.parametrize(
    ("text", "kind", "base", "first", "result", "size_bytes"),
    [
        ("lb a0, -4(a1)", AccessKind.READ, "a1", 0x4004, "a0", 1),
        ("ld a4, -2048(a3)", AccessKind.READ, "a3", 0x4800, "a4", 8),
        ("c.lw a0, 124(a1)", AccessKind.READ, "a1", 0x4000 - 124, "a0", 4),
        ("c.ld a4, 248(a5)", AccessKind.READ, "a5", 0x4000 - 248, "a4", 8),
        ("sd a2, -8(a5)", AccessKind.WRITE, "a5", 0x4008, "a2", 8),
        ("c.sd a2, 8(s0)", AccessKind.WRITE, "fp", 0x3FF8, "a2", 8),
    ],
)
def test_a_load_or_store_is_borrowed_by_its_own_base(
    text: str, kind: AccessKind, base: str, first: int, result: str, size_bytes: int
) -> None:
    assert tried(text, 0x4000, kind) == ({base: first}, result, size_bytes)
    other = AccessKind.READ if kind is AccessKind.WRITE else AccessKind.WRITE
    assert tried(text, 0x4000, other) is None


def test_what_is_not_aligned_or_not_of_this_width_is_not_borrowed() -> None:
    assert tried("ld a4, -2048(a3)", 0x4004, AccessKind.READ) is None
    assert tried("c.sd a2, 8(s0)", 0x4000, AccessKind.WRITE, NARROW) is None, "there it is a float's"
    assert tried("flw fa0, 4(a0)", 0x4000, AccessKind.READ) is None
    assert tried("amoswap.d a0, a2, (a1)", 0x4000, AccessKind.WRITE) is None, "it would change what is there"


def tried_as_guest(
    text: str, address: int, kind: AccessKind, asking: Any = VS, architecture: Any = RISCV, **registers: int
) -> tuple[dict[str, int], str, int] | None:
    register = reader({**KERNEL, "virt": 0, "hgatp": 8 << 60, "hstatus": 1 << 7, **registers})
    for each in architecture.gadgets.accesses_as(Access(kind, asking), address, register, "vs"):
        if each.fits(WORDS[text]) and (use := each.use(WORDS[text])) is not None:
            return dict(use.registers), use.result, use.size_bytes
    return None


SPV, SPVP = 1 << 7, 1 << 8


@pytest.mark.parametrize(
    ("text", "kind", "asking", "set_", "result", "size_bytes"),
    [
        ("hlv.b a0, (a1)", AccessKind.READ, VS, {"a1": 0x4000, "hstatus": SPV | SPVP}, "a0", 1),
        ("hlv.b a0, (a1)", AccessKind.READ, VU, {"a1": 0x4000, "hstatus": SPV}, "a0", 1),
        ("hlv.wu a0, (a1)", AccessKind.READ, VS, {"a1": 0x4000, "hstatus": SPV | SPVP}, "a0", 4),
        ("hlv.d a0, (a1)", AccessKind.READ, VS, {"a1": 0x4000, "hstatus": SPV | SPVP}, "a0", 8),
        ("hlvx.hu a0, (a1)", AccessKind.READ_EXECUTABLE, VS, {"a1": 0x4000, "hstatus": SPV | SPVP}, "a0", 2),
        ("hsv.w a2, (a1)", AccessKind.WRITE, VU, {"a1": 0x4000, "hstatus": SPV}, "a2", 4),
    ],
)
def test_a_hypervisor_accesses_as_its_guest_with_spvp_saying_as_whom(
    text: str, kind: AccessKind, asking: Any, set_: dict[str, int], result: str, size_bytes: int
) -> None:
    assert tried_as_guest(text, 0x4000, kind, asking) == (set_, result, size_bytes)
    assert tried_as_guest(text, 0x4000, kind, asking, hstatus=SPV | SPVP) == (set_, result, size_bytes)
    others = {AccessKind.READ, AccessKind.WRITE, AccessKind.READ_EXECUTABLE} - {kind}
    assert not [each for each in others if tried_as_guest(text, 0x4000, each, asking)]
    assert tried(text, 0x4000, AccessKind.READ) is None, "of its own it has others"
    assert not tried_as_guest("lb a0, -4(a1)", 0x4000, AccessKind.READ)


def test_what_is_not_aligned_or_not_of_this_width_is_not_borrowed_of_a_hypervisor() -> None:
    assert tried_as_guest("hlv.wu a0, (a1)", 0x4002, AccessKind.READ) is None
    for text in ("hlv.wu a0, (a1)", "hlv.d a0, (a1)"):
        assert tried_as_guest(text, 0x4000, AccessKind.READ, architecture=NARROW, hgatp=1 << 31) is None
    assert tried_as_guest("hlv.b a0, (a1)", 0x4000, AccessKind.READ, architecture=NARROW, hgatp=1 << 31)


@pytest.mark.parametrize(
    ("registers", "regime", "kind", "said"),
    [
        ({}, "g", AccessKind.READ, "through both stages"),
        ({"virt": 1}, "vs", AccessKind.READ, "VS-mode; HLV and HSV are a hypervisor's"),
        ({"priv": 3}, "vs", AccessKind.READ, "M-mode"),
        ({"priv": 0}, "vs", AccessKind.READ, "U-mode"),
        ({}, "vs", AccessKind.EXECUTE, "read-code"),
    ],
)
def test_whoever_is_no_hypervisor_accesses_nothing_as_a_guest(
    registers: dict[str, int], regime: str, kind: AccessKind, said: str
) -> None:
    register = reader({**KERNEL, "virt": 0, "hgatp": 8 << 60, "hstatus": 0, **registers})
    with pytest.raises(Refused, match=said):
        RISCV.gadgets.accesses_as(Access(kind, VS), 0x4000, register, regime)
    with pytest.raises(Refused, match="stop where that regime is in force"):
        ARCHITECTURES["aarch64"].gadgets.accesses_as(Access(kind, S), 0x4000, register, "stage2")


def test_the_fault_of_an_access_as_a_guest_is_taken_where_guest_page_faults_are() -> None:
    """A fault that HS-mode takes of its own HLV does not return to the guest that it last came from."""
    known = {**KERNEL, "virt": 0, "hgatp": 8 << 60, "hstatus": SPV, "sepc": 0x5000}
    (own,) = RISCV.gadgets.entered(reader(known))
    assert own("priv") == 1
    assert HSTATUS64(own("hstatus")).SPV == 0
    assert RISCV.exceptions.way_back(own, None) is not None, "registers alone send it back"
    levels = [each("priv") for each in RISCV.gadgets.entered(reader(known), "vs")]
    assert levels == [1, 3], "medeleg delegates no guest-page fault"
    delegated = {**known, "medeleg": 0xB0_B100}
    assert [each("priv") for each in RISCV.gadgets.entered(reader(delegated), "vs")] == [1]


def test_nothing_translates_without_an_access() -> None:
    with pytest.raises(Refused, match="ask by a load"):
        RISCV.gadgets.translations(Access(AccessKind.READ, S), 0, reader(KERNEL))


def test_a_trap_is_returned_from_at_each_level_that_may_take_one() -> None:
    (supervisor,) = RISCV.gadgets.entered(reader(KERNEL))
    assert (supervisor("priv"), supervisor("sstatus") >> 8 & 1) == (1, 1)
    (machine,) = RISCV.gadgets.entered(reader({**KERNEL, "medeleg": 0}))
    assert (machine("priv"), machine("mstatus") >> 11 & 3) == (3, 1)


def test_a_part_that_is_made_for_a_width_is_there() -> None:
    for part in ("exceptions", "repair", "gadgets"):
        assert RISCV.has(part)
        assert NARROW.has(part)


@pytest.mark.parametrize(("cause", "flags", "sets"), [(21, D, A), (23, A, D), (23, 0, AD), (21, 0, A)])
def test_a_flag_of_the_g_stage_is_set_where_it_is_clear(cause: int, flags: int, sets: int) -> None:
    hart = guest(V | R | W | AD, V | R | W | U | flags, V | R | W | U | AD, virt=0, **taken_by_hypervisor(cause))
    change = planned(hart)
    assert (change.pa, int(change.before) ^ int(change.after)) == (RAM + 0x5000 + 8 * 3, sets)


def test_a_store_whose_tables_cannot_be_read_writes_none_of_them() -> None:
    """The pages of all three tables have A clear: the first is set, and D of none."""
    hart = guest(V | R | W | AD, tables=V | R | W | U, virt=0, **taken_by_hypervisor(23, htinst=0x3000))
    change = planned(hart)
    assert (change.pa, int(change.before) ^ int(change.after)) == (RAM + 0x5000, A)


def taken_by_hypervisor(cause: int, **more: int) -> dict[str, int]:
    taken = {"scause": cause, "stval": 0x10, "sepc": 0, "sstatus": 1 << 8, "stvec": 0x9000, "pc": 0x9000}
    return {**taken, "hstatus": 1 << 7 | 1 << 6, "htval": 0, "htinst": 0, **more}


def planned(hart: Hart) -> Change:
    found = diagnose(RISCV, reader(hart.regs), hart.read)
    assert found.verdict is Verdict.TABLES_AGREE
    return plan(found, RISCV, DirtyConvention.NONE, OfHart(hart)).change


@dataclass(frozen=True)
class OfHart:
    """A hart's memory, that nothing is written to."""

    hart: Hart
    description = "a hart in a test"

    def read(self, pa: int, size_bytes: int) -> bytes:
        return self.hart.read(pa, size_bytes)

    def write(self, pa: int, data: bytes) -> None:
        raise AssertionError("a plan writes nothing")


class Narrow:
    """Sv32: a root, and a table of three pages, with A and without."""

    description = "a test"

    def __init__(self) -> None:
        self.data = bytearray(0x2000)
        for at, entry in (
            (0, pte(RAM + 0x1000, V)),
            *((0x1000 + 4 * n, pte(RAM + 0x8000, V | R | A)) for n in range(3)),
        ):
            self.data[at : at + 4] = entry.to_bytes(4, "little")

    def read(self, pa: PA, size_bytes: int) -> bytes:
        return bytes(self.data[pa - RAM : pa - RAM + size_bytes])

    def write(self, pa: PA, data: bytes) -> None:
        self.data[pa - RAM : pa - RAM + len(data)] = data

    def flags(self) -> list[int]:
        return [self.data[0x1000 + 4 * n] & A for n in range(3)]


def test_flags_of_entries_of_four_bytes_are_cleared_and_set_again() -> None:
    memory = Narrow()
    values = {"satp": 1 << 31 | RAM >> 12, "mstatus": 0, "menvcfg": 0, "menvcfgh": 0, "priv": 1}
    regimes = NARROW.regimes(reader(values))
    flags = AccessFlags(NARROW, memory, Written([]))
    stretches = find(NARROW, regimes, memory, VA(0), VA(0x2FFF)).stretches
    assert list(flags.read(stretches).values()) == [True] * 3
    assert flags.clear({RAM + 0x1004}) == 2
    assert memory.flags() == [0, A, 0]
    assert flags.set_again(()) == 2
    assert memory.flags() == [A] * 3

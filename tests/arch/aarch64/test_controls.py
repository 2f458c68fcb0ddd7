"""No declared control is forgotten: each is applied, and changes an answer, or has a reason for changing none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

import pytest

from gdbtools.arch.aarch64.architecture import DECLARED
from gdbtools.arch.aarch64.registers import translation
from gdbtools.arch.aarch64.registers.processor_state import SPSR
from gdbtools.arch.aarch64.translation.regimes import current
from gdbtools.arch.model import Access, AccessKind, Decider, Refusal, Walk
from gdbtools.arch.walk import walk
from gdbtools.bits import Field, Word
from gdbtools.errors import GdbtoolsError
from tests.arch.aarch64.control_list import APPLIED, WITHOUT_EFFECT
from tests.arch.aarch64.truth.machine import (
    ALL_WRITE_BACK,
    ARM,
    E0POE,
    EL1H,
    EL2H,
    HA,
    HA_ONE,
    HD,
    PAN,
    PIE,
    POE,
    RW,
    S1_ROOT,
    S2_HA,
    S2_HD,
    S2_ROOT,
    S2PIE,
    SCTLR,
    TCR2EN,
    UAO,
    VM,
    VTCR,
    Memory,
    el1,
    el2,
    el2_vhe,
    el3,
    guest,
)
from tests.tables import reader

E2H_0 = ", E2H=0"
LAYOUTS: Mapping[str, type[Word]] = {
    **{name: DECLARED[name] for name in APPLIED if not name.endswith(E2H_0)},
    f"SCTLR_EL2{E2H_0}": translation.SCTLR_EL3,
    f"TCR_EL2{E2H_0}": translation.TCR_EL2,
}


def named(listed: Mapping[str, str]) -> list[str]:
    return [name for names in listed.values() for name in names.split()]


@pytest.mark.parametrize("register", LAYOUTS)
def test_every_declared_control_is_listed_once(register: str) -> None:
    listed = named(APPLIED[register]) + named(WITHOUT_EFFECT.get(register, {}))
    assert sorted(listed) == sorted(each.name for each in LAYOUTS[register].fields())


# What is asked of every state: pages by what they are good for, in both halves and with tags.
AF, AP, NG, NS, GP, DBM, CONTIGUOUS, PXN, UXN = 1 << 10, 6, 1 << 11, 1 << 5, 1 << 50, 1 << 51, 1 << 52, 1 << 53, 1 << 54
ATTRIBUTE = 2
FAR = 1 << 45
PAGES = {
    0x1000: (0x7000_0000, 0b01 << AP | NG | GP),
    0x2000: (0x7000_1000, 0b11 << AP | DBM | PXN),
    0x3000: (0x7000_2000, 0b00 << AP | NS),
    0x4000: (0x7000_3000, 0b10 << AP | DBM | UXN | PXN | 1 << ATTRIBUTE),
    0x5000: (0x7000_4000, 0b01 << AP | CONTIGUOUS | 2 << 60),
    0x6000: (FAR, 0b11 << AP | 1 << 60),
    0x7000: (0x7000_6000, 0b01 << AP | UXN | PXN | 1 << 7),
}
UNACCESSED = 0x8000
LIMITED = 1 << 39
"""Below a table that limits it."""
UPPER = 0xFFFF << 48
ASKED = (*PAGES, UNACCESSED, LIMITED, LIMITED << 1, *(UPPER | va for va in (*PAGES, LIMITED)), 1 << 44 | 0x1000)
TAGS = (0x0B << 56, 0xB0 << 56, 0xF5 << 56)
MAIR = ALL_WRITE_BACK & ~0xFF00 | 0x0400
PIR = 0x0_6_9_A_C_3_5_E_7_B_2_1_8_F_0_5_E_C


@dataclass(frozen=True)
class State:
    """Registers, and memory with tables; `regimes` are asked of it."""

    name: str
    values: dict[str, int]
    regimes: tuple[str, ...]
    memory: Memory = field(default_factory=Memory, compare=False)


def tables(stage2_leaf: int | None = None, table: int = 0, table_leaf: int | None = None) -> Memory:
    """Return tables of stage 1 and, with a leaf, of stage 2 that maps all of them and their pages to themselves."""
    memory = Memory()
    for va, (pa, leaf) in PAGES.items():
        memory.stage1(leaf, va, pa, (table, table, table))
    memory.stage1(0b01 << AP, UNACCESSED, 0x7000_7000, (table, table, table))
    at = memory.leaf_at(S1_ROOT, UNACCESSED)
    memory.words[at] &= ~AF
    memory.stage1(0b01 << AP, LIMITED, 0x7000_8000, (1 << 61 | 1 << 60 | 1 << 59 | table, table, table))
    memory.stage1(0b01 << AP, 1 << 44 | 0x1000, 0x7000_9000, (table, table, table))
    if stage2_leaf is None:
        return memory
    for pa in (*(pa for pa, _ in PAGES.values() if pa != FAR), 0x7000_7000, 0x7000_8000, 0x7000_9000):
        memory.stage2(stage2_leaf, pa, pa)
    memory.stage2(stage2_leaf ^ (0b10 << 6 | 1 << 51), 0x7000_1000, 0x7000_1000)
    memory.stage2(stage2_leaf, 0x7000_2000, 1 << 46)
    memory.stage2((stage2_leaf & ~(0b1111 << 2)) | 0b0001 << 2, 0x7000_3000, 0x7000_3000)
    memory.words[memory.leaf_at(S2_ROOT, 0x7000_4000)] &= ~AF
    for page in memory.tables[S1_ROOT]:
        memory.stage2(stage2_leaf if table_leaf is None else table_leaf, page, page)
    return memory


RWX2 = 0b11 << 6 | 0b1111 << 2
DEVICE_TABLES = 0b11 << 6
READ_ONLY_TABLES = 0b01 << 6 | 0b1111 << 2
ALL_FEATURES = {
    "ID_AA64MMFR0_EL1": 6 | 2 << 20 | 1 << 28 | 3 << 40 | 3 << 32,
    # HAFDBS=3, VH, HPDS, PAN3, XNX, HCX, CMOW
    "ID_AA64MMFR1_EL1": 3 | 1 << 8 | 1 << 12 | 3 << 20 | 1 << 28 | 1 << 40 | 1 << 56,
    "MAIR_EL1": MAIR,
    "MAIR_EL2": MAIR,
    "MAIR_EL3": MAIR,
}
PERMISSIONS = {f"{name}_EL{el}": PIR for name in ("PIR", "PIRE0", "POR") for el in (0, 1, 2, 3)} | {"S2PIR_EL2": PIR}
HAFT, PNCH, EL3_STATE = 1 << 11, 1, {"ID_AA64PFR0_EL1": 0x0010_0000_0000_2222 & ~0xF000 | 0x1000}
DS, DS_ONE, CMOW, EPAN, WXN = 1 << 59, 1 << 32, 1 << 32, 1 << 57, 1 << 19
NV, NV1 = 1 << 42, 1 << 43
NS_, EEL2, RW3, HXEN, TCR2EN3, PIEN = 1 << 0, 1 << 18, 1 << 10, 1 << 38, 1 << 43, 1 << 45
SCR = RW3 | HXEN | TCR2EN3 | PIEN
REALM = 1 << 62 | NS_
WITH_EL3 = {"ID_AA64PFR0_EL1": 0x0010_0000_0000_1122 | 0x0100}


def states() -> Iterator[State]:
    both = {**ALL_FEATURES, **PERMISSIONS}
    aarch32 = {"ID_AA64PFR0_EL1": 0x0010_0000_0000_1222}
    plain = el1(**both)
    yield State("direct", plain, ("el1",), tables())
    yield State("CMOW, EPAN", el1(**both, SCTLR_EL1=SCTLR | CMOW | EPAN), ("el1",), tables())
    yield State("indirect", {**plain, "TCR2_EL1": PIE}, ("el1",), tables())
    yield State("overlaid", {**plain, "TCR2_EL1": PIE | POE | E0POE}, ("el1",), tables())
    yield State("wide", {**plain, "TCR_EL1": plain["TCR_EL1"] | DS}, ("el1",), tables())
    dirty = plain["TCR_EL1"] | HA | HD
    yield State("dirty", {**plain, "TCR_EL1": dirty}, ("el1",), tables())
    virtual = guest(**{**both, **aarch32, "cpsr": EL2H})
    vm = ("el1", "stage2")
    yield State("guest", virtual, vm, tables(RWX2))
    yield State("guest, FWB", {**virtual, "HCR_EL2": VM | RW | 1 << 46}, vm, tables(RWX2))
    yield State("guest, CMOW", {**virtual, "HCRX_EL2": TCR2EN | 1 << 9}, vm, tables(RWX2))
    yield State("guest, dirty", {**virtual, "VTCR_EL2": VTCR | S2_HA | S2_HD}, vm, tables(RWX2))
    yield State("guest, indirect", {**virtual, "VTCR_EL2": VTCR | S2PIE, "TCR2_EL1": PIE}, vm, tables(RWX2))
    yield State("guest, wide", {**virtual, "VTCR_EL2": VTCR | DS_ONE}, vm, tables(RWX2))
    yield State("guest, Device tables", virtual, vm, tables(RWX2, table_leaf=DEVICE_TABLES))
    read_only = {**virtual, "TCR_EL1": dirty, "TCR2_EL1": HAFT}
    yield State("guest, read-only tables", read_only, vm, tables(RWX2, table_leaf=READ_ONLY_TABLES))
    yield State("default cacheable", {**virtual, "HCR_EL2": RW | 1 << 12}, ("el1",), tables(RWX2))
    nested = RW | NV | NV1
    for name, more in (("", 0), (", indirect", PIE | E0POE)):
        yield State(f"nested{name}", {**virtual, "HCR_EL2": nested, "TCR2_EL1": more}, ("el1",), tables())
    secure = {**virtual, "SCR_EL3": SCR | EEL2, "VSTCR_EL2": VTCR, "VSTTBR_EL2": S2_ROOT, "VTTBR_EL2": 0}
    yield State("secure", secure, ("el1", "secure-stage2"), tables(RWX2))
    wide = {"VSTCR_EL2": VTCR & ~0xFF | 16 | 2 << 6, "VTCR_EL2": VTCR | DS_ONE}
    yield State("secure, wide", {**secure, **wide}, ("secure-stage2",), tables(RWX2))
    yield State("secure, no stage 2", {**secure, "SCR_EL3": SCR}, ("el1",), tables())
    without_el2 = {**plain, "ID_AA64PFR0_EL1": 0x1022, "SCR_EL3": SCR | NS_, "cpsr": 0b1101}
    yield State("EL3 without EL2", without_el2, ("el1",), tables())
    realm = {**virtual, "SCR_EL3": SCR | REALM}
    yield State("realm", realm, vm, tables(RWX2 | 1 << 55))
    for more in (0, PIE | POE | E0POE):
        monitored = {**virtual, "SCR_EL3": SCR | NS_, "TCR2_EL1": more, "VTCR_EL2": VTCR | (S2PIE if more else 0)}
        yield State(f"monitored {more}", monitored, vm, tables(RWX2))
    alone = el2(**both)
    yield State("EL2", alone, ("el2",), tables())
    yield State("EL2, realm", {**alone, **WITH_EL3, "SCR_EL3": SCR | REALM}, ("el2",), tables())
    yield State("EL2, indirect", {**alone, "TCR2_EL2": PIE | POE}, ("el2",), tables())
    yield State("EL2, wide", {**alone, "TCR_EL2": alone["TCR_EL2"] | DS_ONE | HA_ONE}, ("el2",), tables())
    host = el2_vhe(**both)
    yield State("host", host, ("el2-vhe",), tables())
    yield State("host, CMOW, EPAN", {**host, "SCTLR_EL2": SCTLR | CMOW | EPAN}, ("el2-vhe",), tables())
    yield State("host, overlaid", {**host, "TCR2_EL2": PIE | POE | E0POE}, ("el2-vhe",), tables())
    yield State("host, wide", {**host, "TCR_EL2": host["TCR_EL2"] | DS | HA | HD}, ("el2-vhe",), tables())
    monitor = el3(**both)
    yield State("EL3", monitor, ("el3",), tables())
    yield State("root", {**monitor, **WITH_EL3, "TCR_EL3": monitor["TCR_EL3"] | DS_ONE | HA_ONE}, ("el3",), tables())
    yield State("EL3, indirect", {**monitor, "TCR_EL3": monitor["TCR_EL3"] | 1 << 35 | 1 << 36}, ("el3",), tables())


STATES = tuple(states())
ACCESSES = [
    (Access(kind, el, unprivileged), pstate)
    for kind in AccessKind
    for el in (0, 1, 2, 3)
    for unprivileged in (False, True)
    for pstate in (EL1H, EL1H | PAN, EL1H | UAO)
    if not (unprivileged and kind not in (AccessKind.READ, AccessKind.WRITE))
]


def refusals(found: Walk) -> Iterator[Refusal | None]:
    levels = ARM.privileges_of(found.regime)
    for access, pstate in ACCESSES:
        if access.privilege in levels:
            yield ARM.check(found, access, pstate)
            yield ARM.may_refuse(found, access)


def walks(state: State, values: Mapping[str, int]) -> Iterator[Walk]:
    tagged = [tag ^ va for va in (0x1000, UPPER | 0x1000) for tag in TAGS]
    for name in state.regimes:
        for va in (*ASKED, *tagged) if "stage2" not in name else [pa for pa, _ in PAGES.values()]:
            yield walk(ARM.regime_for(reader(values), va, name), va, state.memory.read)


def answers(state: State, values: Mapping[str, int]) -> list[str]:
    """Return everything that is answered in a state, or why there is no answer."""
    said: list[str] = []
    try:
        said.append(current(reader(values)))
        for found in walks(state, values):
            regime = found.regime
            levels = [(each.number, each.high, each.low, regime.contiguous_entries(each)) for each in regime.levels]
            said.append(f"{regime.name} {regime.root:#x} {levels} {regime.notes} {found.outcome} {found.attributes}")
            said.append(repr([(each and (each.fault, each.decider.cause)) for each in refusals(found)]))
    except GdbtoolsError as error:
        said.append(str(error))
    return said


@cache
def unchanged(number: int) -> list[str]:
    return answers(STATES[number], STATES[number].values)


def others(each: Field, value: int) -> Iterator[int]:
    """Yield values that a field might have instead."""
    current = each.of(value)
    largest = (1 << each.width) - 1
    yield from {each.into(value, other) for other in (current ^ 1, 0, largest, (current + 1) & largest)} - {value}


def concerned(register: str) -> Iterator[int]:
    """Yield the states that have a register, in the layout that is meant."""
    name = register.removesuffix(E2H_0)
    for number, state in enumerate(STATES):
        host = bool(state.values.get("HCR_EL2", 0) & 1 << 34)
        other_layout = name in ("SCTLR_EL2", "TCR_EL2") and host == register.endswith(E2H_0)
        if not other_layout and (name in state.values or name == "GPCCR_EL3"):
            yield number


def has_an_effect(register: str, each: Field) -> bool:
    """Return whether there is a state in which the field, being otherwise, makes an answer otherwise."""
    name = register.removesuffix(E2H_0)
    return any(
        answers(STATES[number], {**STATES[number].values, name: other}) != unchanged(number)
        for number in concerned(register)
        for other in others(each, STATES[number].values.get(name, 0))
    )


@pytest.mark.parametrize("register", LAYOUTS)
def test_a_control_that_is_applied_changes_an_answer(register: str) -> None:
    without = [name for name in named(APPLIED[register]) if not has_an_effect(register, LAYOUTS[register].field(name))]
    assert not without, f"{register}: nothing changes with {', '.join(without)}"


@pytest.mark.parametrize("register", WITHOUT_EFFECT)
def test_a_control_with_a_reason_for_it_changes_no_answer(register: str) -> None:
    fields = [LAYOUTS[register].field(name) for name in named(WITHOUT_EFFECT[register])]
    together = sum(each.mask for each in fields)
    for number in concerned(register):
        state = STATES[number]
        otherwise = state.values.get(register.removesuffix(E2H_0), 0) ^ together
        if answers(state, {**state.values, register.removesuffix(E2H_0): otherwise}) != unchanged(number):
            wrong = [each.name for each in fields if has_an_effect(register, each)]
            raise AssertionError(f"{register}, in the state {state.name}: an answer changes with {wrong}")


def holds(decider: Decider, state: State, found: Walk, pstate: int) -> bool:
    """Return whether a decider's value is what its field is where it says that it lives."""
    if decider.holder == "descriptor":
        assert decider.pa is not None
        stages = [found, *(step.via for step in found.steps if step.via), *([found.fetch.via] if found.fetch else [])]
        stages += [found.final] if found.final else []
        order = next(each.regime.byte_order for each in stages for step in each.steps if step.pa == decider.pa)
        return decider.field.of(int.from_bytes(state.memory.read(decider.pa, 8), order)) == decider.value
    whole = SPSR(pstate) if decider.holder == "PSTATE" else state.values[decider.holder]
    return decider.field.of(whole) == decider.value


@pytest.mark.parametrize("number", range(len(STATES)), ids=[state.name for state in STATES])
def test_a_decider_has_the_value_of_its_field(number: int) -> None:
    state = STATES[number]
    off = {f"SCTLR_EL{el}": 0 for el in (1, 2, 3)}
    for values in (state.values, {**state.values, **off}):
        asked = State(state.name, dict(values), state.regimes, state.memory)
        for found in walks(asked, values):
            for access, pstate in ACCESSES:
                if access.privilege not in ARM.privileges_of(found.regime):
                    continue
                for refused in (ARM.check(found, access, pstate), ARM.may_refuse(found, access)):
                    if refused is not None:
                        decider = refused.decider
                        said = f"{decider.field.name} {decider.field.position} = {decider.value:#x} in {decider.holder}"
                        decider.field.into(0, decider.value)
                        assert holds(decider, asked, found, pstate), f"{state.name}: {said}"

"""Hyp mode in AArch32: its own tables by ATS1HR and ATS1HW, and its stage 2 below PL1 by ATS12NSOPR and its kin.

The oracle is QEMU, asked by the guest that lives in Hyp mode.  GDBTOOLS_SEED=N repeats a run.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from random import Random

import pytest

from gdbtools.addresses import PA, VA
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.aarch32.registers import catalog
from gdbtools.arch.arm.fault_status import fault_of
from gdbtools.arch.model import Access, AccessKind, Fault, FaultKind, Mapped, written_down
from gdbtools.arch.walk import walk
from gdbtools.children.processes import Qemu
from gdbtools.errors import Unavailable, Unreadable
from tests.guests.arm.oracle import (
    BY_HYP,
    BY_USER,
    DATA,
    IMAGE,
    RAM,
    RAM_BYTES,
    STORES,
    Answer,
    ArmOracle,
    Operation,
    Request,
)
from tests.guests.arm.second_stage import second_stage
from tests.guests.arm.states import Drawing
from tests.guests.linux import Stub
from tests.guests.packages import qemu
from tests.guests.states import FULL_RUN, SEED, counting

CASES = int(os.environ.get("GDBTOOLS_ORACLE_CASES", "25000" if FULL_RUN else "1000"))
"""Of each of the two."""
ARM = ARCHITECTURES["aarch32"]
ROOT, SECOND, HYP_ROOT = 0x4700_0000, 0x4700_2000, 0x4710_0000
HYP_TABLES = range(HYP_ROOT + 0x1000, HYP_ROOT + 0x1_0000, 0x1000)
VM, HYP, SUPERVISOR = 1 << 0, 0x1A, 0x13
VTCR = 1 << 31 | 1 << 6 | 0b11000
"""40 bits of IPA, T0SZ being -8, from level 1 on."""
HSCTLR = 0x30C5_0830 | 1
CLIENTS = 0x5555_5555
AF, TABLE, BLOCK, PAGE = 1 << 10, 0b11, 0b01, 0b11
IDENTITY = RAM | AF | 3 << 8 | 1 << 6 | BLOCK
"""The gigabyte that the guest itself is in."""

pytestmark = pytest.mark.guest


@pytest.fixture(scope="module")
def oracle() -> Iterator[ArmOracle]:
    try:
        program = qemu("system", "qemu-system-arm")
    except Unavailable as why:
        pytest.skip(str(why))
    with ArmOracle(program, "cortex-a15") as oracle:
        yield oracle


@pytest.fixture(scope="module")
def counted(request: pytest.FixtureRequest) -> Iterator[Counter[str]]:
    yield from counting("AArch32 with Hyp mode")


@dataclass(frozen=True)
class Seen:
    """A fault, or the page that an address leads to."""

    fault: Fault | None = None
    page: int | None = None


def by_hardware(answer: Answer) -> Seen:
    """Return what PAR says, which has its long format here."""
    par = answer.address << 32 | answer.status
    assert par >> 11 & 1, "LPAE"
    if not par & 1:
        return Seen(page=par & (1 << 40) - 4096)
    found = fault_of(par >> 1 & 0x3F, bool(par >> 8 & 1))
    assert found is not None, f"fault status {par >> 1 & 0x3F:#x}"
    return Seen(Fault(found.kind, 2 if par >> 9 & 1 else 1, found.level, found.s1ptw))


@dataclass
class Asking:
    """One state's questions, put to both."""

    oracle: ArmOracle
    registers: Mapping[str, int]
    tables: Mapping[int, bytes]
    cpsr: int

    def read(self, pa: int, size_bytes: int) -> bytes:
        if not RAM <= pa <= RAM + RAM_BYTES - size_bytes:
            raise Unreadable(PA(pa), size_bytes, "no memory is there")
        return self.oracle.read(pa, size_bytes)

    def ours(self, registers: Mapping[str, int], request: Request) -> Seen:
        register = written_down({**registers, "cpsr": self.cpsr})
        found = walk(ARM.regime_for(register, VA(request.va)), VA(request.va), self.read)
        kind = AccessKind.WRITE if request.operation in STORES else AccessKind.READ
        level = 2 if request.operation in BY_HYP else 0 if request.operation in BY_USER else 1
        refused = ARM.check(found, Access(kind, ARM.privileges[level]), self.cpsr)
        if refused is not None:
            return Seen(refused.fault)
        assert isinstance(found.outcome, Mapped)
        return Seen(page=found.outcome.address & -4096)

    def differing(self, number: int, requests: Sequence[Request], counted: Counter[str]) -> tuple[int, list[str]]:
        """Return how many questions were put, and where the two answers differ."""
        for pa, entry in self.tables.items():
            self.oracle.write(pa, entry)
        read_back = self.oracle.set(self.registers, (0, 0))
        registers = {**self.registers, **read_back}
        asked: list[tuple[Request, Seen]] = []
        for request in requests:
            try:
                own = self.ours(registers, request)
            except Unreadable:
                counted["not asked: a table is where no memory is"] += 1
                continue
            if own.fault is not None and own.fault.kind is FaultKind.ADDRESS_SIZE:
                counted["not asked: QEMU ignores bits [47:40] of an address, and reads what may not be there"] += 1
                continue
            asked.append((request, own))
        wrong = []
        for (request, own), answer in zip(asked, self.oracle.ask([each for each, _ in asked]), strict=True):
            got = by_hardware(answer)
            if not same(got, own):
                named = {name: hex(value) for name, value in registers.items()}
                wrong.append(f"GDBTOOLS_SEED={number}: {request}: QEMU {got}, gdbtools {own}; {named}")
            counted["completed" if own.fault is None else f"stage {own.fault.stage}: {own.fault.kind.label}"] += 1
        for pa, entry in self.tables.items():
            self.oracle.write(pa, bytes(len(entry)))
        return len(asked), wrong


def same(got: Seen, own: Seen) -> bool:
    """Return whether both say the same; of a table that stage 2 refuses, QEMU tells the level of stage 1."""
    if got.fault is None or own.fault is None or not (got.fault.s1ptw and own.fault.s1ptw):
        return got == own
    return (got.fault.kind, got.fault.stage) == (own.fault.kind, own.fault.stage)


# --- Hyp mode's own tables.


def hyp_tables(random: Random, t0sz: int) -> tuple[dict[int, bytes], list[int]]:
    """Return tables, and addresses worth asking about: RAM leads to itself, and all else anywhere."""
    entries = {HYP_ROOT + 8 * at: entry(random, 1) for at in range(4 >> t0sz)}
    entries[HYP_ROOT + 8] = IDENTITY
    for at, table in enumerate(HYP_TABLES):
        level = 2 if at % 2 else 3
        for index in random.sample(range(512), 24):
            entries[table + 8 * index] = entry(random, level)
    shapes = [index << low for low in (30, 21, 12) for index in (0, 1, 2, 3, 511)]
    addresses = [random.getrandbits(32) for _ in range(24)]
    addresses += [random.choice(shapes) | random.choice(shapes) & 0xFFFF_FFFF for _ in range(24)]
    used = [(at - table) // 8 for table in HYP_TABLES for at in entries if table <= at < table + 0x1000]
    for _ in range(48):
        addresses.append(random.randrange(4) << 30 | random.choice(used) << 21 | random.choice(used) << 12)
    outside_ram = [each & 0xFFFF_FFFF for each in addresses if each >> 30 & 3 != RAM >> 30]
    return {at: word.to_bytes(8, "little") for at, word in entries.items()}, outside_ram


def entry(random: Random, level: int) -> int:
    """Return an entry of any kind, most of them valid; of tables half the time, where there are any below."""
    kind = random.choice((0b00, 0b10, BLOCK, BLOCK, TABLE, TABLE, TABLE, TABLE))
    upper = random.getrandbits(5) << 59 if random.randrange(3) == 0 else 0
    if kind == TABLE and level < 3:
        tables = [table for at, table in enumerate(HYP_TABLES) if (2 if at % 2 else 3) == level + 1]
        return random.choice(tables) | upper | TABLE
    low = 12 + 9 * (3 - level)
    output = random.getrandbits(40) & -(1 << low)
    if random.randrange(12) == 0:
        output |= 1 << random.randrange(40, 48)
    never, flags = random.randrange(4) << 53, random.getrandbits(8) << 2 | 1 << 6
    return output | never | flags | (0 if random.randrange(8) == 0 else AF) | kind


def test_hyp_modes_tables_lead_where_hardware_says(oracle: ArmOracle, counted: Counter[str]) -> None:
    compared, wrong = 0, list[str]()
    for number in count(SEED):
        if compared >= CASES:
            break
        random = Random(number)
        t0sz = random.choice((0, 0, 1))
        tables, addresses = hyp_tables(random, t0sz)
        registers = {
            "HSCTLR": HSCTLR, "HTCR": 1 << 31 | 1 << 23 | t0sz, "HTTBR": HYP_ROOT | random.choice((0, 8)) >> t0sz,
            "HMAIR0": random.getrandbits(32), "HMAIR1": random.getrandbits(32), "DACR": CLIENTS,
        }  # fmt: skip
        requests = [Request(va, operation) for va in addresses for operation in BY_HYP]
        many, differing = Asking(oracle, registers, tables, HYP).differing(number, requests, counted)
        compared, wrong = compared + many, wrong + differing
    assert not wrong, f"{len(wrong)} of {compared} differ; the first: {wrong[0]}"


# --- Its stage 2.


def test_both_stages_lead_where_hardware_says(oracle: ArmOracle, counted: Counter[str]) -> None:
    compared, wrong = 0, list[str]()
    for number in count(SEED):
        if compared >= CASES:
            break
        random, state = Random(number), Drawing(number, False).draw()
        below = second_stage(random, ROOT, SECOND, DATA)
        tables = {**state.tables, **{pa: each.to_bytes(8, "little") for pa, each in below.items()}}
        registers = {**state.registers, "HCR": VM, "VTCR": VTCR, "VTTBR": ROOT}
        # Of a fault of a domain the long format of PAR says nothing.
        registers |= {} if state.is_long else {"DACR": CLIENTS}
        asked = [Operation(each) for each in range(4)]
        addresses = dict.fromkeys(each.va for each in state.requests)
        requests = [Request(va, operation) for va in addresses for operation in asked]
        many, differing = Asking(oracle, registers, tables, SUPERVISOR).differing(number, requests, counted)
        compared, wrong = compared + many, wrong + differing
    assert not wrong, f"{len(wrong)} of {compared} differ; the first: {wrong[0]}"


# --- Its registers.


def test_the_gdbstub_gives_all_of_them_but_what_the_mode_banks(oracle: ArmOracle) -> None:
    with Qemu(
        IMAGE, cpu=oracle.cpu, machine="virt,virtualization=on", program=oracle.qemu.command, stopped=False
    ) as machine:
        stub = Stub(machine.gdbstub)
        given = stub.registers(0)
        stub.close()
    names = ARM.identity.stub_names
    assert all(name in given or names.get(name) in given for name in catalog.HYP)
    assert not {"ELR_hyp", "SPSR_hyp"} & given.keys()
    assert given["cpsr"] & 0x1F == HYP

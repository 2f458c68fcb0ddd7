"""What leads to a page is looked up where the tables are as they were, and found anew where one byte of them is not."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from gdbtools.addresses import PA
from gdbtools.analysis.mappings import mappings_of
from gdbtools.analysis.reverse import leading
from gdbtools.analysis.reverse_index import ReverseIndex, ReverseIndexes
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import Read, Regime, Run
from gdbtools.errors import Unreadable
from gdbtools.machine.sources import open_source
from tests.arch.aarch64.truth.machine import IPA as ARM_IPA
from tests.arch.aarch64.truth.machine import PA as ARM_PA
from tests.arch.aarch64.truth.machine import VA, Memory, guest
from tests.audited import CODE, HEAP, PAGE, PLATFORMS, RAM, RAM_BYTES, VMALLOC, clean
from tests.places import ROOT
from tests.tables import reader


@dataclass
class Counted:
    """Memory that may be changed, and how many tables were read of it."""

    data: bytearray
    tables: list[int] = field(default_factory=list)
    gone: int = 0

    def read(self, pa: int, size_bytes: int) -> bytes:
        if size_bytes > 8:
            self.tables.append(pa)
        if not RAM <= pa <= RAM + RAM_BYTES - size_bytes or pa <= self.gone < pa + size_bytes:
            raise Unreadable(PA(pa), size_bytes, "there is no memory")
        return bytes(self.data[pa - RAM : pa - RAM + size_bytes])


def made(name: str) -> tuple[Counted, list[Regime]]:
    machine = clean(name).machine()
    regimes = [*machine.architecture.regimes(machine.register)]
    return Counted(bytearray(machine.memory.read(PA(RAM), RAM_BYTES))), regimes


def one_by_one(regime: Regime, read: Read, pa: PA) -> list[tuple[int, int, str]]:
    """Return what leads to a byte, looking at every run."""
    return sorted(
        (address, part.leaf_bytes, part.attributes.memory)
        for run in mappings_of(regime, read)
        if isinstance(run, Run)
        for address, part in leading(run, pa)
    )


def looked_up(index: ReverseIndex, read: Read, pa: PA) -> list[tuple[int, int, str]]:
    found = index.leading_to(pa, read)
    return [(each.address, each.run.leaf_bytes, each.run.attributes.memory) for each in found]


def two_stages() -> tuple[Regime, Read, list[PA]]:
    memory = Memory()
    memory.stage1(0, output=ARM_IPA)
    memory.identity(0b1111 << 2 | 0b11 << 6)
    memory.stage2(0b1111 << 2 | 0b11 << 6)
    regime = ARCHITECTURES["aarch64"].regime_for(reader(guest()), VA)  # type: ignore[arg-type]
    return regime, memory.read, [PA(ARM_PA), PA(ARM_PA + 0x123), PA(ARM_PA + PAGE)]


def images() -> Iterator[tuple[Regime, Read, list[PA]]]:
    draw = random.Random(17)
    drawn = [PA(RAM + draw.randrange(RAM_BYTES)) for _ in range(40)]
    for name in PLATFORMS:
        memory, regimes = made(name)
        for regime in regimes:
            yield regime, memory.read, [PA(CODE), PA(HEAP), PA(HEAP + 0x1_0123), PA(0x1000_0000), *drawn]
    yield two_stages()
    nested = open_source(str(ROOT / "fixtures/captures/nested.core"))
    for regime in nested.architecture.regimes(nested.register):
        yield regime, nested.memory.read, [PA(0x100_0000 + page * PAGE) for page in range(32)]


def test_what_is_looked_up_is_what_every_run_says() -> None:
    compared = found = 0
    for regime, read, asked in images():
        index = ReverseIndex(regime, read)
        for pa in asked:
            expected = one_by_one(regime, read, pa)
            assert looked_up(index, read, pa) == expected, (regime.name, hex(pa))
            compared, found = compared + 1, found + bool(expected)
    assert compared > 200
    assert found > 60


def test_a_page_that_many_addresses_lead_to_is_found_by_the_first_of_them() -> None:
    image = clean("aarch64")
    for page in range(512):
        image.map(VMALLOC + page * PAGE, CODE, "r--")
    machine = image.machine()
    regime = machine.architecture.regimes(machine.register)[1]
    expected = one_by_one(regime, machine.memory.read, PA(CODE + 8))
    assert VMALLOC + 8 in [address for address, _, _ in expected]
    assert looked_up(ReverseIndex(regime, machine.memory.read), machine.memory.read, PA(CODE + 8)) == expected


@pytest.mark.parametrize("name", PLATFORMS)
def test_the_same_tables_are_read_and_not_scanned_again(name: str) -> None:
    memory, regimes = made(name)
    kept = ReverseIndexes()
    first = [kept.of(regime, memory.read) for regime in regimes]
    memory.data[HEAP - RAM] ^= 1  # of no table
    assert [kept.of(regime, memory.read) for regime in regimes] == first
    assert all(one is again for one, again in zip(first, [kept.of(each, memory.read) for each in regimes], strict=True))


@pytest.mark.parametrize("name", PLATFORMS)
def test_a_table_that_changed_is_seen_by_whomever_it_was_written(name: str) -> None:
    image = clean(name)
    at = image.map(VMALLOC, HEAP)
    machine = image.machine()
    memory = Counted(bytearray(machine.memory.read(PA(RAM), RAM_BYTES)))
    regime = machine.architecture.regimes(machine.register)[-1]
    kept = ReverseIndexes()
    before = kept.of(regime, memory.read)
    assert VMALLOC in [each.address for each in before.leading_to(PA(HEAP), memory.read)]
    memory.data[at - RAM : at - RAM + 8] = bytes(8)
    after = kept.of(regime, memory.read)
    assert after is not before
    assert VMALLOC not in [each.address for each in after.leading_to(PA(HEAP), memory.read)]


def test_what_could_not_be_read_is_asked_for_again() -> None:
    image = clean("aarch64")
    at = image.map(VMALLOC, HEAP)
    machine = image.machine()
    memory = Counted(bytearray(machine.memory.read(PA(RAM), RAM_BYTES)), gone=at)
    regime = machine.architecture.regimes(machine.register)[1]
    kept = ReverseIndexes()
    assert kept.of(regime, memory.read).holes
    memory.gone = 0
    found = kept.of(regime, memory.read)
    assert (found.holes, VMALLOC in [each.address for each in found.leading_to(PA(HEAP), memory.read)]) == ([], True)

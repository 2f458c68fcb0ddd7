"""Two guests of a real Xen, asked about at whatever stop: what they are, and what their addresses lead to.

The oracles: what VTTBR_EL2 held while each ran, a process's own pagemap, the bytes that it wrote, and a plain walk of
the raw tables.
"""

from __future__ import annotations

import re
import struct
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from gdbtools.analysis.devices.device_map import device_map
from gdbtools.analysis.devices.flattened_tree import HEADER_BYTES, MAGIC, header, parse
from gdbtools.analysis.devices.guest_tree import guest_trees
from gdbtools.analysis.devices.tree_owner import TreeOwner, ownership
from gdbtools.analysis.guests.census import census
from gdbtools.analysis.guests.memory import GuestMemory
from gdbtools.commands.guests.asked import known_guests
from gdbtools.errors import Unavailable
from gdbtools.machine.dumps.extents import map_of
from tests.guests.packages import kernel
from tests.guests.xen import DOM0_BYTES
from tests.guests.xen_pair import DOMU_BYTES, MARK, PAGE_BYTES, XenPair

pytestmark = pytest.mark.guest

FULL = pytest.mark.full
CONFIGURATIONS = [
    pytest.param(("cortex-a53", 1, "4.17"), id="a53"),
    pytest.param(("cortex-a57", 2, "4.17"), id="a57-2", marks=FULL),
    pytest.param(("max", 1, "4.17"), id="max", marks=FULL),
    pytest.param(("cortex-a53", 2, "4.17"), id="a53-2", marks=FULL),
    pytest.param(("cortex-a53", 1, "4.20"), id="a53-4.20", marks=FULL),
    pytest.param(("cortex-a57", 2, "4.20"), id="a57-2-4.20", marks=FULL),
    pytest.param(("max", 1, "4.20"), id="max-4.20", marks=FULL),
]
"""CPU, how many, and the version of Xen."""
SECONDS = 60
ROOT_BITS = (1 << 48) - 2
LEAVES = {"cortex-a53": (3, 40), "cortex-a57": (4, 44), "max": (4, 48)}
"""How many levels the second stage has, and how many bits of address it takes."""


@pytest.fixture(scope="module", params=CONFIGURATIONS)
def xen(request: pytest.FixtureRequest) -> Iterator[XenPair]:
    cpu, cpus, version = request.param
    try:
        with XenPair(kernel("6.1-4k"), cpu, cpus=cpus, version=version) as guest:
            yield guest
    except Unavailable as why:
        pytest.skip(str(why))


def vmid(registers: dict[str, int]) -> int:
    return registers["VTTBR_EL2"] >> 48


def in_guest(registers: dict[str, int]) -> bool:
    return registers["cpsr"] >> 2 & 3 < 2


@pytest.fixture
def running(xen: XenPair) -> Iterator[XenPair]:
    """Stop where a CPU runs the domU's process."""
    deadline = time.monotonic() + SECONDS
    xen.stop()
    while not any(vmid(each) == 2 and not each["cpsr"] & 0xF for each in map(xen.registers, range(xen.cpus))):
        xen.cont()
        assert time.monotonic() < deadline, "the domU was not seen in its process"
        time.sleep(0.02)
        xen.stop()
    yield xen
    xen.cont()


def test_xens_domains_are_found_with_their_vmids_and_virtual_cpus(running: XenPair) -> None:
    found, _ = running.ask("guests")
    assert [(each["identifier"], each["name"]) for each in found["guests"]] == [(1, "domain 0"), (2, "domain 1")]
    assert [len(each["virtual_cpus"]) for each in found["guests"]] == [running.cpus, 1]
    levels, bits = LEAVES[running.cpu]
    for each in found["guests"]:
        assert (len(each["levels"]), each["input_bits"]) == (levels, bits)
    assert found["guests"][1]["memory"] == DOMU_BYTES


def test_the_root_of_each_is_what_the_register_holds_while_it_runs(running: XenPair) -> None:
    roots = {each["identifier"]: int(each["root"], 16) for each in running.ask("guests")[0]["guests"]}
    seen: dict[int, int] = {}
    for _ in range(200):
        for registers in map(running.registers, range(running.cpus)):
            if in_guest(registers):
                seen[vmid(registers)] = registers["VTTBR_EL2"] & ROOT_BITS
        if seen.keys() == roots.keys():
            break
        running.cont()
        time.sleep(0.02)
        running.stop()
    assert seen
    assert seen.items() <= roots.items()


def test_a_cpu_that_runs_a_guest_is_told_from_one_that_has_it_loaded(running: XenPair) -> None:
    found, _ = running.ask("guests")
    told = {on["cpu"]: (each["identifier"], on["runs"]) for each in found["guests"] for on in each["cpus"]}
    for number, registers in enumerate(map(running.registers, range(running.cpus))):
        if vmid(registers):
            assert told[number] == (vmid(registers), in_guest(registers))
        else:
            assert [on["cpu"] for on in found["empty"]] == [number]


def test_a_process_of_the_domu_has_its_pages_where_its_own_pagemap_says(running: XenPair) -> None:
    """Its frames are the domU's; Xen has put its memory elsewhere, so that no address leads to itself by chance."""
    marked, moved = 0, 0
    for va, frame in running.heap.items():
        found, _ = running.ask(f"walk {va:#x} --guest vmid=2")
        assert int(found["final"]["input"], 16) == frame * PAGE_BYTES
        pa = int(found["output"], 16)
        marked += MARK.encode() in running.read(pa, PAGE_BYTES)
        moved += pa != frame * PAGE_BYTES
    assert marked, "the process has written it"
    assert moved


def test_the_roots_of_a_guest_are_found_in_its_memory_by_its_own_addresses(running: XenPair) -> None:
    [registers] = [each for each in map(running.registers, range(running.cpus)) if vmid(each) == 2]
    found, _ = running.ask("find-roots --guest vmid=2")
    assert found["total"] == DOMU_BYTES
    assert registers["TTBR0_EL1"] & ROOT_BITS in {int(each["root"], 16) for each in found["roots"]}


def test_the_census_is_what_a_plain_walk_of_the_raw_tables_counts(running: XenPair) -> None:
    for each in running.ask("guests")[0]["guests"]:
        found, _ = running.ask(f"stage2 --guest {each['number']}")
        ours = Counter[tuple[int, bool]]()
        for group in found["leaves"]:
            ours[group["block_size"], True] += group["reached"]
            ours[group["block_size"], False] += group["soft_invalid"] + group["below_soft_invalid"]
        theirs = Counter[tuple[int, bool]]()
        levels, bits = LEAVES[running.cpu]
        count(running, int(each["root"], 16), 4 - levels, bits, True, theirs)
        assert ours - Counter() == theirs


def count(xen: XenPair, table: int, level: int, bits: int, valid: bool, counted: Counter[tuple[int, bool]]) -> None:
    """Count the leaves below a table by their size, and by whether every valid bit on the way is set."""
    shift = 39 - 9 * level
    for (entry,) in struct.iter_unpack("<Q", xen.read(table, 8 << bits - shift)):
        if not entry:
            continue
        down = valid and bool(entry & 1)
        if level < 3 and entry & 2:
            count(xen, entry & 0xFFFF_FFFF_F000, level + 1, shift, down, counted)
        else:
            counted[1 << shift, down] += 1


def test_the_tree_of_each_guest_is_found_in_its_memory_and_the_machines_is_told_from_it(running: XenPair) -> None:
    """The one that QEMU made lies where its RAM begins, and a copy of Xen's elsewhere; so may copies of dom0's."""
    machine = running.machine()
    places, read = map_of(machine.memory), machine.memory.read
    everything = bytes(running.ram)
    trees = {at.start() for at in re.finditer(re.escape(MAGIC), everything) if at.start() % PAGE_BYTES == 0}
    for each in known_guests(machine).known:
        memory = GuestMemory(census(each.regime, read, places), read)
        [tree] = guest_trees(memory, read, places).believed
        assert tree.whose.owner is TreeOwner.GUEST
        assert sum(one.size_bytes for one in tree.map.memory) == {1: DOM0_BYTES, 2: DOMU_BYTES}[each.identifier or 0]
        trees.remove(tree.pa - running.ram_base)
    owners: list[TreeOwner] = []
    for at in trees:
        root = parse(everything[at : at + header(everything[at : at + HEADER_BYTES]).used_bytes])
        said, pa = device_map(root), at + running.ram_base
        if sum(one.size_bytes for one in said.memory) == running.memory_bytes:
            owners.append(ownership(root, said, (pa, pa), memory, places).owner)
    assert owners
    assert {*owners} == {TreeOwner.MACHINE}


def test_an_audit_holds_both_guests_against_each_other_whichever_is_loaded(running: XenPair) -> None:
    [asked] = running.ask("audit --rule guest-isolation")[0]["rules"]
    counted = [running.ask(f"stage2 --guest {number}")[0]["leaves"] for number in (0, 1)]
    leaves = sum(group["leaves"] for groups in counted for group in groups)
    assert (asked["findings"], asked["examined"]) == (0, leaves)


def test_at_a_stop_in_xen_itself_the_last_guest_is_asked_and_that_is_said(xen: XenPair) -> None:
    deadline = time.monotonic() + SECONDS
    xen.stop()
    try:
        while xen.registers()["cpsr"] >> 2 & 3 != 2 or vmid(xen.registers()) not in (1, 2):
            xen.cont()
            assert time.monotonic() < deadline, "the CPU was not seen in Xen with a guest loaded"
            time.sleep(0.005)
            xen.stop()
        last = vmid(xen.registers())
        told, _ = xen.ask("guests")
        [on] = [on for each in told["guests"] for on in each["cpus"] if on["cpu"] == 0]
        assert (on["identifier"], on["runs"]) == (last, False)
        assert "the last guest that was loaded" in on["caveat"]
        own, assumed = xen.ask(f"walk {xen.registers()['ELR_EL2']:#x} --guest vmid={last}")
        assert any("that of the last virtual CPU that CPU 0 has loaded" in each for each in assumed)
        assert own["input"] == f"{xen.registers()['ELR_EL2']:#018x}"
    finally:
        xen.cont()

"""What a device tree has at which address: trees of our own making, and QEMU's against QEMU's own map of its memory."""

from __future__ import annotations

import re
import subprocess
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdbtools.analysis.devices.device_map import device_map
from gdbtools.analysis.devices.flattened_tree import HEADER_BYTES, NoTree, header, parse
from gdbtools.children.processes import find_qemu
from gdbtools.machine.live.qemu_ram import backing
from tests.device_trees import flattened, node

BUS = node(
    "bus@40000000",
    node("serial@100", reg=(0x100, 0x10), compatible="arm,pl011"),
    node("lost@9000", reg=(0x9000, 0x10)),
    node("i2c@200", node("sensor@48", reg=0x48), reg=(0x200, 0x10), cells_address=1, cells_size=0),
    cells_address=1,
    cells_size=1,
    ranges=(0, 0, 0x4000_0000, 0x1000),
)
TREE = node(
    "",
    node("memory@80000000", device_type="memory", reg=(0, 0x8000_0000, 0, 0x1000_0000, 1, 0, 0, 0x1000)),
    node("reserved-memory", node("pool@80000000", reg=(0, 0x8000_0000, 0, 0x1000)), ranges=None),
    BUS,
    node("timer", compatible="arm,armv8-timer"),
    node(
        "pcie@10000000",
        device_type="pci",
        cells_address=3,
        cells_size=2,
        reg=(0x40, 0, 0, 0x1000),
        ranges=(0x0200_0000, 0, 0x1000_0000, 0, 0x1000_0000, 0, 0x2000_0000),
    ),
    cells_address=2,
    cells_size=2,
)


def test_a_bus_gives_its_devices_the_addresses_that_the_cpus_use() -> None:
    found = device_map(TREE)
    serial = found.device_at(0x4000_010F)
    assert serial is not None
    assert (serial.path, serial.first, serial.last) == ("/bus@40000000/serial@100", 0x4000_0100, 0x4000_010F)
    assert serial.name == "serial@100 (arm,pl011)"
    assert found.device_at(0x4000_0110) is None


def test_what_no_address_of_the_cpus_reaches_is_no_device_at_one() -> None:
    found = device_map(TREE)
    paths = {each.path for each in found.devices}
    assert not any("lost" in each for each in paths), "behind the window of its bus"
    assert not any("sensor" in each for each in paths), "on a bus that is no part of memory"
    assert not any("pool" in each for each in paths), "memory with a purpose is memory"
    assert found.device_at(0x48) is None


def test_memory_may_be_of_several_banks_and_is_no_device() -> None:
    found = device_map(TREE)
    assert [(each.first, each.size_bytes) for each in found.memory] == [
        (0x8000_0000, 0x1000_0000),
        (1 << 32, 0x1000),
    ]
    assert found.memory_at(0x8FFF_FFFF) is not None
    assert found.memory_at(0x9000_0000) is None
    assert found.device_at(0x8000_0000) is None


def test_a_window_of_pci_is_its_host_bridges() -> None:
    found = device_map(TREE)
    for address in (0x40_0000_0000, 0x1234_5678):
        device = found.device_at(address)
        assert device is not None
        assert device.path == "/pcie@10000000"


def test_a_tree_is_read_as_it_was_written() -> None:
    assert parse(flattened(TREE)) == TREE
    data = flattened(TREE)
    assert header(data).total_bytes == len(data)


@pytest.mark.parametrize("cut", [0, 4, HEADER_BYTES, 100, -4])
def test_a_tree_that_is_cut_off_is_none(cut: int) -> None:
    with pytest.raises(NoTree):
        parse(flattened(TREE)[:cut])


@given(st.data())
def test_damaged_bytes_are_a_tree_or_none_and_never_another_error(data: st.DataObject) -> None:
    found = bytearray(flattened(TREE))
    for _ in range(data.draw(st.integers(1, 8))):
        found[data.draw(st.integers(0, len(found) - 1))] = data.draw(st.integers(0, 255))
    with suppress(NoTree):
        device_map(parse(bytes(found)))


def test_a_node_without_an_end_is_none() -> None:
    data = flattened(replace(TREE, children=()))
    with pytest.raises(NoTree):
        parse(data.replace(b"\0\0\0\x02\0\0\0\x09", b"\0\0\0\x04\0\0\0\x09"))


@pytest.mark.guest
def test_every_device_of_qemus_tree_is_where_qemus_own_map_has_one(qemu: str, tmp_path: Path) -> None:
    blob, shape = tmp_path / "tree", ["-cpu", "cortex-a57", "-m", "256M", "-display", "none"]
    subprocess.run([find_qemu(), "-M", f"virt,dumpdtb={blob}", *shape], check=True, capture_output=True, timeout=120)
    asked = subprocess.run(
        [find_qemu(), "-M", "virt", *shape, "-S", "-serial", "none", "-monitor", "stdio"],
        input="info mtree -f\nquit\n", capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    found, said = device_map(parse(blob.read_bytes())), asked.stdout.replace("\r", "")
    assert len(found.devices) > 30
    assert [(each.first, each.size_bytes) for each in found.memory] == [(0x4000_0000, 256 << 20)]
    assert backing(said, 0x4000_0000) == "RAM mach-virt.ram"
    for each in found.devices:
        if "platform-bus" not in each.path and "pcie" not in each.path:
            assert re.match("(the device|flash)", backing(said, each.first) or ""), each
    serial = found.device_at(0x900_0000)
    assert serial is not None
    assert (serial.name, backing(said, 0x900_0000)) == ("pl011@9000000 (arm,pl011)", "the device pl011")

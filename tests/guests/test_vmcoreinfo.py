"""What VMCOREINFO lets one derive, against the registers of the very kernels that wrote it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.aarch64.exception_levels import LEVELS
from gdbtools.arch.aarch64.registers.translation import MAIR, TCR_EL1, TTBR
from gdbtools.arch.model import Mapped
from gdbtools.arch.walk import walk
from gdbtools.errors import Unavailable
from gdbtools.machine.sources import open_source
from gdbtools.systems import registers_from_notes, vmcoreinfo
from tests.guests.linux import RAM, LinuxGuest
from tests.guests.packages import busybox, kernel, kernel_module
from tests.guests.test_linux import OWN_SHAPES, SHAPES, Shape
from tests.tables import reader

pytestmark = pytest.mark.guest

ARM = ARCHITECTURES["aarch64"]
SEED = 20
ADDRESSES = 500
KERNEL_HALF = 0xFFFF << 48


def written_by(guest: LinuxGuest) -> Mapping[str, str]:
    """Return VMCOREINFO from the guest's memory, where its kernel says that the note is."""
    where, size = guest.run("cat /sys/kernel/vmcoreinfo").split()
    note = guest.ram[int(where, 16) - RAM :][: int(size, 16)]
    return vmcoreinfo.parse(note[note.index(vmcoreinfo.FIRST_KEY) :])


@pytest.mark.parametrize(
    "shape", [*SHAPES, *(pytest.param(each, marks=pytest.mark.full) for each in OWN_SHAPES)], ids=str
)
def test_the_derived_registers_are_those_of_the_running_kernel(shape: Shape) -> None:
    try:
        started = shape.guest()
    except Unavailable as why:
        pytest.skip(str(why))
    with started as guest:
        info = written_by(guest)
        with guest.process("exec dd if=/dev/zero of=/dev/null bs=1M"), guest.stopped(el=shape.kernel_el) as live:
            derived = {**registers_from_notes(ARM, info, LEVELS[shape.kernel_el]).values, "cpsr": live["cpsr"]}
            level = f"EL{shape.kernel_el}"
            real, ours = TCR_EL1(live[f"TCR_{level}"]), TCR_EL1(derived[f"TCR_{level}"])
            assert (ours.T1SZ, ours.TG1, ours.DS) == (real.T1SZ, real.TG1, real.DS)
            assert root_of(derived, level) == root_of(live, level)
            assert memory_types(derived, level) <= memory_types(live, level)
            drawn = random.Random(SEED)
            for va in (KERNEL_HALF | drawn.getrandbits(48) for _ in range(ADDRESSES)):
                assert output(derived, va, guest) == output(live, va, guest), hex(va)
            stext = int(info["SYMBOL(_stext)"], 16)
            assert output(derived, stext, guest) == stext - int(info["NUMBER(kimage_voffset)"], 0) & (1 << 64) - 1


def root_of(registers: Mapping[str, int], level: str) -> int:
    """Return the root table's address, without ASID and CnP."""
    return int(TTBR(registers[f"TTBR1_{level}"]).with_(ASID=0, CnP=0))


def memory_types(registers: Mapping[str, int], level: str) -> set[tuple[str, int]]:
    """Return the attributes but that of tagged memory, which is plain where the CPU has no tags."""
    word = MAIR(registers[f"MAIR_{level}"])
    return {(each.field.name, each.value) for each in word.decoded() if each.field.name != "Attr1" and each.value}


def output(registers: Mapping[str, int], va: int, guest: LinuxGuest) -> int | str:
    found = walk(ARM.regime_for(reader(registers), va), va, guest.read).outcome
    return found.address if isinstance(found, Mapped) else f"{found.kind} at level {found.level}"


def test_a_dump_with_its_note_is_walked_as_the_kernel_walked(tmp_path: Path) -> None:
    try:
        busybox()
        started = LinuxGuest(
            kernel("6.1-4k"), modules=(kernel_module("6.1-4k", "qemu_fw_cfg"),), extra=("-device", "vmcoreinfo")
        )
    except Unavailable as why:
        pytest.skip(str(why))
    with started as guest:
        info = written_by(guest)
        dump = tmp_path / "dump.elf"
        guest.dump(dump)
        machine = open_source(str(dump))
    assert any("from VMCOREINFO of Linux 6.1" in each.text for each in machine.assumed)
    stext = int(info["SYMBOL(_stext)"], 16)
    found = walk(ARM.regime_for(machine.register, stext), stext, machine.memory.read).outcome
    assert isinstance(found, Mapped)
    assert found.address == stext - int(info["NUMBER(kimage_voffset)"], 0) & (1 << 64) - 1

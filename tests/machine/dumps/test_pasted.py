"""What `info registers` printed is a file of registers, GDB's and that of QEMU's monitor, as the capture has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gdbtools.arch import ARCHITECTURES
from gdbtools.cli import main
from gdbtools.errors import UsageError
from gdbtools.machine.dumps.pasted import pasted
from gdbtools.machine.dumps.written_down import read_registers, written_names
from gdbtools.machine.layers import FixedRegisters
from gdbtools.machine.sources import open_source
from tests.places import ROOT

LOGS = ROOT / "fixtures/logs"
PASTES = sorted((*LOGS.glob("*.monitor"), *LOGS.glob("*.gdb")))
NAMED = {
    "qemu-arm-absent.gdb": {"x0", "x30", "sp", "pc", "cpsr", "ESR_EL1", "FAR_EL1", "TTBR0_EL1", "TCR_EL1", "SCTLR_EL1"},
    "qemu-arm-absent.monitor": {"x0", "x30", "sp", "pc", "cpsr"},
    "qemu-riscv-read.gdb": {"pc", "ra", "sp", "a0", "fp", "t6"},
    "qemu-riscv-read.monitor": {"pc", "ra", "a0", "fp", "satp", "mstatus", "scause", "stval", "sepc", "stvec", "virt"},
    "qemu-x86-read.gdb": {"rip", "rax", "r15", "cs", "eflags", "cr0", "cr2", "cr3", "cr4", "efer"},
    "qemu-x86-read.monitor": {"rip", "rax", "r15", "cs", "eflags", "cr0", "cr2", "cr3", "cr4", "efer"},
}


@pytest.mark.parametrize("paste", PASTES, ids=lambda paste: paste.name)
def test_each_register_of_a_paste_is_the_captures(paste: Path) -> None:
    machine = open_source(str(paste.with_suffix(".core")))
    found = read_registers(paste, machine.architecture, FixedRegisters({}, "nothing"))
    assert NAMED[paste.name] <= set(found.values)
    assert not found.assumed
    held = machine.cpu.registers
    common = [name for name in found.values if name in held.names()]
    assert set(common) >= NAMED[paste.name] - {"virt"}
    assert {name: found.values[name] for name in common} == {name: held.read(name) for name in common}


def test_a_paste_brings_registers_to_a_raw_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """CR3 and the rest of it are the monitor's, the architecture is told by the names."""
    table = 0x204000
    image = tmp_path / "raw"
    image.write_bytes(bytes(0x1000))
    paste = LOGS / "qemu-x86-read.monitor"
    assert main(["walk", "-s", f"{image}@{table:#x}", "--registers", str(paste), "0x1000"]) == 1
    assert f"{table:#x}" in capsys.readouterr().out


def test_of_several_cpus_the_first_is_taken() -> None:
    text = "CPU#0\nCR3=0000000000204000\n\nCPU#1\nCR3=0000000000305000\nCR4=000000a0\n"
    assert pasted(text, ()) == {"CR3": "0x0000000000204000"}


def test_selectors_and_flags_beside_registers_are_none() -> None:
    text = "TR =0028 0000000000251200 00000067\nRIP=0000000000200220 RFL=00000046 [---Z-P-] CPL=0 II=0\n"
    assert set(pasted(text, {"CS"})) == {"RIP", "RFL"}


def test_a_name_without_its_level_is_the_stubs_own_or_left_out(tmp_path: Path) -> None:
    """SCTLR is what QEMU's stub calls SCTLR_EL1."""
    file = tmp_path / "paste"
    file.write_text("cpsr  0x3c5  965\nSCTLR  0x30d01805  0\nFAR  0x10  16\n")
    found = read_registers(file, ARCHITECTURES["aarch64"], FixedRegisters({}, "nothing"))
    assert found.values["SCTLR_EL1"] == 0x30D01805
    assert "FAR_EL1" not in found.values


def test_what_is_neither_is_refused_with_both_ways(tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_text("no registers here\n")
    with pytest.raises(UsageError, match="not what `info registers` prints"):
        written_names(file)

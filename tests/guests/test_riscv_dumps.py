"""A dump of a real Linux for riscv64 that has no CSRs: what its kernel wrote down, and what its tables look like."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.riscv.registers.translation import SATP64
from gdbtools.cli import main
from gdbtools.errors import Unavailable
from gdbtools.systems import registers_from_notes, vmcoreinfo
from tests.guests.riscv.linux import COMMAND_LINES, booted
from tests.guests.riscv.oracle import RAM

pytestmark = pytest.mark.guest

QUICK = "Sv48"
MEMORY_BYTES = 128 << 20
UPPER = 1 << 63
NAMES = ("satp", "menvcfg", "mstatus", "priv")


@dataclass(frozen=True)
class Dumped:
    """What QEMU wrote at a stop, the registers there, VMCOREINFO, and what the kernel calls its root."""

    elf: Path
    registers: Path
    satp: SATP64
    notes: Mapping[str, str]
    swapper: int


@pytest.fixture(
    scope="module",
    params=[pytest.param(each, marks=() if each == QUICK else pytest.mark.full) for each in COMMAND_LINES],
)
def dumped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Dumped:
    folder = tmp_path_factory.mktemp("riscv-dumps")
    try:
        started = replace(booted(request.param), memory_bytes=MEMORY_BYTES)
    except Unavailable as missing:
        pytest.skip(str(missing))
    with started as guest:
        symbol = guest.run("grep ' swapper_pg_dir$' /proc/kallsyms", 120).split()[0]
        where, size = (int(each, 16) for each in guest.run("cat /sys/kernel/vmcoreinfo").split())
        note = guest.ram[where - RAM :][:size]
        guest.dump(folder / "elf")
        guest.dump(folder / "kdump", "-z")
        guest.stop()
        live = guest.registers()
        guest.cont()
    (folder / "registers.json").write_text(json.dumps({name: hex(live[name]) for name in NAMES}))
    notes = vmcoreinfo.parse(note[note.index(vmcoreinfo.FIRST_KEY) :])
    swapper = int(symbol, 16) - int(notes["NUMBER(va_kernel_pa_offset)"], 0)
    return Dumped(folder / "elf", folder / "registers.json", SATP64(live["satp"]), notes, swapper & (1 << 64) - 1)


def ask(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)["result"]


def upper(capsys: pytest.CaptureFixture[str], dumped: Dumped, registers: Path) -> list[Any]:
    """Return the runs of the kernel's half, without where the root is that they hang from."""
    runs = ask(capsys, "map", "-s", str(dumped.elf), "--registers", str(registers))["runs"]
    kernels = [run for run in runs if int(run["first"], 16) >= UPPER]
    return [(run["first"], run["size"], run["output"], run["attributes"]["rights"]) for run in kernels]


def test_a_kdump_is_read_or_it_is_said_why_and_what_to_take_instead(
    capsys: pytest.CaptureFixture[str], dumped: Dumped
) -> None:
    """0.5.5 of libkdumpfile does not know the size of RISC-V's registers."""
    status = main(["find-roots", "-s", str(dumped.elf.with_name("kdump")), "--json"])
    out, err = capsys.readouterr()
    if status:
        assert (status, out, err.count("\n")) == (3, "", 1)
        assert "take the dump as ELF: dump-guest-memory FILE" in err or "libkdumpfile is not installed" in err
    else:
        assert int(json.loads(out)["result"]["roots"][0]["root"], 16) == dumped.swapper


def test_what_the_kernel_wrote_down_is_the_scheme_in_force_and_its_own_root(dumped: Dumped) -> None:
    riscv = ARCHITECTURES["riscv64"]
    derived = SATP64(registers_from_notes(riscv, dumped.notes, riscv.supervisor).values["satp"])
    assert derived.MODE == dumped.satp.MODE
    assert derived.root == dumped.swapper


def test_the_kernels_root_is_first_and_named_and_the_one_in_force_is_there(
    capsys: pytest.CaptureFixture[str], dumped: Dumped, tmp_path: Path
) -> None:
    """Of a dump that has no more than the general registers; the map under what is written is the kernel's own."""
    written = tmp_path / "found.json"
    answer = ask(capsys, "find-roots", "-s", str(dumped.elf), "--write", str(written))
    bits = 12 + 9 * (int(dumped.satp.MODE) - 5)
    first, *others = answer["roots"]
    assert (int(first["root"], 16), first["register"], first["input_bits"]) == (dumped.swapper, "satp", bits)
    assert dumped.satp.root in [int(each["root"], 16) for each in others if each["input_bits"] == bits]
    assert [int(each["root"], 16) for each in answer["vmcoreinfo"]] == [dumped.swapper]
    own = upper(capsys, dumped, dumped.registers)
    assert upper(capsys, dumped, written) == own
    assert sum(size for _, size, _, _ in own) > MEMORY_BYTES

"""A real Linux in every form of dump: what is said of each is what is said live, byte by byte of the JSON.

With QEMU's `vmcoreinfo` device and the kernel's own module for it, the dumps have VMCOREINFO; one test has no other
registers than what that implies.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gdbtools.children.mi import Gdb
from gdbtools.children.processes import find_gdb
from gdbtools.cli import main
from gdbtools.errors import Unavailable
from gdbtools.machine.sources import open_source
from tests.guests.linux import RAM, LinuxGuest
from tests.guests.packages import kernel, kernel_module
from tests.guests.test_linux import KERNEL, Shape
from tests.guests.test_linux_repairs import stopped
from tests.live.session import INIT
from tests.machine.dumps.formats import COMPRESSIONS, compression, lime, rearranged, recompressed

pytestmark = pytest.mark.guest

SHAPE = Shape("6.1-4k", "cortex-a57")
SOURCES = {
    "elf": "{}/elf",
    "kdump-zlib, flattened": "{}/kdump-flat",
    "kdump-zlib": "{}/kdump-zlib",
    "kdump-lzo": "{}/kdump-lzo",
    "kdump-snappy": "{}/kdump-snappy",
    "kdump-zstd": "{}/kdump-zstd",
    "lime": "{}/lime",
    "raw": f"{{}}/raw@{RAM:#x}",
}
KERNEL_HALF = 0xFFFF_0000_0000_0000


@dataclass(frozen=True)
class Dumped:
    """What was made of the guest at one stop, and the live answers to `questions` there."""

    folder: Path
    questions: tuple[tuple[str, ...], ...]
    live: list[Any]

    def source(self, name: str) -> str:
        return SOURCES[name].format(self.folder)

    @property
    def registers(self) -> str:
        return str(self.folder / "registers.json")


@pytest.fixture(scope="module")
def dumped(qemu: str, tmp_path_factory: pytest.TempPathFactory) -> Dumped:
    folder = tmp_path_factory.mktemp("linux-dumps")
    try:
        gdb_path = find_gdb()
        SHAPE.guest()
        module = kernel_module(SHAPE.kernel, "qemu_fw_cfg")
    except Unavailable as missing:
        pytest.skip(str(missing))
    started = LinuxGuest(kernel(SHAPE.kernel), modules=(module,), extra=("-device", "vmcoreinfo"))
    with started as guest, guest.process(KERNEL), Gdb(gdb_path, INIT) as gdb, stopped(guest, gdb, 1) as session:
        symbol = session.value("$pc")
        stack = session.value("$sp")
        user = session.value("$SP_EL0")
        questions = (
            ("walk", f"{symbol:#x}", f"{stack:#x}", f"{user:#x}", "0xffff800000000000", "0x0"),
            ("walk", f"{symbol:#x}", f"{stack:#x}", "--access", "execute"),
            ("map",),
            ("fault",),
        )
        live = [session.ask(" ".join(words)) for words in questions]
        session.say(f"monitor dump-guest-memory {folder}/elf")
        session.say(f"monitor dump-guest-memory -z {folder}/kdump-flat")
        session.ask(f"capture {folder}/capture")
        session.ask(f"capture {folder}/with-code --with-code")
        whole = guest.ram[:]
    registers = open_source(str(folder / "capture")).cpu.registers
    values = {name: hex(registers.read(name)) for name in registers.names()}
    (folder / "registers.json").write_text(json.dumps(values))
    (folder / "raw").write_bytes(whole)
    (folder / "lime").write_bytes(lime([(RAM, whole)]))
    plain = rearranged((folder / "kdump-flat").read_bytes())
    (folder / "kdump-zlib").write_bytes(plain)
    for name in COMPRESSIONS:
        with suppress(Unavailable):
            (folder / f"kdump-{name}").write_bytes(recompressed(plain, compression(name)))
    return Dumped(folder, questions, live)


def ask(capsys: pytest.CaptureFixture[str], *words: str) -> list[Any]:
    main([*words, "--json"])
    out, err = capsys.readouterr()
    assert not err, err
    return [json.loads(line)["result"] for line in out.splitlines()]


@pytest.mark.parametrize("name", SOURCES)
def test_every_dump_says_what_the_live_guest_says(capsys: Any, dumped: Dumped, name: str) -> None:
    if name.endswith(COMPRESSIONS):
        try:
            compression(name.rpartition("-")[2])
        except Unavailable as missing:
            pytest.skip(str(missing))
    for words, expected in zip(dumped.questions, dumped.live, strict=True):
        found = ask(capsys, *words, "-s", dumped.source(name), "--registers", dumped.registers)
        assert found == expected, words
    assert len(dumped.live[2][0]["runs"]) > 100


@pytest.mark.parametrize("name", ["capture", "with-code"])
def test_a_capture_needs_nothing_else_and_is_small(capsys: Any, dumped: Dumped, name: str) -> None:
    core = dumped.folder / name
    for words, expected in zip(dumped.questions, dumped.live, strict=True):
        assert ask(capsys, *words, "-s", str(core)) == expected, words
    assert core.stat().st_size < 4 << 20


@pytest.mark.parametrize("name", ["elf", "kdump-zlib", "kdump-zlib, flattened"])
def test_vmcoreinfo_alone_gives_the_kernels_half(capsys: Any, dumped: Dumped, name: str) -> None:
    main(["map", "-s", dumped.source(name), "--arch", "aarch64", "--json"])
    line = json.loads(capsys.readouterr().out)
    assert any("from VMCOREINFO of Linux 6.1" in each for each in line["assumed"])
    upper = [run for run in dumped.live[2][0]["runs"] if int(run["first"], 16) >= KERNEL_HALF]
    assert [run for run in line["result"]["runs"] if int(run["first"], 16) >= KERNEL_HALF] == upper
    assert len(upper) > 100
    assert not [run for run in line["result"]["runs"] if int(run["first"], 16) < KERNEL_HALF]


def test_without_any_register_it_is_said_what_to_do(capsys: Any, dumped: Dumped) -> None:
    assert main(["map", "-s", dumped.source("raw"), "--arch", "aarch64"]) == 3
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "--registers" in said

"""Dumps: what is in the fixtures, what a capture keeps, and what hostile files do."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gdbtools.arch.aarch64 import GENERAL, IDENTITY
from gdbtools.arch.model import Mapped, Run, Walk
from gdbtools.arch.scan import scan
from gdbtools.arch.walk import walk
from gdbtools.errors import GdbtoolsError, Malformed, Refused, Unavailable, Unreadable, UsageError
from gdbtools.machine.dumps.capture import core_bytes
from gdbtools.machine.layers import Recording
from gdbtools.machine.model import Machine
from gdbtools.machine.sources import open_source
from tests.places import ROOT

CAPTURES = ROOT / "fixtures/captures"
OSV = CAPTURES / "osv-1131.core"


@pytest.fixture(scope="module")
def osv() -> Machine:
    return open_source(str(OSV))


def leaves(machine: Machine) -> list[Walk]:
    read, found = machine.memory.read, []
    for regime in machine.architecture.regimes(machine.register):
        for run in scan(regime, read):
            assert isinstance(run, Run), "the capture has every table"
            found += [walk(regime, va, read) for va in range(run.first, run.first + run.size_bytes, run.leaf_bytes)]
    return found


def test_osvs_descriptor_is_read_as_it_stands_in_the_file(osv: Machine) -> None:
    """Not by our reader: by the program headers, with struct."""
    data = OSV.read_bytes()
    pa = 0x40D2A900
    count = struct.unpack_from("<H", data, 56)[0]
    for index in range(count):
        kind, _, offset, _, start, size, _, _ = struct.unpack_from("<IIQQQQQQ", data, 64 + 56 * index)
        if kind == 1 and start <= pa < start + size:
            raw = data[offset + pa - start :][:8]
    assert osv.memory.read(pa, 8) == raw
    assert int.from_bytes(raw, "little") & 1 << 10 == 0


def test_osv_has_258_leaves_without_an_access_flag_of_which_256_are_one_mapping(osv: Machine) -> None:
    clear = [each for each in leaves(osv) if each.leaf and not getattr(each.leaf.entry.word, "AF", 1)]
    assert len(clear) == 258
    assert all(each.regime.name.endswith("TTBR0_EL1") for each in clear)
    run = [each.input for each in clear if 0x2000_0020_1000 <= each.input < 0x2000_0020_1000 + 256 * 4096]
    assert run == [0x2000_0020_1000 + 4096 * n for n in range(256)]


def test_osvs_kernel_and_linear_map_are_where_the_guest_has_them(osv: Machine) -> None:
    def outcome(va: int) -> object:
        return walk(osv.architecture.regime_for(osv.register, va), va, osv.memory.read).outcome

    assert outcome(0xF_C000_0000) == Mapped(0x4000_0000, 2 << 20)
    linear = outcome(0xFFFF_8000_0000_0000 + 0x408C_E000)
    assert isinstance(linear, Mapped)
    assert linear.address == 0x408C_E000


def test_a_registers_file_says_the_same_as_the_captures_note(osv: Machine, tmp_path: Path) -> None:
    file = tmp_path / "regs.json"
    file.write_text(json.dumps({name: hex(osv.register(name)) for name in osv.cpu.registers.names()}))
    raw = tmp_path / "tables.bin"
    base = 0x408D_9000
    raw.write_bytes(b"".join(_page(osv, pa) for pa in range(base, 0x4172_6000, 4096)))
    machine = open_source(f"{raw}@{base:#x}", file)
    for va in (0x1000_0012_0E40, 0xF_C000_0000):
        ours, its = (walk(m.architecture.regime_for(m.register, va), va, m.memory.read) for m in (machine, osv))
        assert ours.outcome == its.outcome
        assert [step.pa for step in ours.steps] == [step.pa for step in its.steps]


def _page(machine: Machine, pa: int) -> bytes:
    try:
        return machine.memory.read(pa, 4096)
    except Unreadable:
        return bytes(4096)


def test_a_capture_gives_back_what_went_into_it(tmp_path: Path) -> None:
    cpus = [{**dict.fromkeys(GENERAL, n), "x3": 3 + n, "TCR_EL1": 0x10 + n} for n in range(3)]
    pages = {0x4000_0000: b"a" * 4096, 0x4000_1000: b"b" * 4096, 0x4800_0000: b"c" * 4096}
    path = tmp_path / "core"
    path.write_bytes(core_bytes(IDENTITY, cpus, 2, pages))
    machine = open_source(str(path))
    assert machine.current == 2
    assert [cpu.registers.read("x3") for cpu in machine.cpus] == [3, 4, 5]
    assert [cpu.registers.read("TCR_EL1") for cpu in machine.cpus] == [0x10, 0x11, 0x12]
    assert machine.memory.read(0x4000_0FFC, 8) == b"aaaabbbb"
    with pytest.raises(Unreadable):
        machine.memory.read(0x4000_1FFC, 8)


@pytest.mark.skipif(shutil.which("readelf") is None, reason="readelf is not installed: apt-get install binutils")
@pytest.mark.parametrize("name", ["access-flag.core", "osv-1131.core"])
def test_readelf_opens_a_capture(name: str) -> None:
    done = subprocess.run(["readelf", "-lnW", str(CAPTURES / name)], capture_output=True, text=True, check=True)
    assert "gdbtools" in done.stdout
    assert "Warning" not in done.stderr + done.stdout.replace("Unknown note type", "")
    assert "Error" not in done.stderr


def test_a_recording_keeps_exactly_what_was_read(osv: Machine) -> None:
    recording = Recording(osv.memory)
    va = 0x1000_0012_0E40
    found = walk(osv.architecture.regime_for(osv.register, va), va, recording.read)
    assert {pa: len(data) for pa, data in recording.extents().items()} == {step.pa: 8 for step in found.steps}
    with pytest.raises(Refused):
        recording.write(0, b"x")


def test_evidence_is_never_written(osv: Machine) -> None:
    with pytest.raises(Refused, match="evidence"):
        osv.memory.write(0x40D2_A900, bytes(8))


def test_qemus_own_cores_say_which_register_is_missing(tmp_path: Path) -> None:
    """Without the gdbtools note, as dump-guest-memory writes them."""
    path = tmp_path / "qemu.core"
    data = core_bytes(IDENTITY, [dict.fromkeys(GENERAL, 5)], 0, {0x4000_0000: bytes(4096)})
    path.write_bytes(data.replace(b"gdbtools\0", b"nobodies\0"))
    machine = open_source(str(path))
    assert machine.register("x1") == 5
    with pytest.raises(Unavailable, match=r"TCR_EL1.*--registers"):
        machine.architecture.regimes(machine.register)


@pytest.mark.parametrize(
    ("content", "wrong", "says"),
    [
        (b"", Malformed, "empty"),
        (b"hello, world", UsageError, "@0x40000000"),
        (b"\x7fELF", Malformed, "not a core"),
        (OSV.read_bytes()[:3000], Malformed, "cut short"),
        (OSV.read_bytes()[:-100], Malformed, "cut short"),
        (OSV.read_bytes().replace(b'"version": 1', b'"version": 7'), Malformed, "another version"),
        (OSV.read_bytes().replace(b'{"version"', b'<"version"'), Malformed, "not JSON"),
        (OSV.read_bytes().replace(b'"aarch64"', b'"sparc64"'), Malformed, "sparc64"),
    ],
)
def test_what_is_no_dump_is_said_in_one_line(content: bytes, wrong: type[Exception], says: str, tmp_path: Path) -> None:
    path = tmp_path / "dump"
    path.write_bytes(content)
    with pytest.raises(wrong, match=says) as raised:
        open_source(str(path))
    assert "\n" not in str(raised.value)


def test_files_that_are_not_there_or_not_files_are_said_in_one_line(tmp_path: Path) -> None:
    for name in (str(tmp_path / "nothing"), str(tmp_path), f"{tmp_path / 'nothing'}@0x1000"):
        with pytest.raises(Unavailable, match="name a file"):
            open_source(name)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_hostile_core_is_answered_or_refused_and_nothing_else(data: st.DataObject, tmp_path: Path) -> None:
    """Damage in the headers and notes; what is then still a core may be asked, and answers or says why not."""
    damaged = bytearray((CAPTURES / "access-flag.core").read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, 0x4B0))] = data.draw(st.integers(0, 255))
    keep = data.draw(st.one_of(st.just(len(damaged)), st.integers(0, len(damaged))))
    path = tmp_path / "hostile"
    path.write_bytes(bytes(damaged[:keep]))
    # Any other exception fails the test.
    with suppress(GdbtoolsError):
        machine = open_source(str(path))
        va = 0x6000_0000_0010
        walk(machine.architecture.regime_for(machine.register, va), va, machine.memory.read)

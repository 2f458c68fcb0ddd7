"""`bundle`: the line that a reporter runs, and what `explain` reads of the file that it writes."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import pytest

from gdbtools.cli import main
from gdbtools.machine.dumps.crash_text import CrashText, crashes_of
from gdbtools.machine.logs.bundle import LINE, REPORT
from gdbtools.machine.logs.crash_symbols import placed_symbols
from gdbtools.systems.crash import Crash
from tests.commands.test_explain_options import LINKED, LOG, RESERVED, SLIDE
from tests.places import ROOT
from tests.small_elf import AARCH64, small_elf

RECORDED = ROOT / "fixtures/logs/bundle-6.1.txt"
WIDTH = "address sizes\t: 46 bits physical, 48 bits virtual"


def bundle(of_this_boot: str, before: str = "", cpuinfo: str = "", code_at: int = 0) -> bytes:
    """Return what the line writes where the log and the files have this."""
    parts = {
        "dmesg": of_this_boot,
        "before": before,
        "hypervisor": "",
        "/proc/cpuinfo": cpuinfo,
        "symbols": f"{code_at:016x} T _stext",
    }
    return "".join(f"== gdbtools {name}\n{text}\n" for name, text in parts.items()).encode()


def crash_of(text: bytes) -> Crash:
    (crash,) = crashes_of(CrashText(io.BytesIO(text)))
    return crash


def test_what_is_printed_is_a_line_for_any_shell(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle"]) == 0
    printed = capsys.readouterr().out
    code = [line for line in printed.splitlines() if not line.startswith("#")]
    assert code == [LINE]
    shell = shutil.which("sh")
    assert shell is not None
    assert subprocess.run([shell, "-n"], input=printed, text=True, check=False).returncode == 0


def test_the_line_writes_a_report_that_is_read(tmp_path: Path) -> None:
    """Here, where it runs as whoever tests: what cannot be read is left out."""
    subprocess.run(["sh", "-c", LINE], cwd=tmp_path, check=False, timeout=60)
    written = (tmp_path / REPORT).read_bytes()
    text = CrashText(io.BytesIO(written))
    crashes_of(text)
    assert [name for _, name in text.parts.sections] == [
        line.split()[2] for line in written.decode(errors="replace").splitlines() if line.startswith("== gdbtools ")
    ]
    assert "/proc/cpuinfo" in [name for _, name in text.parts.sections]


def test_a_report_of_a_real_guest_has_its_crash_and_where_its_code_began() -> None:
    """Recorded by tests/guests/test_bundle.py, of a process that faults."""
    crash = crash_of(RECORDED.read_bytes())
    assert crash.title.startswith("faulting[")
    assert crash.stated["ESR_EL1"] == 0x92000005
    assert crash.code_at is not None
    assert crash.code_at >> 47 == 0x1FFFF


def test_the_width_of_addresses_is_what_the_processor_says() -> None:
    assumed = crash_of(RESERVED.encode())
    assert assumed.deduced.values["maxphyaddr"] == 50
    known = crash_of(bundle(RESERVED, cpuinfo=WIDTH))
    assert known.stated["maxphyaddr"] == 46
    assert not any(each.about == "maxphyaddr" for each in known.deduced.assumed)
    # A line of that kind in any other text is nobody's.
    assert "maxphyaddr" not in crash_of(f"{RESERVED}\n{WIDTH}\n".encode()).stated


def test_a_crash_of_this_boot_is_moved_as_the_kernel_is_now_and_one_before_is_not(tmp_path: Path) -> None:
    vmlinux = tmp_path / "vmlinux"
    symbols = {"_stext": LINKED, "__memset": LINKED + 0x100}
    vmlinux.write_bytes(small_elf(AARCH64, LINKED, bytes(0x200), symbols))
    now = placed_symbols(crash_of(bundle(LOG.read_text(), code_at=LINKED + SLIDE)), vmlinux)
    assert (now.slide, now.name(now.at + SLIDE if now.at else LINKED)) == (SLIDE, "__memset + 36")
    before = placed_symbols(crash_of(bundle("", LOG.read_text(), code_at=LINKED + SLIDE)), vmlinux)
    assert before.slide is None
    hidden = placed_symbols(crash_of(bundle(LOG.read_text(), code_at=0)), vmlinux)
    assert hidden.slide is None

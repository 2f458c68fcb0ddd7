"""`gdbtools demo --arch riscv64`: both guests live, by what it shows, and a QEMU without Svade is one line."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys

import pytest

from gdbtools.errors import Unavailable
from gdbtools.repl.demo_riscv import CHECKSUM, CURED, DEATH, PROGRAM
from tests.guests import packages
from tests.places import ROOT

pytestmark = pytest.mark.guest


def demo(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gdbtools.cli", "demo", "--arch", "riscv64", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT, check=False)


def test_both_guests_live() -> None:
    try:
        qemu = packages.qemu("bookworm-backports", PROGRAM)
    except Unavailable as missing:
        pytest.skip(f"no QEMU with Svade: {missing}")
    played = demo("--qemu", shlex.join(qemu.command))
    assert played.returncode == 0, played.stderr
    for wanted in (CURED, DEATH, CHECKSUM, "that a TLB kept", "mmu tlbi 0x40001000", "512 access-flag faults repaired"):
        assert wanted in played.stdout


def test_a_qemu_without_svade_is_one_line() -> None:
    if shutil.which(PROGRAM) is None:
        pytest.skip(f"{PROGRAM} is not installed")
    if not packages.qemu("system", PROGRAM).version.startswith(("7.", "8.")):
        pytest.skip("the system's QEMU may have Svade")
    played = demo()
    assert (played.returncode, len(played.stderr.splitlines())) == (3, 1)
    assert "has no Svade; give a newer one" in played.stderr

"""`gdbtools demo --arch riscv64`: both guests live, by what it shows; without Svade one does, and a line says so."""

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


def test_without_svade_the_other_half_is_played_and_one_line_says_so() -> None:
    if shutil.which(PROGRAM) is None:
        pytest.skip(f"{PROGRAM} is not installed")
    if not packages.qemu("system", PROGRAM).version.startswith(("7.", "8.")):
        pytest.skip("the system's QEMU may have Svade")
    played = demo()
    assert (played.returncode, played.stderr) == (0, "")
    for wanted in (CURED, "that a TLB kept", "mmu tlbi 0x40001000", "The guest lived."):
        assert wanted in played.stdout
    assert DEATH not in played.stdout
    (said,) = [line for line in played.stdout.splitlines() if "Svade" in line]
    assert said.startswith("The second guest needs Svade, which ")

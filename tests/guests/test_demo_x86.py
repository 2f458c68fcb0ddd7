"""`gdbtools demo --arch x86_64`: the guest dies alone, lives when it is returned, and reads what is there."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from gdbtools.repl.demo_x86 import CURED, DEATH, EMULATOR, PLAYED, STORED
from tests.places import ROOT

pytestmark = pytest.mark.guest


def test_the_demo_shows_all_of_it() -> None:
    if shutil.which(EMULATOR.program) is None:
        pytest.skip(f"{EMULATOR.program} is not installed; on Debian and Ubuntu: apt-get install {EMULATOR.package}")
    command = [sys.executable, "-m", "gdbtools.cli", "demo", "--arch", "x86_64"]
    played = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT, check=False)
    assert (played.returncode, played.stderr) == (0, "")
    shown = " ".join(played.stdout.split())
    for wanted in (
        *(DEATH, STORED, CURED, "but the tables permit it now", "returning through the guest's own iretq at"),
        "0x40000000 (supervisor read): stale TLB entry, proved: after the invalidation they agree.",
    ):
        assert wanted in shown
    before, _, after = shown.partition("(gdb) mmu fault")
    assert " ".join(PLAYED.split()) in before, "what is told beforehand is what the verdict then has"
    assert "unhooked" not in after
    assert "hypervisor unhooks a page table of its guest" not in before
    assert "invlpg [rdi]" in played.stdout

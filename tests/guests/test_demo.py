"""The demo's guest dies alone and lives with help; what it computes proves that nothing was skipped or done twice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gdbtools.children.processes import Qemu
from gdbtools.repl.demo import CHECKSUMS, DEATH
from tests.live.session import GUEST, Live, attached
from tests.places import ROOT

pytestmark = pytest.mark.guest

SECONDS = 60
FAULTS_OF_ONE_CPU = 206
"""103 scanned leaves, two rounds."""


@pytest.mark.parametrize("cpus", CHECKSUMS)
def test_alone_the_guest_dies_as_osv_did(qemu: str, cpus: int) -> None:
    with Qemu(GUEST, cpus, stopped=False) as guest:
        assert guest.wait(SECONDS)
        assert f"{DEATH}, addr: 0x" in guest.output()
        assert "checksum" not in guest.output()


@pytest.mark.parametrize("cpus", CHECKSUMS)
def test_without_scanning_the_guest_computes_the_expected_sum_and_never_faults(
    qemu: str, gdb_path: str, cpus: int
) -> None:
    with attached(gdb_path, cpus) as live:
        live.say("set var *(long *)&scanning = 0")
        for entry in (0, 0x200):
            live.say(f"hbreak *((char *)&vectors + {entry})")
        live.say("continue", SECONDS)
        assert live.qemu.wait(SECONDS)
        assert CHECKSUMS[cpus] in live.qemu.output()
        assert live.inside("[each.hit_count for each in gdb.breakpoints()]") == [0, 0]


@pytest.mark.parametrize("cpus", CHECKSUMS)
def test_serviced_the_guest_computes_the_expected_sum(qemu: str, gdb_path: str, cpus: int) -> None:
    with attached(gdb_path, cpus) as live:
        live.to_scan()
        (summary,) = live.ask("service")
        assert live.qemu.wait(SECONDS)
        assert CHECKSUMS[cpus] in live.qemu.output()
        # Two CPUs can fault on one leaf: the second finds it repaired.
        assert summary["faults"] == FAULTS_OF_ONE_CPU
        assert cpus > 1 or summary["already_repaired"] == 0


def test_the_service_meets_every_vector_entry_level_and_access(qemu: str, gdb_path: str) -> None:
    with attached(gdb_path) as live:
        live.to_scan()
        (summary,) = live.ask("service")
        entries = {each["entry"] for each in summary["by"]}
        assert entries == {"current EL, SP_EL0", "current EL, SP_ELx", "lower EL, AArch64", "lower EL, AArch32"}
        for entry in entries:
            met = {(each["level"], each["access"]) for each in summary["by"] if each["entry"] == entry}
            assert met == {(level, access) for level in (1, 2, 3) for access in ("read", "write", "execute")}


def repair_by_hand(live: Live, times: int) -> None:
    for _ in range(times):
        live.say("mmu fixup --resume")


def test_by_hand_then_by_count_then_the_rest(qemu: str, gdb_path: str) -> None:
    with attached(gdb_path) as live:
        live.to_fault()
        repair_by_hand(live, 4)
        assert live.ask("service --count 10")[0]["faults"] == 10
        # A repair by hand returns to the guest; the catch stops it at the next fault.
        live.say("continue")
        repair_by_hand(live, 1)
        (rest,) = live.ask("service")
        assert rest["faults"] == FAULTS_OF_ONE_CPU - 15
        assert live.qemu.wait(SECONDS)
        assert CHECKSUMS[1] in live.qemu.output()


def test_the_demo_shows_all_of_it(qemu: str, gdb_path: str, tmp_path: Path) -> None:
    (tmp_path / "gdb-multiarch").symlink_to(gdb_path)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = [sys.executable, "-m", "gdbtools.cli", "demo"]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=120, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    positions = [ran.stdout.index(text) for text in (DEATH, "mmu fault", CHECKSUMS[1], CHECKSUMS[4], "The guest lived")]
    assert positions == sorted(positions)

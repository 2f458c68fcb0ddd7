"""Both numbers of a paravirtual guest's frames, in a capture of the guest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gdbtools.addresses import PA
from gdbtools.cli import main
from gdbtools.errors import Unreadable
from gdbtools.systems.xen.paravirtual import XenGuest
from tests.places import ROOT

CORE = ROOT / "fixtures/logs/xen-4.17-x86-null-write.core"
"""As Xen took a fault of its own, with its dom0's tables in force."""


def fault(core: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    assert main(["fault", "-s", str(core), "--json"]) == 1
    return json.loads(capsys.readouterr().out)["result"]


def test_a_capture_has_what_the_hypervisor_says_of_the_frames_on_the_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = tmp_path / "again.core"
    assert main(["capture", str(again), "--tables", "touched", "-s", str(CORE)]) == 0
    capsys.readouterr()
    assert fault(again, capsys) == fault(CORE, capsys)
    assert again.stat().st_size == CORE.stat().st_size


def test_a_verdict_needs_no_frames(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    whole = fault(CORE, capsys)
    assert whole["guest_frames"]

    def missing(_: XenGuest, machine: int) -> None:
        raise Unreadable(PA(machine << 12), 8, "not in the dump")

    monkeypatch.setattr(XenGuest, "of", missing)
    without = fault(CORE, capsys)
    assert without["verdict"] == whole["verdict"]
    assert without["walk"]["steps"] == whole["walk"]["steps"]

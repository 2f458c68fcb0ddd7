"""No rule of the permission code can be broken without a test that notices."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.places import ROOT


@pytest.mark.full
def test_every_broken_rule_is_noticed() -> None:
    root = ROOT
    done = subprocess.run(
        [sys.executable, "-m", "tests.mutations"], cwd=root, capture_output=True, text=True, check=False, timeout=3600
    )
    assert done.returncode == 0, done.stdout

"""What a run of the tests says of itself, as CI prints it: what failed, by name and at once, and what was left out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.places import ROOT

TESTS = """
import pytest

def test_holds():
    pass

def test_breaks():
    assert False

@pytest.fixture
def broken():
    raise KeyError

def test_never_begins(broken):
    pass

def test_is_left_out():
    pytest.skip("nothing to run it on; install it: apt-get install nothing")
"""


def test_what_fails_is_named_at_once_and_what_is_skipped_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(TESTS)
    command = [
        *(sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path)),
        *("-p", "tests.conftest", "-p", "no:cacheprovider", "--numprocesses", "2", "--dist", "loadfile"),
    ]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment = {**kept, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [*command, "test_some.py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        timeout=240,
        check=False,
    )
    assert ran.returncode == 1, ran.stdout + ran.stderr
    before, _, after = ran.stdout.partition(" ERRORS ")
    assert "FAILED test_some.py::test_breaks in its call\n" in before
    assert "FAILED test_some.py::test_never_begins in its setup\n" in before
    summary = after.partition("short test summary info")[2]
    assert "SKIPPED [1] test_some.py:18: nothing to run it on; install it: apt-get install nothing\n" in summary
    assert "FAILED test_some.py::test_breaks" in summary
    assert "ERROR test_some.py::test_never_begins" in summary
    assert "1 failed, 1 passed, 1 skipped, 1 error" in summary

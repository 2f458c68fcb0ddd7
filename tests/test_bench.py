"""A bench that cannot run is a defect: each runs once here, with its smallest sizes, and says what it read through."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.places import ROOT

pytestmark = pytest.mark.guest

NAMES = sorted(path.stem for path in (ROOT / "bench").glob("*.py") if re.search(r"(?m)^def report\(", path.read_text()))
NOT_MEASURED = 3


def bench(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300, check=False)


@pytest.mark.parametrize("name", NAMES)
def test_a_bench_runs_and_says_what_it_read_through(name: str) -> None:
    ran = bench("--smallest", name)
    if ran.returncode == NOT_MEASURED:
        pytest.skip(ran.stdout.strip())
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(
        r"\bread through |\bread and write through |no memory is read|from each kind of source", ran.stdout
    )
    assert re.search(r"\d\.\d", ran.stdout), "what it measured"


def test_an_unknown_bench_is_named_with_those_there_are() -> None:
    ran = bench("nosuch")
    assert ran.returncode == 2
    assert all(name in ran.stderr for name in NAMES)


def test_a_broken_bench_is_a_failure_and_takes_no_other_with_it() -> None:
    breaks = "import sys; sys.modules['tracemalloc'] = None; sys.argv[1:] = ['--smallest', 'walks', 'differences']"
    command = [sys.executable, "-c", f"{breaks}; import runpy; runpy.run_module('bench', run_name='__main__')"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300, check=False)
    assert ran.returncode == 1
    assert "walks: broken:" in ran.stdout
    assert "diff of two kernel halves" in ran.stdout

"""docs/adding-a-command.md, done: its blocks are put where it says, in a copy, and the command answers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import ROOT
from tests.transcripts import compare, marked

PAGE = ROOT / "docs/adding-a-command.md"
REGISTRY = "gdbtools/commands/__init__.py"
LOOKED = (0, 1)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout in which everything was done that the page says."""
    made = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "gdbtools", made / "gdbtools", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("fixtures", "gdbinit.d"):
        (made / name).symlink_to(ROOT / name)
    page = PAGE.read_text()
    files = re.findall(r"(?ms)^`([\w/.]+)`:\n\n```python\n(.*?)^```", page)
    assert [Path(name).name for name, _ in files] == [
        "__init__.py",
        "declared.py",
        "run.py",
        "view.py",
        "test_depth.py",
    ]
    for name, text in files:
        place = made / name
        assert not (ROOT / name).exists(), "it is a new one"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    registry = made / REGISTRY
    edits = re.findall(r"(?ms)^```diff\n (.*?)\n\+(.*?)\n```", page)
    assert len(edits) == 1, "a line names it"
    for before, added in edits:
        text = registry.read_text()
        assert text.count(f"\n{before}\n") == 1, f"{REGISTRY} has no line {before!r}, or many"
        registry.write_text(text.replace(f"\n{before}\n", f"\n{before}\n{added}\n"))
    return made


def ran(copy: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(copy), "COLUMNS": "80"}
    return subprocess.run(
        [sys.executable, *words], cwd=copy, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def test_it_answers_and_explains_itself_as_the_page_shows(copy: Path) -> None:
    for transcript in marked("depth"):
        done = ran(copy, "-m", "gdbtools.cli", *transcript.words[1:])
        assert (done.returncode, done.stderr) in [(status, "") for status in LOOKED]
        compare(done.stdout, transcript)


def test_its_words_are_read_and_refused_as_those_of_every_command(copy: Path) -> None:
    unknown = ran(copy, "-m", "gdbtools.cli", "depth", "-s", "fixtures/captures/osv-1131.core", "0", "--regime", "el4")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr.count("\n") == 1
    assert "el1" in unknown.stderr
    missing = ran(copy, "-m", "gdbtools.cli", "depth", "0")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "say what to look at" in missing.stderr


def test_it_is_at_the_prompt_in_the_shells_completion_and_in_help(copy: Path) -> None:
    at_prompt = ran(
        copy, "-m", "gdbtools.cli", "open", "fixtures/captures/osv-1131.core", "-c", "depth 0xfc0200000 --regime el1"
    )
    assert at_prompt.stdout.strip() == "0xfc0200000: 3 descriptors, the last at level 2: mapped", at_prompt.stderr
    assert re.search(r"(?m)^  depth +Count the descriptors", ran(copy, "-m", "gdbtools.cli", "--help").stdout)
    assert "depth" in ran(copy, "-m", "gdbtools.cli", "completion", "bash").stdout


def test_the_tests_that_the_page_has_pass(copy: Path) -> None:
    done = ran(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/commands/test_depth.py")
    assert (done.returncode, "2 passed" in done.stdout) == (0, True), done.stdout


def test_the_page_is_written_as_the_house_is(copy: Path) -> None:
    written = [copy / "gdbtools/commands/depth", copy / "tests"]
    config = ["--config", str(ROOT / "pyproject.toml")]
    for what in (["check", "--ignore", "D"], ["format", "--check"]):
        done = ran(copy, "-m", "ruff", *what, *config, *map(str, written))
        assert done.returncode == 0, done.stdout


def test_without_the_lines_that_name_it_there_is_no_such_command(copy: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gdbtools.cli", "depth", "0"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "there is no command 'depth'" in done.stderr

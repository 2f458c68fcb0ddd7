"""No rule of the permission code can be broken without a test that notices."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from tests.mutants.changes import Rules
from tests.mutations import ARCHITECTURES
from tests.places import ROOT

LONGEST_SECONDS = 2 * 60 * 60


@pytest.mark.parametrize("rules", ARCHITECTURES, ids=lambda each: each.name)
def test_what_is_to_be_broken_is_there(rules: Rules) -> None:
    """A function that has another name now would no longer be broken, and nobody would see it."""
    for file, names in rules.targets.items():
        nodes = ast.walk(ast.parse((ROOT / rules.folder / file).read_text()))
        there = {getattr(node, "name", None) or getattr(node, "id", None) for node in nodes}
        assert set(names) <= there, file
    assert {place.partition(":")[0] for place, _ in rules.equivalent} <= set(rules.targets)


@pytest.mark.full
def test_every_broken_rule_is_noticed() -> None:
    command = [sys.executable, "-m", "tests.mutations"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LONGEST_SECONDS)
    assert done.returncode == 0, done.stdout

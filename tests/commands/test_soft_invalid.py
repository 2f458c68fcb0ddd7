"""`walk` where the valid bit alone is clear: it faults, says where, and shows what lies below."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gdbtools.cli import main
from tests.arch.aarch64.truth.machine import S2_ROOT, Memory, guest
from tests.commands.test_map import saved


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    memory = Memory()
    memory.words = {
        S2_ROOT + 8: S2_ROOT + 0x1000 | 0x7FF,
        S2_ROOT + 0x1000: S2_ROOT + 0x2000 | 0x7FE,
        S2_ROOT + 0x2000: 0x8000_0000 | 0x7FF,
    }
    return ["0x40000123", *saved(memory, tmp_path, guest()), "--regime", "stage2"]


def test_walk_says_that_it_faults_and_where_and_shows_what_lies_below(capsys, words: list[str]) -> None:
    assert main(["walk", *words]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith("0x40000123: stage 2 translation fault, level 2 its valid bit alone is clear")
    assert f"VALID [0] = 0 in the level 2 descriptor at PA {S2_ROOT + 0x1000:#x}" in said
    assert "Were it valid, 0x40000123 -> 0x80000123 (4KB)" in said
    assert f"{0x8000_0000 | 0x7FF:#018x} page" in said.partition("Were it valid")[2]
    assert "rights" not in said, "nothing is granted"


def test_json_has_the_fault_as_outcome_and_the_rest_apart(capsys, words: list[str]) -> None:
    assert main(["walk", *words, "--json"]) == 1
    result = json.loads(capsys.readouterr().out)["result"]
    assert result["outcome"] == "fault"
    assert "output" not in result
    assert result["attributes"] is None
    assert [step["kind"] for step in result["steps"]] == ["table", "soft-invalid"]
    assert result["fault"]["deciding"]["cause"] == "soft invalid"
    assert (result["if_valid"]["outcome"], result["if_valid"]["output"]) == ("mapped", f"{0x8000_0123:#018x}")

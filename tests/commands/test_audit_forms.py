"""What is done with the findings of `audit`: chosen by rule, held against a baseline, and written for other systems."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from gdbtools.analysis.audit.rules import RULES
from gdbtools.cli import main
from tests.commands.test_audit import BOTH, lower, rules
from tests.commands.test_isolation import asked, refused, text
from tests.commands.test_map import saved
from tests.tables import Tables

KERNELS, USERS = 0x1000, 0x9000


@pytest.fixture
def tables() -> Tables:
    """A page that the kernel may write and execute, and one that a user may."""
    made = Tables(_next=0x4000_1000)
    made.map(KERNELS, 0x8000_0000, AP=0b00, UXN=1, **BOTH)  # type: ignore[arg-type]
    made.map(USERS, 0x9000_0000, AP=0b01, PXN=1, **BOTH)  # type: ignore[arg-type]
    return made


@pytest.fixture
def source(tables: Tables, tmp_path: Path) -> list[str]:
    return saved(tables, tmp_path, lower(tables))


def names(result: dict[str, Any], which: str = "findings") -> list[str]:
    return [each["rule"] for each in result[which]]


def output(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    status = main(["audit", *words])
    out, err = capsys.readouterr()
    assert err == ""
    return status, out


def test_rules_are_chosen_and_left_out_by_name(source: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    both = ["--rule", "writable-executable", "--rule", "user-writable-executable"]
    found = asked(capsys, "audit", *both, *source, status=1)
    assert names(found) == ["writable-executable", "user-writable-executable"]
    left = asked(capsys, "audit", *both, "--ignore", "writable-executable", *source, status=1)
    assert names(left) == ["user-writable-executable"]
    assert [each["rule"] for each in left["rules"]] == ["user-writable-executable"]
    neither = [word for each in ("writable-executable", "user-writable-executable") for word in ("--ignore", each)]
    assert names(asked(capsys, "audit", *neither, *source)) == []
    assert "--ignore leaves no rule" in refused(capsys, "audit", *both, *neither, *source, status=2)


def test_a_finding_shows_the_entry_its_value_and_the_fields_that_decide(
    source: list[str], tables: Tables, capsys: pytest.CaptureFixture[str]
) -> None:
    [kernels, users] = asked(capsys, "audit", *source, status=1)["findings"]
    at = int(kernels["descriptor_address"], 16)
    assert (int(kernels["descriptor"], 16), kernels["level"]) == (tables.memory[at], 3)
    assert {each["field"]: each["value"] for each in kernels["deciding"]} == {
        "PXN": f"{0:#018x}", "AP": f"{0:#018x}",
    }  # fmt: skip
    assert {each["field"] for each in users["deciding"]} == {"UXN", "AP"}
    assert kernels["next"] == f"walk {KERNELS:#x}"
    shown = text(capsys, "audit", *source, status=1)
    assert f"descriptor PA {at:#x}: {tables.memory[at]:#018x}, level 3, leads to PA 0x80000000" in shown
    assert "decides PXN [53] = 0 in descriptor" in shown


def test_what_a_baseline_has_is_silent_and_what_is_gone_of_it_is_said(
    source: list[str], tables: Tables, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = str(tmp_path / "known.json")
    asked(capsys, "audit", "--write-baseline", known, *source, status=1)
    found = asked(capsys, "audit", "--baseline", known, *source)
    assert (names(found), names(found, "stale")) == ([], [])
    assert names(found, "known") == ["writable-executable", "user-writable-executable"]
    assert "No new finding" in text(capsys, "audit", "--baseline", known, *source)
    tables.map(KERNELS, 0x8000_0000, AP=0b10, UXN=1, **BOTH)  # type: ignore[arg-type]
    tables.map(0x20_0000, 0x8200_0000, AP=0b00, UXN=1, **BOTH)  # type: ignore[arg-type]
    later = saved(tables, tmp_path, lower(tables))
    found = asked(capsys, "audit", "--baseline", known, *later, status=1)
    assert rules(found) == {"writable-executable": [(0x20_0000, 0x1000)]}
    assert rules({"findings": found["stale"]}) == {"writable-executable": [(KERNELS, 0x1000)]}
    assert "stale writable-executable at 0x1000 is in the baseline" in text(
        capsys, "audit", "--baseline", known, *later, status=1
    )
    other = asked(capsys, "audit", "--rule", "user-writable-executable", "--baseline", known, *later)
    assert other["stale"] == [], "of a rule that was not asked nothing is known"


def test_a_baseline_that_is_written_again_keeps_what_was_not_asked(
    source: list[str], tables: Tables, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = tmp_path / "known.json"
    assert f"{known} has 2 findings" in text(capsys, "audit", "--write-baseline", str(known), *source, status=1)
    whole = json.loads(known.read_text())
    one = ["--rule", "writable-executable", "--write-baseline", str(known)]
    found = asked(capsys, "audit", *one, *source, status=1)
    assert found["written"] == {"file": str(known), "findings": 2, "kept": 1}
    assert json.loads(known.read_text()) == whole
    tables.map(KERNELS, 0x8000_0000, AP=0b10, UXN=1, **BOTH)  # type: ignore[arg-type]
    asked(capsys, "audit", *one, *saved(tables, tmp_path, lower(tables)))
    assert [each["rule"] for each in json.loads(known.read_text())["findings"]] == ["user-writable-executable"]


def test_a_baseline_says_which_rules_it_was_asked(
    source: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = str(tmp_path / "known.json")
    asked(capsys, "audit", "--rule", "writable-executable", "--write-baseline", known, *source, status=1)
    both = ["--rule", "writable-executable", "--rule", "user-writable-executable", "--baseline", known]
    assert asked(capsys, "audit", *both, *source, status=1)["baseline_lacks"] == ["user-writable-executable"]
    assert "so that all is new: user-writable-executable" in text(capsys, "audit", *both, *source, status=1)


NO_BASELINES = [b"{}", b"[1]", b'{"schema": "gdbtools-audit-baseline/1", "findings": [{}]}', b"\x7fELF\xff\xfe\x00"]


@pytest.mark.parametrize("contents", [b"", *NO_BASELINES])
def test_a_file_that_is_no_baseline_is_refused(
    contents: bytes, source: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "none.json").write_bytes(contents)
    said = refused(capsys, "audit", "--baseline", str(tmp_path / "none.json"), *source, status=2)
    assert said.endswith("is no baseline; name a file that --write-baseline wrote\n")
    assert "--write-baseline writes one" in refused(capsys, "audit", "--baseline", str(tmp_path / "away"), *source)


@pytest.mark.parametrize("contents", NO_BASELINES)
def test_a_file_that_is_no_baseline_is_not_overwritten_by_one(
    contents: bytes, source: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own").write_bytes(contents)
    said = refused(capsys, "audit", "--write-baseline", str(tmp_path / "own"), *source, status=4)
    assert "is no baseline, and --write-baseline would overwrite it" in said
    assert (tmp_path / "own").read_bytes() == contents


@pytest.mark.parametrize("form", ["github", "sarif"])
def test_the_command_that_looks_closer_runs_as_it_is_written(
    form: str, source: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    _, out = output(capsys, "--format", form, *source)
    found = re.findall(r"next: gdbtools ([^\n\"]+)", out)
    assert len(found) == 2
    for command in found:
        assert main(shlex.split(command)) == 0
        assert "descriptor" in capsys.readouterr().out


def test_a_rule_that_there_is_not_is_named_and_the_list_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "audit", "--rule", "bogus", status=2) == (
        "gdbtools: no rule 'bogus'; `gdbtools audit --rules` lists them\n"
    )
    assert refused(capsys, "audit", "--ignore", "reserved-bit", status=2) == (
        "gdbtools: no rule 'reserved-bit'; did you mean reserved-bits? `gdbtools audit --rules` lists them\n"
    )


def test_sarif_has_what_its_schema_asks_for(
    source: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The requirements of 2.1.0: `version` and `runs`, a tool with a named driver, a message in each result."""
    known = str(tmp_path / "known.json")
    asked(capsys, "audit", "--rule", "writable-executable", "--write-baseline", known, *source, status=1)
    status, out = output(capsys, "--format", "sarif", "--baseline", known, *source)
    assert status == 1
    log = json.loads(out)
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-schema-2.1.0.json")
    [run] = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "gdbtools"
    assert all(rule["id"] and rule["shortDescription"]["text"] for rule in driver["rules"])
    assert {rule["defaultConfiguration"]["level"] for rule in driver["rules"]} == {"error", "warning"}
    first, second = run["results"]
    for result in run["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"]
        assert result["level"] in ("none", "note", "warning", "error")
        assert result["partialFingerprints"]
        [place] = result["locations"]
        assert place["physicalLocation"]["artifactLocation"]["uri"].endswith("ram.bin@0x40000000")
        assert place["logicalLocations"][0]["fullyQualifiedName"]
    assert (first["baselineState"], first["suppressions"][0]["kind"]) == ("unchanged", "external")
    assert (second["baselineState"], second.get("suppressions")) == ("new", None)
    assert len({json.dumps(result["partialFingerprints"]) for result in run["results"]}) == 2


def test_messages_of_a_workflow_have_a_line_for_each_finding(
    source: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    status, out = output(capsys, "--format", "github", *source)
    assert status == 1
    assert [line.split("::")[1] for line in out.splitlines()] == [
        "error title=writable-executable", "warning title=user-writable-executable",
    ]  # fmt: skip


def test_forms_exclude_each_other(source: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "audit", "--format", "sarif", "--json", *source, status=2)
    assert "--json and --format exclude each other" in said


def test_every_rule_is_listed_with_its_source_and_without_any_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    listed = asked(capsys, "audit", "--rules")["rules"]
    assert [each["rule"] for each in listed] == [rule.name for rule in RULES]
    assert all(each["source"] and each["says"] for each in listed)
    shown = text(capsys, "audit", "--rules")
    assert all(f"{rule.name}, {rule.severity.name.lower()}: " in shown for rule in RULES)

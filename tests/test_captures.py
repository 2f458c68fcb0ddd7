"""The recorded captures: with nothing but the file, gdbtools says what it said of the live guest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gdbtools.cli import main
from tests.record import FOLDER, LINUX, SCENARIOS, VERDICTS, WHOLE

SMALL, LARGE = 8 << 10, 4 << 20


def ask(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    main([*words, "--json"])
    out, err = capsys.readouterr()
    assert not err, err
    return json.loads(out)["result"]


def recorded(core: Path) -> Any:
    return json.loads(core.with_suffix(".json").read_text())


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_each_verdict_is_said_as_it_was_live(capsys: pytest.CaptureFixture[str], scenario: str) -> None:
    core = VERDICTS / f"{scenario}.core"
    answer = ask(capsys, "fault", "-s", str(core))
    assert not any(answer.pop("symbols").values()), "a source has no names without --elf"
    assert answer == recorded(core)
    assert core.stat().st_size < (LARGE if scenario in WHOLE else SMALL)


def test_every_kind_of_verdict_is_among_them_that_needs_no_monitor() -> None:
    verdicts = {recorded(core.with_suffix(".core"))["verdict"] for core in VERDICTS.glob("*.core")}
    assert verdicts == {"tables agree", "tables permit", "tables differ", "not the tables"}
    assert {core.stem for core in VERDICTS.glob("*.core")} == set(SCENARIOS)


def test_linux_is_mapped_as_it_was_live(capsys: pytest.CaptureFixture[str]) -> None:
    core = FOLDER / f"linux-{LINUX.kernel.partition('-')[0]}.core"
    assert ask(capsys, "map", "-s", str(core)) == recorded(core)
    assert core.stat().st_size < LARGE

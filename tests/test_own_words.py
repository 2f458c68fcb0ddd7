"""An answer about one architecture has no word that only another one's manual has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gdbtools.cli import main
from tests.arch.x86_64.test_page_faults import REGISTERS, image
from tests.places import ROOT

ARMS = re.compile(
    r"\b(?:EL[0-3]|[A-Z]+ EL[0-3x]|FAR|HPFAR|ESR|ELR|SPSR|TTBR[01]?|TCR|MAIR|HCR|VTCR|ASID|[PU]XN)\b"
    r"|(?i:\b(?:granules?|eret)\b)|^(?:hp)?far(?: valid)?$"
)
"""What AArch64's manual calls things, and the others' do not."""
KEPT = {"granule"}
"""A key of `status` and of `find-roots`, for every architecture's smallest page."""
LOGS = [str(each) for each in (ROOT / "fixtures/logs").glob("*x86*.log")]
COMMANDS = (
    "status",
    "walk 0x1000 0x4000 --access write",
    "fault",
    "map",
    "regs",
    "syndrome 0x7",
    "audit",
    "pte 0x1000",
    "pte 0x8000000001234763",
    "report",
    "pte 0x3000 RW=0 --dry-run",
    f"explain {LOGS[0]}",
)


@pytest.fixture
def source(tmp_path: Path) -> list[str]:
    """An x86 at the first instruction of #PF's handler."""
    (tmp_path / "ram").write_bytes(image(2))
    (tmp_path / "registers").write_text(json.dumps({name: hex(value) for name, value in REGISTERS.items()}))
    return ["-s", f"{tmp_path / 'ram'}@0x0", "--registers", str(tmp_path / "registers"), "--arch", "x86_64"]


def words(value: Any) -> Iterator[str]:
    """Yield every key and every text of a record."""
    if isinstance(value, dict):
        yield from value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from words(each)
    if isinstance(value, str):
        yield value


@pytest.mark.parametrize("command", COMMANDS)
def test_x86_has_its_own_words_in_json_and_in_text(
    capsys: pytest.CaptureFixture[str], source: list[str], command: str
) -> None:
    asked = command.split() if command.startswith("explain") else [*command.split(), *source]
    main([*asked, "--json"])
    lines = capsys.readouterr().out.splitlines()
    assert lines
    said = {word.replace("_", " ") for line in lines for word in words(json.loads(line)["result"])}
    found = set(filter(ARMS.search, said))
    assert found <= KEPT
    main(asked)
    assert not ARMS.search(capsys.readouterr().out.replace("_", " "))


def test_arms_own_are_met_where_the_answer_is_about_arm(capsys: pytest.CaptureFixture[str]) -> None:
    main(["fault", "-s", str(ROOT / "fixtures/captures/access-flag.core"), "--json"])
    assert {"far", "far_valid", "hpfar_valid"} <= set(words(json.loads(capsys.readouterr().out)["result"]))
    main(["fault", "-s", str(ROOT / "fixtures/captures/access-flag.core")])
    assert ARMS.search(capsys.readouterr().out)

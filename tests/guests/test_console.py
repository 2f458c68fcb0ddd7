"""What is typed into a guest whose console drops what is not read in time."""

from __future__ import annotations

import subprocess

import pytest

from tests.guests.linux import typed

LINES = {
    "plain": "echo " + "a" * 1000,
    "quoted": """x='it''s'; printf '%s|%s\\n' "$x  two   blanks" '\\x'""" + "; :" * 100,
    "all quotes": 'echo "' + "'" * 300 + '"',
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_a_long_line_is_typed_in_pieces_that_the_console_holds_and_runs_whole(line: str) -> None:
    lines = typed(line, 128)
    assert len(lines) > 2
    assert max(len(each) + 1 for each in lines) <= 128

    def printed(text: str) -> str:
        return subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=True).stdout

    assert printed("\n".join(lines)) == printed(line) != ""


def test_a_line_that_fits_is_typed_as_it_is() -> None:
    assert typed("echo 1", 128) == typed("echo 1", None) == ["echo 1"]

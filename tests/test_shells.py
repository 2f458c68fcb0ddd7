"""What a shell completes: asked of the shell itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gdbtools.cli import main
from gdbtools.commands import COMMANDS
from gdbtools.shells import SHELLS

pytest.importorskip("shtab", reason="the package shtab is not installed")

ASK = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
$(complete -p gdbtools | sed 's/.*-F \\([^ ]*\\).*/\\1/') gdbtools "${@: -1}" "${@: -2:1}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def bash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["completion", "bash"]) == 0
    path = tmp_path / "completion"
    path.write_text(capsys.readouterr().out)
    return path


def completed(bash: Path, *words: str) -> set[str]:
    done = subprocess.run(
        ["bash", "-c", ASK, "bash", str(bash), "gdbtools", *words], capture_output=True, text=True, cwd=bash.parent
    )
    assert done.returncode == 0, done.stderr
    return {word.strip() for word in done.stdout.split()}


def test_bash_completes_commands_options_choices_registers_and_files(bash: Path) -> None:
    (bash.parent / "crash.core").touch()
    assert {name for name, each in COMMANDS.items() if not each.live_only} <= completed(bash, "")
    assert {"attach", "run", "open", "mcp", "batch", "completion", "gdbinit", "demo"} <= completed(bash, "")
    assert completed(bash, "wal") == {"walk"}
    assert {"--access", "--el", "--source"} <= completed(bash, "walk", "--")
    assert completed(bash, "walk", "--access", "r") == {"read", "read-code"}
    assert "TCR_EL1" in completed(bash, "regs", "TCR")
    assert "crash.core" in completed(bash, "walk", "-s", "cr")


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_has_one(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert "find-roots" in capsys.readouterr().out


def test_another_shell_is_a_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "ksh"]) == 2
    assert "bash" in capsys.readouterr().err

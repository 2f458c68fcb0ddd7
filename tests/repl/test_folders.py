"""A killed `run` leaves a guest's RAM in memory: the next one takes it away, and nothing that may be anybody's."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from gdbtools.children.folders import OWNER, SHARED_MEMORY, made_folder, sweep
from tests.processes import SECONDS, gone_within
from tests.repl.conftest import GDBTOOLS, Start
from tests.repl.guest import arguments, child
from tests.repl.terminal import Terminal


def test_what_nobody_holds_is_removed_and_everything_else_is_left(tmp_path: Path) -> None:
    held, _, lock = made_folder(tmp_path)
    other = tmp_path / "gdbtools-older"
    other.mkdir()
    dead, _, dying = made_folder(tmp_path)
    (dead / "ram").write_bytes(b"guest")
    target = tmp_path / "another folder"
    target.mkdir()
    (target / OWNER).touch()
    (tmp_path / "gdbtools-link").symlink_to(target)
    os.close(dying)
    sweep(tmp_path)
    assert {each.name for each in tmp_path.iterdir()} == {held.name, other.name, target.name, "gdbtools-link"}
    os.close(lock)
    sweep(tmp_path)
    assert not held.exists()


def test_a_folder_lives_as_long_as_whom_it_was_handed_to(tmp_path: Path) -> None:
    folder, _, lock = made_folder(tmp_path)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=(lock,)) as heir:
        os.close(lock)
        sweep(tmp_path)
        assert folder.exists()
        heir.communicate()
    sweep(tmp_path)
    assert not folder.exists()


@pytest.mark.guest
def test_the_ram_of_a_killed_run_is_gone_after_the_next(run: Start) -> None:
    terminal: Terminal = run()
    qemu = child(terminal, "qemu")
    (backend,) = (word for word in arguments(qemu) if "mem-path=" in word)
    ram = Path(backend.partition("mem-path=")[2].partition(",")[0])
    assert ram.is_relative_to(SHARED_MEMORY)
    assert ram.exists()
    os.kill(terminal.pid, 9)
    # From here on whoever starts one, in another test too, takes it away.
    assert gone_within(SECONDS, qemu)
    words = ["run", "--guest", "access_flag", "--dry-run"]
    subprocess.run([*GDBTOOLS, *words], check=True, capture_output=True, timeout=SECONDS)
    assert not ram.parent.exists()

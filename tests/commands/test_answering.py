"""`-o FILE`, `--html` and `--json`: where an answer goes and in which form."""

from __future__ import annotations

import json
import os
import select
import shlex
import shutil
import stat
import threading
from itertools import takewhile
from pathlib import Path

import pytest

from gdbtools.cli import main
from gdbtools.commands import COMMANDS
from gdbtools.commands.files import write_whole, written_whole
from gdbtools.errors import Unavailable
from tests.places import ROOT

OSV = str(ROOT / "fixtures/captures/osv-1131.core")
WALK = ["walk", "-s", OSV, "0xfc0001234", "0x100000120e40"]


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    main(list(words))
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_a_file_gets_what_would_be_printed_and_nothing_is(capsys, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    file = tmp_path / "walk.txt"
    wanted = printed(capsys, *WALK)
    assert printed(capsys, *WALK, "-o", str(file)) == ""
    assert file.read_text() == wanted
    assert list(tmp_path.iterdir()) == [file], "nothing is left beside it"


def test_a_dash_is_standard_output_and_no_file(capsys, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert printed(capsys, *WALK, "-o", "-") == printed(capsys, *WALK) != ""
    for words in (["capture", "-s", OSV, "-"], ["trace", OSV, "--perfetto", "-"]):
        assert main(words) == 2
        assert "and - would be standard output; name a file there" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_words_and_options_come_in_any_order(capsys) -> None:
    source, address = ["-s", OSV], "0x100000120e40"
    wanted = printed(capsys, "pte", *source, "--dry-run", address, "AF=1", "SH=2")
    assert "Would change" in wanted
    for words in (
        [*source, address, "--dry-run", "AF=1", "SH=2"],
        [address, "AF=1", *source, "SH=2", "--dry-run"],
        ["--dry-run", address, *source, "--", "AF=1", "SH=2"],
    ):
        assert printed(capsys, "pte", *words) == wanted


@pytest.mark.parametrize(
    ("name", "option"), [("a.json", "--json"), ("a.jsonl", "--json"), ("a.HTML", "--html"), ("a.htm", "--html")]
)
def test_the_name_of_the_file_says_the_form(capsys, tmp_path: Path, name: str, option: str) -> None:
    assert printed(capsys, *WALK, "-o", str(tmp_path / name)) == ""
    assert (tmp_path / name).read_text() == printed(capsys, *WALK, option)


def test_an_option_counts_more_than_the_name(capsys, tmp_path: Path) -> None:
    printed(capsys, *WALK, "--json", "-o", str(tmp_path / "a.html"))
    lines = (tmp_path / "a.html").read_text().splitlines()
    assert [json.loads(line)["command"] for line in lines] == ["walk", "walk"]


def test_the_exit_status_is_the_answers_own(capsys, tmp_path: Path) -> None:
    assert main([*WALK, "-o", str(tmp_path / "a")]) == 1
    assert main([*WALK[:-1], "-o", str(tmp_path / "a")]) == 0


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if not command.live_only])
def test_every_command_has_the_three(capsys, name: str) -> None:
    assert main([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert "-o FILE, --output FILE" in out
    assert "--html" in out
    assert "--json" in out


def test_two_forms_at_once_are_refused_before_anything_is_done(capsys, tmp_path: Path) -> None:
    file = tmp_path / "a"
    assert main([*WALK, "--json", "--html", "-o", str(file)]) == 2
    assert "exclude each other" in capsys.readouterr().err
    assert not file.exists()


def test_what_fails_leaves_the_file_as_it_was(capsys, tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("before")
    assert main(["walk", "-s", "/nonexistent", "0", "-o", str(file)]) == 3
    assert file.read_text() == "before"


def test_a_file_that_cannot_be_written_is_one_line(capsys, tmp_path: Path) -> None:
    for place in (tmp_path / "none" / "a", tmp_path):
        assert main([*WALK, "-o", str(place)]) == 3
        out, err = capsys.readouterr()
        assert out == ""
        assert len(err.splitlines()) == 1
        assert "can be written" in err


def test_a_reader_sees_the_old_or_the_new_and_never_a_part(tmp_path: Path) -> None:
    file = tmp_path / "a"
    texts = {letter * 3_000_000 for letter in "ab"}
    file.write_text("a" * 3_000_000)
    seen: set[str] = set()
    done = threading.Event()

    def reader() -> None:
        while not done.is_set():
            seen.add(file.read_text())

    thread = threading.Thread(target=reader)
    thread.start()
    for _ in range(10):
        for text in sorted(texts):
            write_whole(file, text.encode())
    done.set()
    thread.join()
    assert seen <= texts


def test_a_write_that_fails_half_way_leaves_nothing_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("before")

    def written() -> None:
        with written_whole(file) as opened:
            opened.write(b"aft")
            opened.flush()
            assert len([*tmp_path.iterdir()]) == 2, "it is written beside it"
            raise OSError(28, "No space left on device")

    with pytest.raises(Unavailable, match="No space left"):
        written()
    assert [each.name for each in tmp_path.iterdir()] == ["a"]
    assert file.read_text() == "before"


def test_a_link_stays_a_link_and_permissions_stay(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("before")
    file.chmod(0o604)
    link.symlink_to(file)
    write_whole(link, b"after")
    assert link.is_symlink()
    assert file.read_text() == "after"
    assert stat.S_IMODE(file.stat().st_mode) == 0o604


def test_a_new_file_is_as_the_umask_says(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_whole(tmp_path / "a", b"text")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


@pytest.mark.parametrize("command", [WALK, ["capture", "-s", OSV]])
def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path, command: list[str]) -> None:
    """As a device would be: on a real one a mistake of ours would be the machine's."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    # Open before it is written to: who comes later is told.
    end = os.fdopen(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), "rb")
    os.set_blocking(end.fileno(), True)
    reader = threading.Thread(target=lambda: read.append(end.read()))
    written = threading.Thread(
        target=lambda: main([*command, str(pipe)] if command[0] == "capture" else [*command, "-o", str(pipe)])
    )
    # A pipe holds less than what is written, and has its end only once the writer has closed it.
    written.start()
    while not select.select([end], [], [], 10)[0]:
        pass
    reader.start()
    written.join(10)
    reader.join(10)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert len(read[0]) > 100


@pytest.mark.parametrize("command", [WALK, ["capture", "-s", OSV]])
def test_a_pipe_that_nobody_reads_is_one_line_and_nothing_to_wait_for(
    capsys, tmp_path: Path, command: list[str]
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert main([*command, str(pipe)] if command[0] == "capture" else [*command, "-o", str(pipe)]) == 3
    assert capsys.readouterr().err == f"gdbtools: {pipe}: nobody reads this pipe; start its reader first\n"


def test_in_a_pipe_each_row_of_a_table_is_a_line(capsys, monkeypatch) -> None:
    """`map | grep nG` finds lines that have their addresses; COLUMNS is obeyed by whoever sets it."""
    monkeypatch.delenv("COLUMNS", raising=False)
    capture = str(ROOT / "fixtures/captures/access-flag.core")
    lines = printed(capsys, "map", "-s", capture).splitlines()
    assert len([line for line in lines if "all one page" in line and line.startswith("0x")]) == 9
    assert not [line for line in takewhile(bool, lines[2:]) if line.startswith("  ")]
    monkeypatch.setenv("COLUMNS", "80")
    assert "all one page" not in printed(capsys, "map", "-s", capture)


def test_so_it_is_in_a_file(capsys, tmp_path: Path) -> None:
    file = tmp_path / "map.txt"
    capture = str(ROOT / "fixtures/captures/access-flag.core")
    assert printed(capsys, "map", "-s", capture, "-o", str(file)) == ""
    assert max(map(len, file.read_text().splitlines())) > 80


def beside(tmp_path: Path) -> Path:
    """Return a folder with a source, what names it otherwise, and what is read with it."""
    shutil.copy(OSV, tmp_path / "o.core")
    (tmp_path / "link.core").symlink_to("o.core")
    (tmp_path / "r.json").write_text('{"TCR_EL1": "0x1"}')
    shutil.copy(ROOT / "fixtures/guests/access_flag/access_flag.elf", tmp_path / "e.elf")
    return tmp_path


@pytest.mark.parametrize(
    "line",
    [
        "fault -s o.core -o o.core",
        "fault -s o.core -o ./o.core",
        "fault -s o.core -o link.core",
        "fault -s link.core -o o.core",
        "find-roots -s o.core --write o.core",
        "capture -s o.core link.core",
        "redact -s o.core o.core",
        "diff o.core o.core -o link.core",
        "map -s o.core@0x40000000 --arch aarch64 -o o.core",
        "regs -s o.core --registers r.json -o r.json",
        "regs -s o.core --elf e.elf -o e.elf",
        "esr 0x96000006 --elf e.elf -o e.elf",
        "diff o.core o.core --after-registers r.json -o r.json",
        "trace o.core --perfetto link.core",
        "capture -s o.core new.core -o ./new.core",
        "open o.core -c 'fault > o.core'",
        "open o.core -c 'fault >> link.core'",
        "open o.core -c 'fault -o o.core'",
        "open o.core -c 'capture new.core > new.core'",
        "open o.core --elf e.elf -c 'capture e.elf'",
    ],
)
def test_what_is_read_is_not_written_over_whatever_it_is_called(
    capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    folder = beside(tmp_path)
    before = {each.name: each.read_bytes() for each in folder.iterdir()}
    monkeypatch.chdir(folder)
    assert main(shlex.split(line)) == 4
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert "name another file" in err
    assert {each.name: each.read_bytes() for each in folder.iterdir()} == before


def test_a_device_may_be_written_twice(capsys) -> None:
    assert main(["capture", "-s", OSV, "/dev/null", "-o", "/dev/null"]) == 0
    assert capsys.readouterr() == ("", "")

"""What README and docs/ show is what is printed now, and what they name is there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gdbtools.analysis.faults.diagnosis import Verdict
from gdbtools.analysis.faults.spurious_model import SpuriousCause
from gdbtools.arch import ARCHITECTURES
from gdbtools.cli import main
from gdbtools.commands import COMMANDS
from tests.places import ROOT
from tests.transcripts import GUEST_PROMPTS, PAGES, SHELL, Block, Transcript, blocks, blocks_of, compare

NEEDS_A_GUEST = frozenset({"attach", "demo", "mcp", "open", "run"})
PIPE = "|"
TYPED_WHOLE = "docs/tutorial.md"
"""tests/test_tutorial.py types all of it."""


def offline(block: Block) -> list[Transcript]:
    """Return what a file can answer, and is shown with an answer."""
    return [
        each
        for each in block.transcripts
        if each.typed.startswith(f"{SHELL}gdbtools ") and each.words[1] not in NEEDS_A_GUEST and each.shown
    ]


OFFLINE = [each for block in blocks() if not block.mark and block.page != TYPED_WHOLE for each in offline(block)]


@pytest.mark.parametrize("transcript", OFFLINE, ids=str)
def test_each_transcript_of_the_shell_is_what_the_command_prints_now(
    transcript: Transcript, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    if PIPE in transcript.words:
        compare(piped(transcript), transcript)
    else:
        assert main(transcript.words[1:]) in (0, 1)
        compare(capsys.readouterr().out, transcript)


def piped(transcript: Transcript) -> str:
    """Return what a pipeline prints, whose first program is this environment's."""
    reader = transcript.words[transcript.words.index(PIPE) + 1]
    if shutil.which(reader) is None:
        pytest.skip(f"{reader} is not installed; install it: sudo apt-get install {reader}")
    command = transcript.command.replace("gdbtools", f"{shlex.quote(sys.executable)} -m gdbtools.cli", 1)
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, timeout=120).stdout


def test_what_is_compared_is_what_there_is() -> None:
    """Every command that only looks at a file and is shown with its answer: none is lost by how the page is written."""
    assert {each.words[1] for each in OFFLINE} == {
        "audit",
        "esr",
        "explain",
        "fault",
        "find-roots",
        "map",
        "regs",
        "rmap",
        "status",
        "tables",
        "walk",
    }
    sources = {word for each in OFFLINE for word in each.words if word.startswith("fixtures/")}
    assert all((ROOT / source).is_file() for source in sources)


def test_each_transcript_of_a_guest_is_typed_again_by_one_test() -> None:
    shown = [block for block in blocks() if block.page != TYPED_WHOLE]
    unmarked = [
        each
        for block in shown
        for each in block.transcripts
        if not block.mark and each.shown and (each.typed.startswith(GUEST_PROMPTS) or each not in OFFLINE)
    ]
    assert unmarked == []
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    marks = [block.mark for block in shown if block.mark]
    assert len(marks) >= 9
    assert {mark: len(re.findall(rf'marked\("{mark}"\)', tests)) for mark in marks} == dict.fromkeys(marks, 1)


def test_a_transcript_ends_where_the_next_command_begins() -> None:
    page = "```\n$ gdbtools esr 1    # why\nfirst\n\nsecond\n...\n\n(gdb) mmu walk 0\nthird\n```\n"
    (block,) = blocks_of(page)
    first, second = block.transcripts
    assert (first.words, first.shown) == (["gdbtools", "esr", "1"], ("first", "", "second", "..."))
    assert (second.command, second.shown) == ("mmu walk 0", ("third",))
    assert offline(block) == [first]


@pytest.mark.parametrize("printed", ["one\ntwo\nfour", "two\nthree", "one\ntwo\n\nfive", "zero\none\ntwo\nthree"])
def test_what_is_printed_otherwise_is_seen(printed: str) -> None:
    transcript = Transcript("$ gdbtools esr 1", ("one", "two", "...", "three"))
    compare("one\ntwo\nmore\nthree", transcript)
    with pytest.raises(AssertionError, match="the page shows"):
        compare(printed, transcript)


def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    said = re.findall(r"(?m)^#+ (.*)$", page.read_text())
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in said}


@pytest.mark.parametrize("name", [*PAGES, "CONTRIBUTING.md", "CHANGELOG.md"])
def test_every_link_leads_somewhere(name: str) -> None:
    page = ROOT / name
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not target.startswith("https://"):
            path, _, anchor = target.partition("#")
            there = page.parent / path if path else page
            assert there.exists(), f"{name} links to {target}"
            assert not anchor or anchor in headings(there), f"{name} links to {target}"


def test_every_page_can_be_found_from_readme() -> None:
    found, ahead = set[str](), ["README.md"]
    while ahead:
        name = ahead.pop()
        found.add(name)
        page = ROOT / name
        targets = re.findall(r"\]\(([^)\s#]+\.md)", page.read_text())
        there = {str((page.parent / target).resolve().relative_to(ROOT)) for target in targets if "//" not in target}
        ahead += sorted(there - found - {*ahead})
    assert set(PAGES) <= found


def test_every_test_and_folder_that_a_page_names_is_there() -> None:
    for name, page in PAGES.items():
        new = set(re.findall(r"(?m)^`([\w/.]+)`:$", page.read_text()))
        for path in re.findall(r"`((?:tests|fixtures|bench|gdbtools|gdbinit\.d)/[a-z_][\w./-]*)`", page.read_text()):
            assert path in new or (ROOT / path).exists(), f"{name} names {path}"


def test_the_verdicts_are_those_of_json() -> None:
    table = PAGES["docs/verdicts.md"].read_text().partition("\n| verdict |")[2].partition("\n\n")[0].splitlines()[2:]
    said = [line.split(" | ")[1] for line in table]
    assert said == [f"`{verdict.label}`" for verdict in Verdict]


def test_each_verdict_and_cause_names_its_test_on_each_architecture() -> None:
    table = (
        PAGES["docs/verdicts.md"].read_text().partition("\n| verdict or cause |")[2].partition("\n\n")[0].splitlines()
    )
    assert len(table) > 2 + len(SpuriousCause)
    for line in table[2:]:
        name, *cells = line.strip("| ").split(" | ")
        assert len(cells) == len({each.title.split()[0] for each in ARCHITECTURES.identities})
        for cell in cells:
            tests = re.findall(r"\[`(test_\w+)`\]\(\.\./([\w/]+\.py)\)", cell)
            assert tests or cell.startswith("none: "), f"{name}: {cell}"
            for test, path in tests:
                assert f"\ndef {test}(" in (ROOT / path).read_text(), f"{name}: {path} has no {test}"


def test_every_command_that_changes_a_guest_s_tables_is_in_the_page_on_repair() -> None:
    page = PAGES["docs/repair.md"].read_text()
    table = page.partition("| command |")[2].partition("\n\n")[0]
    named = set(re.findall(r"(?m)^\| `([\w-]+)", table))
    # `who` runs a recording, and writes nothing.
    assert named == {name for name, command in COMMANDS.items() if command.changes_guest} - {"who"}

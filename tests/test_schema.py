"""The published schema is tight: what is no answer is refused, and its lists are those of the code."""

from __future__ import annotations

import contextlib
import copy
import enum
import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from gdbtools.analysis.comparison.compared_attributes import Aspect
from gdbtools.analysis.comparison.difference import ChangeKind
from gdbtools.analysis.comparison.regime_difference import RegimeAspect
from gdbtools.analysis.contiguity import Breach
from gdbtools.analysis.faults.belonging import BelongingEvidence
from gdbtools.analysis.faults.diagnosis import Verdict
from gdbtools.analysis.faults.spurious_causes import SpuriousCause, Weight
from gdbtools.arch.capabilities import DirtyConvention
from gdbtools.arch.gadgets import Extent, Need
from gdbtools.arch.model import AccessKind, AddressMeaning, EntryKind, FaultKind, Return
from gdbtools.arch.table_heuristics import Owner
from gdbtools.cli import main
from gdbtools.commands import COMMANDS
from gdbtools.repair.log import Way
from gdbtools.repair.probe import ProbeVerdict
from gdbtools.repair.sampling import Method
from gdbtools.systems.guest_frames import FrameMark
from gdbtools.wording import name_of
from tests import schema
from tests.places import ROOT

pytestmark = pytest.mark.skipif(not schema.THERE, reason=schema.MISSING)

CAPTURES = "fixtures/captures"
QUESTIONS = f"""
status -s {CAPTURES}/linux-6.1.core
regs -s {CAPTURES}/osv-1131.core
regs TCR_EL1.HA -s {CAPTURES}/osv-1131.core
esr 0x62141c7c
esr -s {CAPTURES}/osv-1131.core
walk $FAR_EL1 $pc 0x1000 -s {CAPTURES}/osv-1131.core --access write --with TCR_EL1.HPD0=1
map 0x100000000000,+0x200000 -s {CAPTURES}/osv-1131.core --areas
map --limit 3 -s {CAPTURES}/linux-6.1.core
fault -s {CAPTURES}/osv-1131.core
fault -s {CAPTURES}/access-flag.core
explain fixtures/logs/linux-6.1-null-write.log
explain fixtures/logs/linux-6.1-process.log
explain fixtures/logs/README.md
fixup --dry-run -s {CAPTURES}/access-flag.core
pte $FAR_EL1 AF=1 --dry-run -s {CAPTURES}/access-flag.core
pte 0x00687fff84000703
clear-af 0x40204000,+0x4000 --dry-run -s {CAPTURES}/access-flag.core
capture made.core -s {CAPTURES}/access-flag.core
redact made.core -s {CAPTURES}/access-flag.core
find-roots -s {CAPTURES}/access-flag.core
tables -s {CAPTURES}/access-flag.core
rmap 0x40000000 -s {CAPTURES}/access-flag.core
guests -s {CAPTURES}/verdicts/set_way.core
stage2 --root 0x40206000 --with VTCR_EL2=0x80023558 -s {CAPTURES}/access-flag.core
audit -s {CAPTURES}/access-flag.core
diff {CAPTURES}/osv-1131.core {CAPTURES}/access-flag.core
report 0x1000 -s {CAPTURES}/access-flag.core
trace faults.jsonl
""".strip().splitlines()


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """An answer of each command that looks at a file, as other faces give the same ones."""
    folder, before = tmp_path_factory.mktemp("answers"), Path.cwd()
    (folder / "fixtures").symlink_to(ROOT / "fixtures")
    (folder / "faults.jsonl").write_text("")
    printed = io.StringIO()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(printed):
            for question in QUESTIONS:
                assert main([*shlex.split(question), "--json"]) in (0, 1), question
    finally:
        os.chdir(before)
    return [json.loads(line) for line in printed.getvalue().splitlines()]


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Yield every value of an answer, with the way to it; of a list only the first and the last."""
    yield path, value
    if isinstance(value, dict):
        for key, each in value.items():
            yield from places(each, (*path, key))
    elif isinstance(value, list):
        for at in sorted({0, len(value) - 1} if value else ()):
            yield from places(value[at], (*path, at))


def changed(answer: dict[str, Any], path: Sequence[str | int], value: Any) -> dict[str, Any]:
    """Return an answer in which something else is at a place."""
    made = copy.deepcopy(answer)
    at: Any = made
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return made


def wrong(answer: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what is no answer, and what is wrong with it."""
    for path, value in places(answer):
        where = "/".join(map(str, path))
        if isinstance(value, dict) and path:
            yield f"a list at {where}", changed(answer, path, [value])
        if isinstance(value, dict) and path != ("result",):
            # Of what may have any name, a key that is none.
            yield f"an unknown key in {where}", changed(answer, (*path, "no such key!"), "0x0")
        if isinstance(value, str) and re.fullmatch("0x[0-9a-f]+", value):
            yield f"a number at {where}", changed(answer, path, int(value, 16))
            yield f"upper case at {where}", changed(answer, path, value.replace("0x", "0X"))
        if isinstance(value, bool):
            yield f"a word at {where}", changed(answer, path, "true")
        elif isinstance(value, int):
            yield f"a string at {where}", changed(answer, path, hex(value))


def test_every_command_s_answer_is_as_the_schema_has_it(answers: list[dict[str, Any]]) -> None:
    assert [schema.mistakes(each) for each in answers] == [[]] * len(answers)
    # Those of `tasks`, which want a stock kernel's memory, are held to it in tests/guests/test_tasks.py.
    asked = {each["command"] for each in answers} | {"tasks"}
    assert asked == {name for name, each in COMMANDS.items() if not each.live_only}


def test_what_is_no_answer_is_refused(answers: list[dict[str, Any]]) -> None:
    tried, taken = 0, list[str]()
    for answer in answers:
        for what, made in wrong(answer):
            tried += 1
            taken += [] if schema.mistakes(made) else [f"{answer['command']}: {what}"]
    assert taken == []
    assert tried > 2000


def test_no_key_may_be_left_out_but_those_that_come_with_a_question(answers: list[dict[str, Any]]) -> None:
    """Whatever is always there is asked for: what may be dropped from these answers is named here."""
    may_be_absent = set[str]()
    for answer in answers:
        for path, value in places(answer):
            if isinstance(value, dict) and path:
                for key in value:
                    made = copy.deepcopy(answer)
                    at: Any = made
                    for step in path:
                        at = at[step]
                    del at[key]
                    if not schema.mistakes(made) and not is_open(path):
                        may_be_absent.add(f"{answer['command']} {key}")
    assert may_be_absent == {"walk supposing", "stage2 supposing", "map areas", "map rest"}


OPEN = frozenset({"fields", "rights", "leaves", "registers", "abilities", "accesses", "spared", "controls"})
"""What has keys of the machine's own: registers, levels of privilege, addresses."""


def is_open(path: Sequence[str | int]) -> bool:
    return path[-1] in OPEN


def test_the_envelope_is_refused_without_its_parts(answers: list[dict[str, Any]]) -> None:
    answer = answers[0]
    for key in ("schema", "version", "command", "result"):
        assert schema.mistakes({name: each for name, each in answer.items() if name != key}), key
    assert schema.mistakes(answer | {"schema": "gdbtools/2"})
    assert schema.mistakes(answer | {"command": "no such"})
    assert schema.mistakes(answer | {"command": "regs"}), "the answer of another command"
    assert schema.mistakes(answer | {"assumed": []})
    assert not schema.mistakes(answer | {"assumed": ["a sentence"]})


def definition(name: str) -> Any:
    return schema.published()["$defs"][name]


LISTS: tuple[tuple[Sequence[str], type[enum.Enum], bool], ...] = (
    (("fault_kind",), FaultKind, False),
    (("access_kind",), AccessKind, False),
    (("entry_kind",), EntryKind, True),
    (("need",), Need, False),
    (("way",), Way, False),
    (("breach",), Breach, False),
    (("probe_verdict",), ProbeVerdict, False),
    (("fault_result", "properties", "verdict"), Verdict, False),
    (("evidence", "properties", "kind"), BelongingEvidence, False),
    (("suspicion", "properties", "cause"), SpuriousCause, False),
    (("suspicion", "properties", "weight"), Weight, False),
    (("address_meaning",), AddressMeaning, False),
    (("frame_mark",), FrameMark, False),
    (("syndrome", "properties", "returns_to"), Return, False),
    (("syndrome_result", "properties", "returns_to"), Return, False),
    (("invalidation", "properties", "scopes", "items", "properties", "extent"), Extent, False),
    (("root", "properties", "owner"), Owner, True),
    (("working_set_result", "properties", "method"), Method, False),
    (("diff_result", "properties", "changes", "items", "properties", "kind"), ChangeKind, False),
    (("diff_result", "properties", "regimes", "items", "properties", "differing", "items"), RegimeAspect, False),
)
"""Where a list is, whose members it has, and whether they have labels of their own."""


@pytest.mark.parametrize(("place", "members", "labelled"), LISTS, ids=lambda each: getattr(each, "__name__", None))
def test_the_lists_are_those_of_the_code(place: Sequence[str], members: Any, labelled: bool) -> None:
    found = schema.published()["$defs"]
    for key in place:
        found = found[key]
    assert found["enum"] == [each.label if labelled else name_of(each) for each in members]


def test_so_are_those_that_have_values_for_names() -> None:
    assert definition("aspect")["enum"] == [each.value for each in Aspect]
    assert definition("dirty_convention")["enum"] == [each.value for each in DirtyConvention]
    assert schema.published()["properties"]["command"]["enum"] == list(COMMANDS)


def test_it_is_closed_and_nothing_in_it_is_left_over() -> None:
    whole = schema.published()
    used = set(re.findall(r'"#/\$defs/(\w+)"', json.dumps(whole)))
    assert used == set(whole["$defs"])
    for path, value in places(whole):
        # An object with keys of its own, but not what `if` only asks about.
        if isinstance(value, dict) and value.get("type") == "object" and "properties" in value:
            assert value["additionalProperties"] is False, path
    described = [name for name, each in whole["$defs"].items() if name.endswith("_result") and not each["description"]]
    assert described == []


def test_the_page_on_json_shows_how_to_use_it(answers: list[dict[str, Any]]) -> None:
    pytest.importorskip("jsonschema", reason="jsonschema is not installed: pip install jsonschema")
    (program,) = re.findall(r"(?s)python3 -c '\n(.*?)'\n```", (ROOT / "docs/json.md").read_text())
    fine = next(each for each in answers if each["command"] == "status")
    for answer, status in ((fine, 0), (fine | {"version": 1}, 1)):
        done = subprocess.run(
            [sys.executable, "-c", program], input=json.dumps(answer), cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == status, done.stderr

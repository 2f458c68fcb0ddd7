"""`-mmu --prompt`: what a prompt outside GDB is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gdbtools.errors import crossed
from gdbtools.render.document_json import document_of
from gdbtools.render.text import render
from tests.live.session import Live, Session, symbol

pytestmark = pytest.mark.guest


def told(session: Session, command: str) -> dict[str, Any]:
    reply = session.gdb.run(f"-mmu --prompt {command}")
    assert not reply.error, reply.error
    line = reply.results.get("answer") or next(each for each in reply.text.splitlines() if each.startswith("{"))
    return json.loads(line)


@pytest.mark.parametrize("command", ["status", "fault", f"walk {symbol('vectors'):#x}", "map", "regs tcr"])
def test_the_documents_say_what_gdb_prints(shared_fault: Live, command: str) -> None:
    answer = told(shared_fault, command)
    documents = [document_of(each) for each in answer["documents"]]
    assert "\n".join(render(each, width=80, fit=True) for each in documents) == shared_fault.say(f"mmu {command}")
    assert (answer["schema"], answer["command"]) == ("gdbtools/1", command.split()[0])


def test_with_json_the_lines_are_those_of_the_mi_command(shared_fault: Live) -> None:
    lines = told(shared_fault, "walk $pc 0xdead000 --json")["lines"]
    assert [json.loads(line)["result"] for line in lines] == shared_fault.ask_mi("walk $pc 0xdead000")


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("walk 0x40200000", 0, ""),
        ("walk 0xdead000", 1, ""),
        ("fault", 1, ""),
        ("walk", 2, "ADDRESS is missing"),
        ("walk nosuch", 2, "give an address"),
        ("nosuch", 2, "there is no command 'nosuch'; they are status, regs"),
        ("regs TCR_EL9", 2, "is not a register that is decoded"),
        ("capture /nonexistent/file", 3, "/nonexistent/file"),
        ("pte 0x40200000 AF=1", 4, "nothing to write"),
        ("walk --help", 0, ""),
    ],
)
def test_the_status_is_that_of_the_command_line(shared_fault: Live, command: str, status: int, said: str) -> None:
    answer = told(shared_fault, command)
    assert answer["status"] == status
    assert ("error" in answer) == (status > 1)
    if status > 1:
        error = crossed(answer["error"])
        assert said in str(error)
        assert error.status == status


def test_what_is_attached_to_nothing_says_so(alone: Session) -> None:
    answer = told(alone, "status")
    assert answer["status"] == 3
    assert "nothing is attached" in str(crossed(answer["error"]))


def test_a_command_that_resumes_leaves_that_to_the_prompt(at_fault: Live) -> None:
    before = at_fault.value("$x30")
    answer = told(at_fault, "fixup --resume")
    assert answer["resumes"] is True
    assert at_fault.value("$x30") == before, "it has not run"
    assert told(at_fault, "fault")["resumes"] is False


def test_a_service_answers_on_the_console(at_fault: Live) -> None:
    at_fault.say("delete")
    answer = told(at_fault, "service --count 3")
    assert render(document_of(answer["documents"][0])).startswith("3 access-flag faults repaired")


def test_physical_mode_is_off_after_every_answer(shared_fault: Live) -> None:
    for command in ("map", "walk 0xdead000", "walk nosuch", "capture /nonexistent/file"):
        told(shared_fault, command)
        assert shared_fault.physical_mode() == "0"


def test_a_command_of_gdb_s_is_explained_in_a_sentence(alone: Session) -> None:
    assert alone.gdb.run("-mmu --explain hbreak").results == {"explanation": "Set a hardware assisted breakpoint."}
    assert alone.gdb.run("-mmu --explain nosuch").results == {"explanation": ""}

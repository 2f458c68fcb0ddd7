"""One model behind each face: `mmu COMMAND --json`, `-mmu COMMAND`, and what the text says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gdbtools.commands import COMMANDS
from tests.live.session import CAPTURE, Leaf, Live, Session, attached, symbol

pytestmark = pytest.mark.guest

ADDRESSES = f"{symbol('vectors'):#x} {Leaf(4, 1 << 44, 3).word:#x} 0xdead000"
LOCAL = f"{Leaf(4, 1 << 44, 3).word:#x}"
WORDS = {
    "walk": f"walk {ADDRESSES}",
    "catch": "catch any",
    "fixup": "fixup --resume",
    "service": "service --count 3",
    "watch": f"watch {ADDRESSES.split()[0]}",
    "pte": f"pte {LOCAL} AF=1 SOFTWARE=3",
    "clear-af": "clear-af &regions",
    "working-set": "working-set 0x600000000000,+0x8000 --interval 600 --everywhere",
    "tlbi": f"tlbi {LOCAL}",
    "probe": f"probe {LOCAL} --overwrite",
    "undo": "undo",
    "diff": f"diff {CAPTURE}",
}
OF_RECORDINGS = ("who",)
"""Commands that want a guest which is replayed: test_who.py."""
THAT_CHANGE = [name for name, command in COMMANDS.items() if command.changes_guest and name not in OF_RECORDINGS]
OF_THE_MOMENT = ("seconds", "began")


def timeless(answer: Any) -> Any:
    if isinstance(answer, dict):
        return {key: timeless(value) for key, value in answer.items() if key not in OF_THE_MOMENT}
    return [timeless(each) for each in answer] if isinstance(answer, list) else answer


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in (*THAT_CHANGE, *OF_RECORDINGS)])
def test_gdb_and_mi_give_the_same_model(shared_fault: Live, tmp_path: Path, name: str) -> None:
    (tmp_path / "log").touch()
    files = {each: f"{each} {tmp_path / 'core'}" for each in ("capture", "redact")}
    files |= {"trace": f"trace {tmp_path / 'log'}"}
    command = files.get(name) or WORDS.get(name, name)
    shared_fault.say("delete")
    console = shared_fault.ask(command)
    shared_fault.say("delete")
    mi = shared_fault.ask_mi(command)
    for answer in (*console, *mi):
        for place in (*answer.get("breakpoints", ()), *answer.get("watchpoints", ())):
            del place["number"]
    assert console == mi
    assert console


@pytest.mark.parametrize("name", THAT_CHANGE)
def test_gdb_and_mi_give_the_same_model_of_what_changes_the_guest(qemu: str, gdb_path: str, name: str) -> None:
    """Each in a guest of its own, at the same deterministic fault."""
    with attached(gdb_path) as one, attached(gdb_path) as other:
        for each in (one, other):
            # In the vectors nothing may be probed.
            each.to_scan() if name == "probe" else each.to_fault()
            if name == "undo":
                each.ask(WORDS["pte"])
            if name == "working-set":
                each.say("hbreak sum_words")
        assert timeless(one.ask(WORDS[name])) == timeless(other.ask_mi(WORDS[name]))
        assert one.state() == other.state()


def test_walk_gives_an_answer_for_each_address_in_order(shared_fault: Live) -> None:
    answers = shared_fault.ask(f"walk {ADDRESSES}")
    assert [int(each["input"], 16) for each in answers] == [int(each, 16) for each in ADDRESSES.split()]
    assert [each["outcome"] for each in answers] == ["mapped", "fault", "fault"]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("$pc", symbol("vectors") + 0x200),
        ("&vectors", symbol("vectors")),
        ("vectors", symbol("vectors")),
        ('"(char *)&vectors + 4"', symbol("vectors") + 4),
        ("$x0", 0x600000000010),
        ("-1", 2**64 - 1),
        ("0xffff900000000000", 0xFFFF900000000000),
    ],
)
def test_an_address_is_an_expression_of_gdb(shared_fault: Live, expression: str, value: int) -> None:
    (answer,) = shared_fault.ask(f"walk {expression}")
    assert int(answer["input"], 16) == value


def test_an_unknown_mi_command_names_those_there_are(alone: Session) -> None:
    assert "status, regs, esr, walk" in alone.refusal("-mmu nosuch")
    assert "status, regs, esr, walk" in alone.refusal("-mmu")
    assert "nothing is attached" in alone.refusal("-mmu status")

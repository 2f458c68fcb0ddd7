"""In each GDB `-mmu COMMAND` gives what `mmu COMMAND --json` gives; tests/test_faces.py has every face and command."""

from __future__ import annotations

from pathlib import Path

import pytest

from gdbtools.commands import COMMANDS
from tests.live.session import CAPTURE, Leaf, Live, Session, symbol

pytestmark = pytest.mark.guest

ADDRESSES = f"{symbol('vectors'):#x} {Leaf(4, 1 << 44, 3).word:#x} 0xdead000"
WORDS = {
    "walk": f"walk {ADDRESSES}",
    "rmap": f"rmap {ADDRESSES}",
    "catch": "catch any",
    "watch": f"watch {ADDRESSES.split()[0]}",
    "diff": f"diff {CAPTURE}",
    # The guest's CPU has no EL2.
    "stage2": "stage2 --root 0x40200000 --with VTCR_EL2=0x80023558 --with HCR_EL2=1",
}


OF_KERNELS = ("tasks",)
"""Which wants a stock kernel, and says so here: tests/guests/test_tasks.py."""


@pytest.mark.parametrize(
    "name", [name for name, command in COMMANDS.items() if not command.changes_guest and name not in OF_KERNELS]
)
def test_gdb_and_mi_give_the_same_model(shared_fault: Live, tmp_path: Path, name: str) -> None:
    (tmp_path / "log").touch()
    files = {each: f"{each} {tmp_path / 'core'}" for each in ("capture", "redact")}
    files |= {each: f"{each} {tmp_path / 'log'}" for each in ("trace", "explain")}
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
    assert "status, regs, syndrome, walk" in alone.refusal("-mmu nosuch")
    assert "status, regs, syndrome, walk" in alone.refusal("-mmu")
    assert "nothing is attached" in alone.refusal("-mmu status")

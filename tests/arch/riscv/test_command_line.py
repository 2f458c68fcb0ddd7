"""`walk` on a file of RAM and one of registers says what the library says, and what the manual's algorithm says.

The form is that in which answers from elsewhere are compared: `fault.status` is the scause.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gdbtools.cli import main
from gdbtools.errors import Unreadable
from tests.arch.riscv import reference
from tests.arch.riscv.machine import RAM, RAM_END, Hart
from tests.arch.riscv.test_against_reference import some_address, some_hart

STATES, ACCESSES = 50, 6
"""What is drawn for each width, and how often each state is asked."""
WORDS = {"read": "read", "write": "write", "fetch": "execute"}


def given(hart: Hart, folder: Path) -> list[str]:
    """Write a hart's RAM, most of it a hole, and its registers; return the options that name them."""
    image, registers = folder / "ram.bin", folder / "registers.json"
    with image.open("wb") as ram:
        ram.truncate(RAM_END - RAM)
        for at, entry in hart.memory.items():
            ram.seek(at - RAM)
            ram.write(entry.to_bytes(hart.xlen // 8, "little"))
    registers.write_text(json.dumps({name: hex(value) for name, value in hart.regs.items()}))
    return ["-s", f"{image}@{RAM:#x}", "--registers", str(registers), "--arch", f"riscv{hart.xlen}", "--json"]


def outcome(answer: dict[str, Any]) -> tuple[str, int]:
    """Return ("fault", scause) or ("mapped", physical address), as an answer in JSON has it."""
    result = answer["result"]
    fault = result.get("fault")
    return ("fault", int(fault["status"], 0)) if fault else ("mapped", int(result["output"], 0))


@pytest.mark.parametrize("xlen", [64, 32])
def test_the_command_line_says_what_the_library_and_the_manual_say(
    xlen: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance, seen = random.Random(xlen * 8_151), Counter[str]()
    for number in range(STATES):
        hart = some_hart(chance, xlen)
        options = given(hart, tmp_path)
        for _ in range(ACCESSES):
            va, kind = some_address(chance, xlen), chance.choice([*WORDS])
            mode = chance.choice(("u", "s", "vu", "vs"))
            try:
                expected = reference.outcome(hart.regs, hart.load, va, kind, mode, xlen)
            except Unreadable:
                continue
            status = main(["walk", hex(va), *options, "--access", WORDS[kind], "--privilege", mode])
            found = outcome(json.loads(capsys.readouterr().out))
            where = (number, hex(va), kind, mode, {name: hex(value) for name, value in hart.regs.items()})
            assert found == expected == hart.outcome(va, kind, mode), where
            assert status == int(found[0] == "fault"), where
            seen[found[0] if found[0] == "mapped" else f"scause {found[1]}"] += 1
    assert {f"scause {code}" for code in (1, 5, 7, 12, 13, 15, 20, 21, 23)} < {*seen}, seen
    assert seen["mapped"] > STATES // 5, seen

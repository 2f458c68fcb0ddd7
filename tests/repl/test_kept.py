"""What one question of a prompt has worked out serves the next: where regimes lead is found out once."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext

import pytest

from gdbtools.analysis import reverse_index
from gdbtools.commands import COMMANDS
from gdbtools.machine.sources import open_source
from gdbtools.repl.command_line import Question
from gdbtools.repl.opened import Opened
from tests.places import ROOT

CAPTURE = str(ROOT / "fixtures/captures/osv-1131.core")


def test_a_second_question_looks_through_no_regime_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    build = reverse_index.ReverseIndex

    def counted(*given: object) -> object:
        made.append(given)
        return build(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(reverse_index, "ReverseIndex", counted)

    async def asked() -> list[int]:
        subject = Opened(lambda _: None, CAPTURE, None, lambda: nullcontext(open_source(CAPTURE)))
        await subject.open()
        counts = []
        for address in ("0x4180c000", "0x40000000"):
            await subject.ask(Question(COMMANDS["rmap"], (address,)))
            counts.append(len(made))
        return counts

    first, second = asyncio.run(asked())
    assert first == second == 2, "a regime each"

"""What `watch` and `who` say of a descriptor that becomes something else: the architecture's words, never a class's."""

from __future__ import annotations

import pytest

from gdbtools.addresses import VA
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import Regime
from gdbtools.commands.watch.run import changes, changes_text
from tests.arch.x86_64.machine import paged
from tests.tables import Tables, reader


def of_x86() -> tuple[Regime, int, int]:
    return paged(0x5007).regime(), 0, 0x5007


def of_arm() -> tuple[Regime, int, int]:
    t = Tables()
    t.map(0x1000, 0x8000_0000, AttrIndx=4, SH=3)
    regime = ARCHITECTURES["aarch64"].regime_for(reader(t.registers()), VA(0x1000))
    return regime, 0, 0x8000_0703


@pytest.mark.parametrize(("made", "absent"), [(of_x86, "not present"), (of_arm, "invalid entry")])
def test_an_entry_that_comes_to_map_a_page_is_said_to(made, absent: str) -> None:
    regime, *words = made()
    level = regime.levels[-1]
    before, after = (regime.decode(word.to_bytes(8, "little"), level) for word in words)
    assert changes_text(before, after) == f"{absent} -> page"
    assert changes_text(after, before) == f"page -> {absent}"
    assert [name for name, _ in changes(before, after)] == ["kind"]
    flagged = regime.decode((words[1] ^ 1 << 63 - 9).to_bytes(8, "little"), level)
    assert "Entry" not in changes_text(after, flagged)

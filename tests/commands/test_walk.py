"""`walk`: what it says besides the way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gdbtools.addresses import IPA, PA
from gdbtools.arch.model import Mapped
from gdbtools.commands.session import Session
from gdbtools.commands.walk.run import Options, run
from gdbtools.machine.sources import open_source
from tests.commands.test_diff import stage2_of


def test_a_symbol_is_of_a_virtual_address_and_of_no_intermediate_one(tmp_path: Path) -> None:
    """Stage 2 translates a guest's physical addresses, of which the value of a symbol says nothing."""
    source, registers = stage2_of(tmp_path, "guest")
    machine = replace(open_source(source, registers), named=lambda _: "somebody + 0")
    (found,) = run(Session(machine), Options(address=[IPA(0x4000_0000)], regime="stage2"))
    assert found.walk.outcome == Mapped(PA(0x8000_0000), 1 << 12)
    assert found.symbol == ""

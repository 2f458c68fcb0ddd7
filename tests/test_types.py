"""VA, IPA and PA are told apart: mypy refuses one where another is meant, and every such mistake is one line here."""

from __future__ import annotations

import pytest
from mypy import api

from tests.places import ROOT

BEGINNING = """\
from gdbtools.addresses import IPA, PA, VA
from gdbtools.arch.model import Mapped, Read, Regime, Run
from gdbtools.arch.walk import walk
from gdbtools.machine.live.qemu_ram import GuestRam
from gdbtools.machine.model import Machine, PhysicalMemory
from gdbtools.repair.change import Change


def said(
    va: VA, ipa: IPA, pa: PA, memory: PhysicalMemory, ram: GuestRam, regime: Regime, read: Read, machine: Machine,
    run: Run,
) -> object:
    found = walk(regime, va, read)
    outcome, destination = found.outcome, found.destination
    assert isinstance(outcome, Mapped) and destination is not None
"""
RIGHT = (
    "memory.read(pa, 8)",
    "memory.read(outcome.address, 8)",
    "ram.read(found.steps[0].pa, 8)",
    "walk(regime, ipa, read)",
    "machine.symbol(va)",
)
WRONG = {
    "memory.read(va, 8)": "a virtual address read as a physical one",
    "ram.read(ipa, 8)": "an intermediate physical address read from the host's RAM",
    "memory.read(destination.address, 8)": "what stage 1 gives read as if no stage 2 followed",
    "memory.read(regime.root, 8)": "a root read as if it could not be an intermediate physical address",
    "read(found.input, 8)": "the address that was asked about read, not where it leads",
    "memory.write(run.first, b'')": "a mapping's own address written, not what it maps",
    "walk(regime, pa, read)": "a physical address translated",
    "machine.symbol(pa)": "a symbol looked up at a physical address",
    "Change(va, found.steps[0].entry.word, found.steps[0].entry.word)": "a descriptor repaired at a virtual address",
    "memory.read(pa + 8, 8)": "arithmetic, which has to say again what it computed",
}


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return, of all snippets, those that mypy refuses and what it says; it checks them in one go."""
    folder = tmp_path_factory.mktemp("types")
    lines = {}
    written = BEGINNING
    for snippet in (*RIGHT, *WRONG):
        lines[written.count("\n") + 1] = snippet
        written += f"    {snippet}\n"
    path = folder / "snippets.py"
    path.write_text(written + "    return None\n")
    # The cache of a run over the package, where there is one: strict in the same way.
    words = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
    shown, errors, _ = api.run([*words, "--no-error-summary", "--hide-error-context", str(path)])
    assert not errors, errors
    found = {}
    for line in shown.splitlines():
        place, _, text = line.partition(": error: ")
        if text:
            number = int(place.rpartition(":")[2])
            assert number in lines, line
            found[lines[number]] = text
    return found


@pytest.mark.parametrize("snippet", WRONG, ids=WRONG.values())
def test_mistaking_one_kind_of_address_for_another_is_refused(snippet: str, refused: dict[str, str]) -> None:
    assert "incompatible type" in refused[snippet], refused


@pytest.mark.parametrize("snippet", RIGHT)
def test_what_is_meant_is_accepted(snippet: str, refused: dict[str, str]) -> None:
    assert snippet not in refused

"""What only looks changes nothing, and says live what it says offline."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile

from gdbtools.machine.live.gdbstub import architectural
from tests.live.session import CAPTURE, GUEST, Leaf, Live, attached, symbol
from tests.places import ROOT

pytestmark = pytest.mark.guest

ADDRESSES = [symbol("vectors"), Leaf(4, 1 << 44, 3).word, Leaf(16, 0xFFFF900000000000, 3).word, 0xDEAD000, 1 << 63]
WALK = "walk " + " ".join(f"{va:#x}" for va in ADDRESSES)
SUPPOSED = f"--with TCR_EL1.EPD1=1 --with SCTLR_EL1.WXN=1 --pte {symbol('vectors'):#x}.PXN=1"
LOOKING = [
    "status", "regs", "esr", "esr 0x96000010", WALK, f"{WALK} --access write --el 0", "fault", "fixup --dry-run", "map",
    "map --unaccessed --el1 --perm w", "map --physical 0x40200000,+0x1000", f"{WALK} {SUPPOSED}", f"map {SUPPOSED}",
    f"fault {SUPPOSED}", f"pte {Leaf(4, 1 << 44, 3).word:#x} AF=1 SH=2 --dry-run", "tlbi --dry-run",
    "clear-af &regions --dry-run", "find-roots",
]  # fmt: skip


NAMES = ("--elf", str(GUEST))
"""The names that GDB has of the file that it debugs."""


@pytest.fixture(scope="module")
def four_cpus(qemu: str, gdb_path: str) -> Iterator[Live]:
    """Four CPUs, of which the second is selected, one frame up from where it stands."""
    with attached(gdb_path, cpus=4) as live:
        live.to_fault()
        yield live


@pytest.fixture
def second_selected(four_cpus: Live) -> Live:
    four_cpus.say("thread 2")
    return four_cpus


def offline(words: list[str]) -> str:
    """Return what `gdbtools` prints, at the width that the GDBs of these tests have."""
    command = [sys.executable, "-m", "gdbtools.cli", *words]
    environment = {**os.environ, "COLUMNS": "80"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False).stdout


def without_next(said: str) -> str:
    """Leave out what can be done next: on a dump nothing can."""
    return "".join(line for line in said.splitlines(keepends=True) if not line.startswith("next "))


@pytest.mark.parametrize("command", LOOKING)
def test_looking_changes_nothing(shared_fault: Live, command: str) -> None:
    before = shared_fault.state()
    shared_fault.say(f"mmu {command}")
    assert shared_fault.state() == before
    assert before["mode"] == "0"


@pytest.mark.parametrize(
    "expression",
    [
        "$x0 = 1",
        "$x0=1",
        "$x1++",
        "0 + --$x2",
        "*(unsigned long *)&regions <<= 1",
        "$x3 |= 4, $pc",
        "(long) cpu_main(0)",
    ],
)
@pytest.mark.parametrize("command", ["walk", "report"])
def test_an_expression_that_would_change_the_guest_is_refused(
    shared_fault: Live, command: str, expression: str
) -> None:
    before = shared_fault.state()
    quoted = expression.replace('"', '\\"')
    assert "an address is only read" in shared_fault.refusal(f'mmu {command} "{quoted}"')
    assert shared_fault.state() == before
    assert "is on" in shared_fault.say("show may-call-functions"), "it is as it was"


def test_an_expression_may_compare_and_quote(shared_fault: Live) -> None:
    (answer,) = shared_fault.ask("walk \"($x0 == $x0) * (long) &cpu_main + (1 <= 2) + ('=' - 61)\"")
    assert int(answer["input"], 16) == symbol("cpu_main") + 1


def test_the_roots_in_memory_are_those_in_the_registers(shared_fault: Live) -> None:
    [found] = shared_fault.ask("find-roots")
    held = {name: shared_fault.value(f"${name}") for name in ("TTBR0_EL1", "TTBR1_EL1")}
    assert {each["register"]: int(each["root"], 16) for each in found["roots"]} == held
    assert all("held" in [one["sign"] for one in each["evidence"]] for each in found["roots"])
    assert found["total"] == 128 << 20, "all of the RAM, and nothing else"


def test_capturing_changes_nothing(shared_fault: Live, tmp_path: Path) -> None:
    before = shared_fault.state()
    shared_fault.say(f"mmu capture {tmp_path / 'core'}")
    assert shared_fault.state() == before


@pytest.mark.parametrize("command", [*LOOKING, "capture"])
def test_the_selected_cpu_and_frame_stay_selected(second_selected: Live, tmp_path: Path, command: str) -> None:
    before = second_selected.state()
    assert before["selected"] == [2, 0]
    if command in ("fault", "fixup --dry-run"):
        # The second CPU has had no exception.
        second_selected.gdb.run(f"mmu {command}")
    else:
        second_selected.say(f"mmu {command}" + (f" {tmp_path / 'core'}" if command == "capture" else ""))
    assert second_selected.state() == before


def test_a_capture_has_the_registers_of_each_cpu_and_remembers_the_selected(
    second_selected: Live, tmp_path: Path
) -> None:
    core = tmp_path / "core"
    assert second_selected.ask(f"capture {core}")[0]["cpus"] == 4
    for cpu in range(4):
        second_selected.say(f"thread {cpu + 1}")
        live = second_selected.ask("regs")
        said = offline(["regs", "-s", str(core), "--json", "--cpu", str(cpu)]).splitlines()
        assert [json.loads(line)["result"] for line in said] == live
    selected = json.loads(offline(["status", "-s", str(core), "--json"]))
    assert selected["result"]["cpu"] == 1


@pytest.fixture(scope="module")
def just_captured(shared_fault: Live, tmp_path_factory: pytest.TempPathFactory) -> Path:
    core = tmp_path_factory.mktemp("captures") / "core"
    shared_fault.say(f"mmu capture {core}")
    return core


@pytest.mark.parametrize("command", ["fault", "regs", "esr", "fixup --dry-run", WALK, f"{WALK} --access write --el 0"])
def test_a_command_says_live_to_the_letter_what_it_says_of_the_capture(
    shared_fault: Live, just_captured: Path, command: str
) -> None:
    live = shared_fault.say(f"mmu {command}")
    assert without_next(live) == offline([*command.split(), "-s", str(just_captured), *NAMES])
    assert live.strip()


@pytest.mark.parametrize("command", ["fault", "regs", WALK])
def test_the_recorded_fault_is_this_fault(shared_fault: Live, command: str) -> None:
    live = shared_fault.say(f"mmu {command}")
    assert without_next(live) == offline([*command.split(), "-s", str(CAPTURE), *NAMES])


def parts(core: Path) -> tuple[list[bytes], dict[str, Any], dict[int, bytes]]:
    """Return the CPUs' notes of a core, what our own says, and its memory by physical address."""
    with core.open("rb") as file:
        found = [*ELFFile(file).iter_segments()]
        notes = [note for each in found if each["p_type"] == "PT_NOTE" for note in each.iter_notes()]
        own = [note["n_descdata"] for note in notes if note["n_name"] == "gdbtools"]
        others = [note["n_descdata"] for note in notes if note["n_name"] != "gdbtools"]
        memory = {each["p_paddr"]: each.data() for each in found if each["p_type"] == "PT_LOAD"}
        return others, json.loads(b"".join(own)), memory


def test_the_capture_is_the_recorded_one_again(just_captured: Path) -> None:
    """And has besides what is kept since: the instruction at ELR, where there is memory, and three registers more."""
    (notes, told, memory), (recorded_notes, recorded_told, recorded) = parts(just_captured), parts(CAPTURE)
    assert notes == recorded_notes
    assert told.pop("memory") == [["0x40000000", "0x8000000"]]
    (cpu,), (recorded_cpu,) = told.pop("cpus"), recorded_told.pop("cpus")
    assert recorded_cpu["registers"].items() <= cpu["registers"].items()
    assert cpu["registers"].keys() - recorded_cpu["registers"].keys() == {
        "CSSELR_EL1",
        "CTR_EL0",
        "DACR32_EL2",
    }
    assert told == recorded_told
    assert recorded.items() <= memory.items()
    assert [len(memory[pa]) for pa in memory.keys() - recorded.keys()] == [4]


def test_a_value_of_a_register_is_decoded_without_a_word_to_the_guest(shared_fault: Live) -> None:
    """Nothing tells it from the same question where there is no guest at all."""
    before = shared_fault.state()
    command = "regs ESR=96000046 TCR_EL2=80803520"
    assert shared_fault.say(f"mmu {command}") == offline(command.split())
    assert shared_fault.state() == before


@pytest.mark.parametrize("command", ["pte 0040000040211703", "pte 40000705 --level 1"])
def test_a_value_of_a_descriptor_is_decoded_by_the_regime_in_force_and_changes_nothing(
    shared_fault: Live, command: str
) -> None:
    before = shared_fault.state()
    said, alone = shared_fault.say(f"mmu {command}"), offline(command.split())
    assert said.splitlines()[0] == alone.splitlines()[0]
    assert "EL1&0 stage 1, TTBR0_EL1, 4KB granule: the registers have that in force" in said
    assert "not known without registers" in " ".join(alone.split())
    assert shared_fault.state() == before


@pytest.mark.parametrize("name", ["VBAR_EL1", "ELR_EL1", "TTBR0_EL1"])
def test_a_register_is_an_address_whatever_the_stub_calls_it(shared_fault: Live, name: str) -> None:
    [register] = shared_fault.ask(f"regs {name}")
    [walked] = shared_fault.ask(f"walk ${name}")
    assert walked["input"] == register["value"]
    [beyond] = shared_fault.ask(f"walk ${name}+0x200")
    assert int(beyond["input"], 16) == int(register["value"], 16) + 0x200


def test_a_stubs_own_names_stand_for_the_architectures() -> None:
    """QEMU 7.2 and 10.0 have VBAR for VBAR_EL1; nothing of EL2 is there that the stub does not list."""
    offered = architectural(["pc", "", "VBAR", "TTBR0_EL1"])
    assert {"VBAR_EL1", "VBAR", "TTBR0_EL1", "pc"} == offered

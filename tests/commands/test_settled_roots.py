"""`find-roots` where the source has registers: they settle a root's half and its size, and nothing contradicts them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from gdbtools.machine.sources import open_source
from tests.commands.test_find_roots import PROCESS, ROOT, TABLES, THEIRS, ask, both, found, saved
from tests.commands.test_map import saved as saved_tables
from tests.images import BASE, KERNEL, PAGE, Image, process
from tests.isolated import ROOT as TRAMPOLINES
from tests.isolated import Isolated
from tests.tables import Tables

LINUX = Path(__file__).resolve().parents[2] / "fixtures/captures/linux-6.1.core"
KERNELS, PROCESSES = 0x4157B000, 0x480E1000
OWN = ("TTBR0_EL1", "TTBR1_EL1", "TCR_EL1")
EL1H = 0b0101


def written(capsys: pytest.CaptureFixture[str], file: Path, *words: str) -> dict[str, int]:
    """Return the registers that are written, which are those that are answered."""
    result = ask(capsys, *words, "--write", str(file))["result"]
    registers = json.loads(file.read_text())
    assert registers.pop("assumed") == result["assumed"]
    return {name: int(value, 16) for name, value in registers.items()}


def with_registers(image: Image, folder: Path, **values: int) -> list[str]:
    """Return an image a CPU at EL1 with 48 bits in both halves, and these registers."""
    own = {
        **Tables().registers(),
        "TTBR0_EL1": PROCESS,
        "TTBR1_EL1": ROOT,
        "cpsr": EL1H,
        "pc": (1 << 64) - PAGE,
        **values,
    }
    (folder / "stop.json").write_text(json.dumps({name: hex(value) for name, value in own.items()}))
    return ["-s", saved(image, folder), "--registers", str(folder / "stop.json")]


def placed(result: Mapping[str, list[dict]]) -> dict[int, tuple[str, int]]:
    return {int(each["root"], 16): (each["register"], each["input_bits"]) for each in result["roots"]}


def test_a_captures_registers_settle_the_half_and_are_what_is_written(capsys, tmp_path: Path) -> None:
    result = ask(capsys, "-s", str(LINUX))["result"]
    assert found(result) == [(KERNELS, "TTBR1_EL1"), (PROCESSES, "TTBR0_EL1")]
    assert int(result["roots"][0]["first"], 16) == 0xFFFF_0000_0000_0000
    assert [int(each, 16) for each in result["chosen"]] == [KERNELS, PROCESSES], "what they map is not in the capture"
    machine = open_source(str(LINUX))
    assert written(capsys, tmp_path / "r.json", "-s", str(LINUX)) == {name: machine.register(name) for name in OWN}
    assert result["assumed"] == [], "the source has them all"


def test_what_is_written_of_a_capture_maps_what_the_capture_maps(capsys, tmp_path: Path) -> None:
    written(capsys, tmp_path / "r.json", "-s", str(LINUX))
    bare = ask(capsys, "-s", str(LINUX), command="map")["result"]
    again = ask(capsys, "-s", str(LINUX), "--registers", str(tmp_path / "r.json"), command="map")["result"]
    assert again == bare


def test_another_process_is_written_into_the_controls_of_the_source(capsys, tmp_path: Path) -> None:
    image = both()
    words = with_registers(image, tmp_path, TCR_EL1=0x5_B519_3519, TTBR1_EL1=ROOT | 7 << 48)
    registers = written(capsys, tmp_path / "r.json", *words, "--root", hex(PROCESS + PAGE))
    assert registers == {"TTBR0_EL1": PROCESS + PAGE, "TTBR1_EL1": ROOT | 7 << 48, "TCR_EL1": 0x5_B519_3519}


def test_a_register_settles_the_size_of_what_it_holds(capsys, tmp_path: Path) -> None:
    """A root of 44 bits looks like one of 48; T1SZ says which it is."""
    image = Image()
    tables = Tables(TnSZ=20, root=ROOT, _next=TABLES)
    for page in range(64):
        tables.map((1 << 64) - (1 << 44) + page * PAGE, BASE + page * PAGE, **KERNEL)
    image.add(tables)
    process(image, 12, 16, PROCESS, THEIRS)
    tcr = Tables().registers()["TCR_EL1"]
    words = with_registers(image, tmp_path, TCR_EL1=tcr & ~(0x3F << 16) | 20 << 16)
    assert placed(ask(capsys, *words)["result"]) == {ROOT: ("TTBR1_EL1", 44), PROCESS: ("TTBR0_EL1", 48)}
    assert placed(ask(capsys, *words[:2], "--arch", "aarch64")["result"])[ROOT][1] == 48, "nothing says otherwise"


def test_a_register_settles_the_half_against_what_the_leaves_look_like(capsys, tmp_path: Path) -> None:
    """A kernel's tables in TTBR0_EL1, a process's in TTBR1_EL1: odd, and what the CPU does."""
    image = Image()
    tables = Tables(root=ROOT, _next=TABLES)
    for page in range(64):
        tables.map((1 << 64) - (1 << 40) + page * PAGE, BASE + page * PAGE, **KERNEL)
    image.add(tables)
    process(image, 12, 16, PROCESS, THEIRS)
    words = with_registers(image, tmp_path, TTBR0_EL1=ROOT, TTBR1_EL1=PROCESS)
    assert placed(ask(capsys, *words)["result"]) == {ROOT: ("TTBR0_EL1", 48), PROCESS: ("TTBR1_EL1", 48)}


def test_at_the_trampoline_the_kernels_own_root_is_of_the_half_that_its_code_puts_it_into(
    capsys, tmp_path: Path
) -> None:
    guest = Isolated()
    words = saved_tables(guest.lower, tmp_path, guest.at_el0())
    result = ask(capsys, *words)["result"]
    assert placed(result)[guest.full.root] == ("TTBR1_EL1", 48)
    assert placed(result)[TRAMPOLINES] == ("TTBR1_EL1", 48)
    kernels = next(each for each in result["roots"] if int(each["root"], 16) == guest.full.root)
    assert "proven" in [each["sign"] for each in kernels["evidence"]]
    registers = written(capsys, tmp_path / "r.json", *words)
    assert registers == {name: guest.at_el0()[name] for name in OWN}, "no register of the source is contradicted"
    chosen = written(capsys, tmp_path / "k.json", *words, "--root", hex(guest.full.root))
    assert chosen == {**registers, "TTBR1_EL1": guest.full.root}


def test_at_the_trampoline_it_says_how_to_choose_the_kernels_own_root(capsys, tmp_path: Path) -> None:
    from gdbtools.cli import main

    guest = Isolated()
    assert main(["find-roots", *saved_tables(guest.lower, tmp_path, guest.at_el0())]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"TTBR1_EL1 leads to a reduced space, without the kernel; --root {guest.full.root:#x} chooses" in said

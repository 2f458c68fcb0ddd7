"""What a capture holds, and what a redacted one no longer does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gdbtools.arch.aarch64 import IDENTITY
from gdbtools.cli import main
from gdbtools.errors import Unreadable
from gdbtools.machine.dumps.capture import core_bytes
from gdbtools.machine.sources import open_source
from tests.arch.aarch64.truth.machine import EL2H, S2_ROOT, guest
from tests.tables import Tables

PAGE = 1 << 12
CODE, DATA, VECTORS, FAULTING = 0x10_0000, 0x20_0000, 0x30_0000, 0x7000_0000
CODE_AT, DATA_AT, VECTORS_AT = 0x4400_0000, 0x4401_0000, 0x4402_0000
SECRET, BESIDE = b"a secret of the guest's", b"what is beside a root"
READ_WITHOUT_ACCESS_FLAG = 0x9600_000B


@pytest.fixture
def dump(tmp_path: Path) -> str:
    """A whole machine of two CPUs with tables of their own, whose root's page holds something else behind the root."""
    tables, other = Tables(TnSZ=31), Tables(TnSZ=31, root=0x4050_0000, _next=0x4060_0000)
    for each in (tables, other):
        each.map(CODE, CODE_AT)
        each.map(DATA, DATA_AT)
        each.map(VECTORS, VECTORS_AT)
        each.map(FAULTING, 0x4403_0000, AF=0)
    changes = {"ESR_EL1": READ_WITHOUT_ACCESS_FLAG, "FAR_EL1": FAULTING, "ELR_EL1": CODE, "VBAR_EL1": VECTORS}
    cpus = [
        tables.registers(**changes, pc=VECTORS + 0x200),
        other.registers(**changes, TTBR0_EL1=other.root, TTBR1_EL1=other.root, pc=CODE + 0x40),
    ]
    memory = {**extents(tables), **extents(other)}
    for each in (tables, other):
        # 33 bits need eight entries at level 1.
        memory[each.root] = memory[each.root][:64] + BESIDE.ljust(PAGE - 64, b"\1")
    memory |= dict.fromkeys((CODE_AT, DATA_AT, VECTORS_AT), SECRET.ljust(PAGE, b"\1"))
    path = tmp_path / "dump.core"
    path.write_bytes(core_bytes(IDENTITY, cpus, 0, memory))
    return str(path)


def extents(tables: Tables) -> dict[int, bytes]:
    return {page: tables.read(page, PAGE) for page in {pa & -PAGE for pa in tables.memory}}


def made(source: str, command: str, *options: str) -> str:
    path = f"{source}.{command}.{len(list(Path(source).parent.iterdir()))}"
    assert main([command, path, "-s", source, *options]) == 0
    return path


def said(capsys: Any, *words: str) -> tuple[int, str]:
    capsys.readouterr()
    return main([*words]), capsys.readouterr().out


def has(source: str, pa: int) -> bool:
    try:
        open_source(source).memory.read(pa, 8)
    except Unreadable:
        return False
    return True


@pytest.mark.parametrize("options", [(), ("--tables", "touched"), ("--with-code",), ("--va", f"{DATA:#x},+8")])
def test_a_capture_explains_each_cpus_fault_to_the_letter(capsys: Any, dump: str, options: tuple[str, ...]) -> None:
    again = made(dump, "capture", *options)
    for cpu in ("0", "1"):
        for form in ((), ("--json",)):
            words = ("--cpu", cpu, *form)
            assert said(capsys, "fault", "-s", again, *words) == said(capsys, "fault", "-s", dump, *words)


def test_all_tables_of_all_cpus_are_in_it(capsys: Any, dump: str) -> None:
    again = made(dump, "capture")
    for cpu in ("0", "1"):
        assert said(capsys, "map", "-s", again, "--cpu", cpu) == said(capsys, "map", "-s", dump, "--cpu", cpu)


def test_touched_tables_are_those_that_lead_to_the_fault(capsys: Any, dump: str) -> None:
    again = made(dump, "capture", "--tables", "touched")
    assert said(capsys, "walk", "-s", again, f"{FAULTING:#x}") == said(capsys, "walk", "-s", dump, f"{FAULTING:#x}")
    status, _ = said(capsys, "walk", "-s", again, f"{DATA:#x}")
    assert status == 3, "it is in another 1 GB, whose tables nobody needed"


def test_memory_is_in_it_only_if_it_was_asked_for(dump: str) -> None:
    plain, code = made(dump, "capture"), made(dump, "capture", "--with-code")
    data = made(dump, "capture", "--va", f"{DATA:#x},+{len(SECRET)}")
    assert [[has(each, pa) for pa in (CODE_AT, DATA_AT, VECTORS_AT)] for each in (plain, code, data)] == [
        [False, False, False],
        [True, False, True],
        [False, True, False],
    ]
    assert SECRET not in Path(plain).read_bytes()
    assert SECRET in Path(data).read_bytes()


def test_what_a_wanted_range_maps_and_is_not_there_is_counted(capsys: Any, dump: str) -> None:
    path = f"{dump}.again"
    _, out = said(capsys, "capture", path, "-s", dump, "--va", f"{DATA:#x},+{PAGE:#x}", "--va", f"{FAULTING:#x},+24")
    assert "24 mapped bytes could not be read" in " ".join(out.split())


def test_redacting_keeps_the_verdict_and_drops_the_rest(capsys: Any, dump: str) -> None:
    whole = made(dump, "capture", "--with-code", "--va", f"{DATA:#x},+8")
    redacted = made(whole, "redact")
    for command in ("fault", "map", "regs"):
        assert said(capsys, command, "-s", redacted) == said(capsys, command, "-s", whole)
    assert SECRET in Path(whole).read_bytes()
    assert SECRET not in Path(redacted).read_bytes()


def test_what_shares_a_page_with_a_table_is_in_no_capture(dump: str) -> None:
    assert BESIDE in Path(dump).read_bytes()
    for command in ("capture", "redact"):
        assert BESIDE not in Path(made(dump, command)).read_bytes()


def test_a_cpu_without_tables_does_not_keep_the_others_from_being_captured(capsys: Any, tmp_path: Path) -> None:
    tables = Tables(TnSZ=31)
    tables.map(CODE, CODE_AT)
    path = tmp_path / "dump.core"
    path.write_bytes(core_bytes(IDENTITY, [tables.registers(), {"pc": 0}], 0, extents(tables)))
    again = made(str(path), "capture")
    assert said(capsys, "map", "-s", again) == said(capsys, "map", "-s", str(path))
    assert said(capsys, "map", "-s", again, "--cpu", "1")[0] == 3


def test_what_was_assumed_stays_said(capsys: Any, tmp_path: Path) -> None:
    tables = Tables(TnSZ=31)
    tables.map(CODE, CODE_AT)
    path = tmp_path / "dump.core"
    path.write_bytes(core_bytes(IDENTITY, [tables.registers()], 0, extents(tables), ["TCR_EL1: a guess"]))
    again = made(str(path), "capture")
    assert "TCR_EL1: a guess" in said(capsys, "map", "-s", again)[1]
    assert json.loads(said(capsys, "map", "--json", "-s", again)[1])["assumed"] == ["TCR_EL1: a guess"]


# A guest's second stage, at its hypervisor's stop

STAGE2_WORDS = {S2_ROOT + 8: S2_ROOT + 0x1000 | 0x7FE, S2_ROOT + 0x1000: 0x8000_0000 | 0x7FD}
HYPERVISORS = {"cpsr": EL2H, "pc": 0x1000, "sp": 0, "ESR_EL2": 0, "FAR_EL2": 0, "ELR_EL2": 0, "SPSR_EL2": 0}


def hypervisor(tmp_path: Path, **changes: int) -> str:
    """Write a dump of a CPU at EL2 with its MMU off, whose VTTBR_EL2 names a table, below a soft-invalid entry."""
    path = tmp_path / "hypervisor.core"
    registers = {**guest(), **HYPERVISORS, "SCTLR_EL2": 0, "VBAR_EL2": 0, **changes}
    memory = {page: bytearray(PAGE) for page in (S2_ROOT, S2_ROOT + 0x1000)}
    for at, word in STAGE2_WORDS.items():
        memory[at & -PAGE][at % PAGE : at % PAGE + 8] = word.to_bytes(8, "little")
    path.write_bytes(core_bytes(IDENTITY, [registers], 0, {page: bytes(data) for page, data in memory.items()}))
    return str(path)


def test_at_a_hypervisors_stop_the_guests_stage_2_is_captured(capsys: Any, tmp_path: Path) -> None:
    source = hypervisor(tmp_path)
    core = made(source, "capture")
    assert "stage 2, VTTBR_EL2: its tables are in the file" in capsys.readouterr().out
    maps = [json.loads(said(capsys, "map", "--regime", "stage2", "-s", each, "--json")[1]) for each in (source, core)]
    assert maps[0]["result"]["runs"] == maps[1]["result"]["runs"] != []


def test_what_touched_tables_leave_out_is_said_and_is_no_empty_stage_2(capsys: Any, tmp_path: Path) -> None:
    core = made(hypervisor(tmp_path), "capture", "--tables", "touched")
    assert "its tables are not in the file" in " ".join(capsys.readouterr().out.split())
    assert main(["map", "--regime", "stage2", "-s", core]) == 3
    assert main(["map", "--regime", "stage2", "--expect-none", "-s", core]) == 3
    assert main(["diff", core, core, "--regime", "stage2"]) == 3


def test_where_no_table_is_named_a_capture_says_nothing_of_any(capsys: Any, tmp_path: Path) -> None:
    made(hypervisor(tmp_path, VTTBR_EL2=0), "capture")
    assert "stage 2" not in capsys.readouterr().out

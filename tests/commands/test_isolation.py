"""Where the space in force is a reduced one, the commands say so, and answer about the kernel from its own root."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gdbtools.cli import main
from tests.commands.test_map import saved
from tests.isolated import (
    CODE_PA,
    EL1H,
    KERNEL,
    KERNEL_PA,
    KERNEL_PAGES,
    MSR_TPIDRRO,
    PLANTED,
    ROOT,
    TRAMPOLINE,
    USER,
    VECTORS,
    Isolated,
)

FULL = f"{ROOT + 0x2000:#018x}"
CHECK = ("--perm", "wx", "--expect-none")


@pytest.fixture
def guest() -> Isolated:
    return Isolated()


@pytest.fixture
def source(guest: Isolated, tmp_path: Path) -> list[str]:
    return saved(guest.lower, tmp_path, guest.at_el0())


def unproven(guest: Isolated, tmp_path: Path) -> list[str]:
    """Save the guest with a full root that maps the trampoline elsewhere."""
    guest.full.map(TRAMPOLINE, CODE_PA + 0x9000, AttrIndx=4, SH=3, AP=0b10, UXN=1, nG=1)
    return saved(guest.lower, tmp_path, guest.at_el0())


def asked(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> Any:
    assert main([*words, "--json"]) == status
    out, err = capsys.readouterr()
    assert err == ""
    [line] = out.splitlines()
    return json.loads(line)["result"]


def text(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    assert main([*words]) == status
    return " ".join(capsys.readouterr().out.split())


def refused(capsys: pytest.CaptureFixture[str], *words: str, status: int = 3) -> str:
    assert main([*words]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    return err


def spans(result: Any) -> dict[str, list[tuple[int, int]]]:
    """Return first address and size of each run, by space."""
    found: dict[str, list[tuple[int, int]]] = {}
    for run in result["runs"]:
        found.setdefault(run["space"], []).append((int(run["first"], 16), run["size"]))
    return found


def test_status_says_that_the_kernel_is_hidden_where_it_is_and_why(capsys, source: list[str]) -> None:
    said = asked(capsys, "status", *source)["isolation"]
    assert (said["leaves"], said["full_root"]) == (3, FULL)
    assert said["registers"] == {"TTBR1_EL1": FULL}
    assert len(said["evidence"]) == 3
    said = text(capsys, "status", *source)
    assert "limited TTBR1_EL1 leads to a reduced space of 3 leaves, without the kernel" in said
    assert "moves TTBR1_EL1 by +0x2000" in said
    assert re.search(rf"kernel 0xf+0+ 0xf+ 4KB 0 to 3 {ROOT + 0x2000:#x}\b", said), "no number is broken over two lines"


def test_status_of_a_kernel_that_does_not_hide_says_nothing(capsys, guest: Isolated, tmp_path: Path) -> None:
    source = saved(guest.lower, tmp_path, guest.in_kernel())
    assert asked(capsys, "status", *source)["isolation"] is None
    assert "limited" not in text(capsys, "status", *source)


def test_map_reads_both_spaces_and_what_both_have_once(capsys, source: list[str]) -> None:
    result = asked(capsys, "map", *source)
    assert spans(result) == {
        "current": [(USER, 0x1000)],
        "kernel": [(KERNEL, KERNEL_PAGES << 12), (TRAMPOLINE, 0x4000)],
    }
    assert result["looked_at"]["leaves"] == 1 + 3 + KERNEL_PAGES + 4
    assert result["isolation"]["full_root"] == FULL


def test_map_from_el0_lists_what_map_in_the_kernel_does(capsys, guest: Isolated, tmp_path: Path) -> None:
    here = asked(capsys, "map", *saved(guest.lower, tmp_path, guest.at_el0()))
    there = asked(capsys, "map", *saved(guest.lower, tmp_path, guest.in_kernel()))
    pairs = [[(run["first"], run["output"], run["size"]) for run in each["runs"]] for each in (here, there)]
    assert pairs[0] == pairs[1]


def test_a_page_of_the_kernel_that_is_writable_and_executable_is_found_from_el0(
    capsys, guest: Isolated, tmp_path: Path
) -> None:
    assert main(["map", *saved(guest.lower, tmp_path, guest.at_el0()), *CHECK]) == 0
    guest.plant()
    source = saved(guest.lower, tmp_path, guest.at_el0())
    capsys.readouterr()
    assert spans(asked(capsys, "map", *source, *CHECK, status=1)) == {"kernel": [(PLANTED, 0x1000)]}
    assert spans(asked(capsys, "map", *source, *CHECK, "--space", "kernel", status=1))["kernel"] == [(PLANTED, 0x1000)]
    assert asked(capsys, "map", *source, *CHECK, "--space", "current")["runs"] == []


def test_a_page_that_only_the_reduced_space_has_is_found_as_well(capsys, guest: Isolated, tmp_path: Path) -> None:
    """And one with other rights there than in the kernel's own: who looks at one of them alone has seen half."""
    guest.reduced.map(TRAMPOLINE + 0x2000, CODE_PA + 0x2000, AttrIndx=4, SH=3, AP=0b00, UXN=1, nG=1)
    source = saved(guest.lower, tmp_path, guest.at_el0())
    assert spans(asked(capsys, "map", *source, *CHECK, status=1)) == {"current": [(TRAMPOLINE + 0x2000, 0x1000)]}


def test_what_could_not_be_seen_is_no_pass(capsys, guest: Isolated, tmp_path: Path) -> None:
    source = unproven(guest, tmp_path)
    err = refused(capsys, "map", *source, *CHECK)
    assert "not all could be seen: TTBR1_EL1 leads to a reduced space of 3 leaves" in err
    assert "4 leaves in 8 tables" in err
    # All of the lower half was seen, and who asks about this space alone has seen it.
    assert asked(capsys, "map", "0,0x1000000000000", *source, *CHECK)["runs"] == []
    assert asked(capsys, "map", *source, *CHECK, "--space", "current")["runs"] == []
    refused(capsys, "map", f"{KERNEL:#x}", *source, *CHECK)
    assert "its full root is not proven" in text(capsys, "map", *source)


def test_a_finding_outweighs_what_could_not_be_seen(capsys, guest: Isolated, tmp_path: Path) -> None:
    guest.lower.map(USER + 0x1000, 0x4062_0000, AttrIndx=4, SH=3, AP=0b00, UXN=1)
    assert len(asked(capsys, "map", *unproven(guest, tmp_path), *CHECK, status=1)["runs"]) == 1


def test_a_table_that_cannot_be_read_is_no_pass_either(capsys, guest: Isolated, tmp_path: Path) -> None:
    guest.lower.memory[guest.lower.root + 8] = 0x7000_0003
    source = saved(guest.lower, tmp_path, guest.at_el0())
    assert "the table at PA 0x70000000" in refused(capsys, "map", *source, *CHECK)
    assert asked(capsys, "map", f"{USER:#x},+0x1000", *source, *CHECK)["runs"] == []


def test_walk_of_a_kernel_address_says_what_limits_it_and_walks_the_kernels_own(capsys, source: list[str]) -> None:
    words = ("walk", f"{KERNEL:#x}", *source)
    assert asked(capsys, *words, status=1)["isolation"]["full_root"] == FULL
    said = text(capsys, *words, status=1)
    assert "limited TTBR1_EL1 leads to a reduced space" in said
    assert "--space kernel asks its full root, at PA 0x40302000" in said
    there = asked(capsys, *words, "--space", "kernel")
    assert (there["output"], there["space"]) == (f"{KERNEL_PA:#018x}", "kernel")
    assert "space kernel: TTBR1_EL1's full root, at PA 0x40302000" in text(capsys, *words, "--space", "kernel")


def test_walk_of_a_users_address_is_not_limited(capsys, source: list[str]) -> None:
    assert "isolation" not in asked(capsys, "walk", f"{USER:#x}", *source)
    assert "limited" not in text(capsys, "walk", f"{USER:#x}", *source)


def test_a_kernels_space_that_is_not_proven_is_not_walked(capsys, guest: Isolated, tmp_path: Path) -> None:
    source = unproven(guest, tmp_path)
    said = refused(capsys, "walk", f"{KERNEL:#x}", *source, "--space", "kernel")
    assert "its full root is not proven" in said
    assert "does not map this space's leaves where this one does" in said


def test_in_the_kernel_its_space_is_the_current_one(capsys, guest: Isolated, tmp_path: Path) -> None:
    source = saved(guest.lower, tmp_path, guest.in_kernel())
    answers = [asked(capsys, "walk", f"{KERNEL:#x}", *source, "--space", each) for each in ("current", "kernel")]
    assert answers[0] == answers[1]


def test_what_if_of_a_kernels_descriptor_is_asked_of_the_kernels_space(capsys, source: list[str]) -> None:
    change = ("--pte", f"{KERNEL:#x}.AP=0")
    assert spans(asked(capsys, "map", *source, *CHECK, *change, status=1)) == {"kernel": [(KERNEL, 0x1000)]}
    there = asked(capsys, "walk", f"{KERNEL:#x}", *source, "--space", "kernel", *change)
    assert there["attributes"]["rights"]["el1"] == "rwx"


def test_what_if_of_the_root_asks_whether_that_one_is_reduced(capsys, source: list[str]) -> None:
    result = asked(capsys, "map", *source, "--with", f"TTBR1_EL1={ROOT + 0x2000:#x}")
    assert result["isolation"] is None
    assert (KERNEL, KERNEL_PAGES << 12) in spans(result)["current"]


READ_ABORT, PERMISSION_3, TRANSLATION_0 = 0x9600_0000, 0b001111, 0b000100


ON_THE_WAY = {"cpsr": EL1H, "pc": TRAMPOLINE + 0x1000}
"""In the kernel, with the reduced space still in force."""


def test_what_the_kernel_was_refused_is_asked_of_its_own_space(capsys, guest: Isolated, tmp_path: Path) -> None:
    """On its way out its last exception is still in the registers: a write to a page of its own that is read-only."""
    last = {"ESR_EL1": READ_ABORT | 1 << 6 | PERMISSION_3, "FAR_EL1": KERNEL + 0x1008, "SPSR_EL1": EL1H}
    result = asked(capsys, "fault", *saved(guest.lower, tmp_path, guest.at_el0(**last, **ON_THE_WAY)), status=1)
    assert result["verdict"] == "tables agree"
    assert (result["space"], result["isolation"]["full_root"]) == ("kernel", FULL)


def test_an_older_fault_of_the_kernel_is_walked_in_its_space_although_the_state_is_a_users(
    capsys, guest: Isolated, tmp_path: Path
) -> None:
    last = {"ESR_EL1": READ_ABORT | 1 << 6 | PERMISSION_3, "FAR_EL1": KERNEL + 0x1008, "SPSR_EL1": 0}
    result = asked(capsys, "fault", *saved(guest.lower, tmp_path, guest.at_el0(**last, **ON_THE_WAY)), status=1)
    assert (result["verdict"], result["space"]) == ("not one exception", "kernel")


def test_what_a_user_was_refused_is_asked_of_the_space_that_it_sees(capsys, guest: Isolated, tmp_path: Path) -> None:
    last = {"ESR_EL1": 0x9200_0000 | TRANSLATION_0, "FAR_EL1": KERNEL + 0x1008}
    result = asked(capsys, "fault", *saved(guest.lower, tmp_path, guest.at_el0(**last, **ON_THE_WAY)), status=1)
    assert result["verdict"] == "tables agree"
    assert result["space"] == "current"


WRITE_ABORT = 0x9200_0000 | 1 << 6 | PERMISSION_3
FRAME = 0xFFFF_CB3C_8140


@pytest.mark.parametrize("address", [FRAME, KERNEL + 0x1008], ids=["a stack's", "a kernel's"])
@pytest.mark.parametrize("same", [True, False], ids=["equal", "changed since"])
def test_past_the_way_out_far_is_not_the_faults_address(
    capsys, guest: Isolated, tmp_path: Path, address: int, same: bool
) -> None:
    """Linux leaves x29 there: equality makes it certain, and a process may have changed its x29 since."""
    last = {"ESR_EL1": WRITE_ABORT, "FAR_EL1": address, "x29": address if same else USER, "x4": 0x5D_34F0}
    source = saved(guest.lower, tmp_path, guest.at_el0(**last))
    result = asked(capsys, "fault", *source, status=1)
    assert (result["verdict"], result["evidence"]["kind"]) == ("not one exception", "overwritten")
    assert (result["walk"], result["access"], result["predicted"]) == (None, None, None)
    why = "FAR_EL1 holds x29, which Linux's way out of the kernel leaves there"
    why = why if same else "Linux's way out of the kernel leaves x29 in FAR_EL1"
    assert result["sentence"] == (
        f"last exception: write: permission fault, level 3, but its address is not known: {why}."
    )
    assert f"{address:#x}" not in result["sentence"], "what the toolbar shows"
    said = text(capsys, "esr", *source)
    assert f"FAR_EL1 not of this exception: {why}" in said


def test_at_the_trampolines_entry_far_is_the_faults_address(capsys, guest: Isolated, tmp_path: Path) -> None:
    last = {"ESR_EL1": 0x9200_0000 | TRANSLATION_0, "FAR_EL1": FRAME, "x29": FRAME, "pc": VECTORS + 0x400}
    source = saved(guest.lower, tmp_path, guest.at_el0(**last, cpsr=EL1H))
    result = asked(capsys, "fault", *source, status=1)
    assert (result["address"], result["evidence"]["kind"]) == (f"{FRAME:#018x}", "at entry")


def test_where_nothing_is_isolated_far_is_left_alone(capsys, guest: Isolated, tmp_path: Path) -> None:
    last = {"ESR_EL1": 0x9200_0000 | TRANSLATION_0, "FAR_EL1": FRAME, "x29": FRAME}
    source = saved(guest.lower, tmp_path, guest.in_kernel(**last, cpsr=0, pc=USER))
    result = asked(capsys, "fault", *source, status=1)
    assert (result["address"], result["verdict"]) == (f"{FRAME:#018x}", "tables agree")


def captured(capsys: pytest.CaptureFixture[str], source: list[str], path: Path, *words: str) -> Any:
    """Write a capture of a source there, and return what is said of it."""
    return asked(capsys, "capture", *source, str(path), *words)


def test_a_capture_at_el0_has_the_kernel_in_it(capsys, guest: Isolated, source: list[str], tmp_path: Path) -> None:
    """And what proves its root, so that all of it works offline: the same runs, the same walk, the same evidence."""
    core = ["-s", str(tmp_path / "el0.core")]
    assert captured(capsys, source, tmp_path / "el0.core")["isolation"]["full_root"] == FULL
    for words in (("map",), ("walk", f"{KERNEL:#x}", "--space", "kernel")):
        assert asked(capsys, *words, *core) == asked(capsys, *words, *source)
    assert asked(capsys, "status", *core)["isolation"] == asked(capsys, "status", *source)["isolation"]


def test_a_capture_says_when_the_kernel_is_not_in_it(capsys, guest: Isolated, tmp_path: Path) -> None:
    source = unproven(guest, tmp_path)
    said = text(capsys, "capture", *source, str(tmp_path / "el0.core"))
    assert "kernel its tables are not in the file: TTBR1_EL1 leads to a reduced space of 3 leaves" in said
    assert "its full root is not proven" in said


def test_a_capture_of_one_space_has_that_alone(capsys, source: list[str], tmp_path: Path) -> None:
    core = tmp_path / "el0.core"
    captured(capsys, source, core, "--space", "current")
    assert "its tables are not in the file" in text(capsys, "capture", *source, str(core), "--space", "current")
    assert asked(capsys, "status", "-s", str(core))["isolation"]["full_root"] is None
    refused(capsys, "walk", f"{KERNEL:#x}", "-s", str(core), "--space", "kernel")


def test_a_capture_takes_what_a_range_of_the_kernel_holds(capsys, source: list[str], tmp_path: Path) -> None:
    core = tmp_path / "el0.core"
    before = captured(capsys, source, core)["memory"]
    said = captured(capsys, source, core, "--va", f"{TRAMPOLINE + 0x3000:#x},+8")
    assert (said["memory"], said["missing_bytes"]) == (before, 0), "its literal is a part of the proof"
    said = captured(capsys, source, core, "--va", f"{TRAMPOLINE + 0x3100:#x},+0x10")
    assert (said["memory"] - before, said["missing_bytes"]) == (0x10, 0)


def test_a_redacted_capture_has_the_kernels_tables_and_no_code(
    capsys, guest: Isolated, source: list[str], tmp_path: Path
) -> None:
    core = ["-s", str(tmp_path / "small.core")]
    asked(capsys, "redact", *source, str(tmp_path / "small.core"))
    said = asked(capsys, "status", *core)["isolation"]
    assert said["full_root"] == FULL
    assert "Linux keeps swapper_pg_dir 0x2000 behind it" in said["evidence"][0]
    assert spans(asked(capsys, "map", *core)) == spans(asked(capsys, "map", *source))
    assert MSR_TPIDRRO.to_bytes(4, "little") not in (tmp_path / "small.core").read_bytes()


def sources(guest: Isolated, tmp_path: Path) -> dict[str, list[str]]:
    """Save the guest twice: at EL0 and in the kernel."""
    found = {}
    for name, registers in (("el0", guest.at_el0()), ("kernel", guest.in_kernel())):
        (tmp_path / name).mkdir(exist_ok=True)
        found[name] = saved(guest.lower, tmp_path / name, registers)
    return found


def compared(capsys: pytest.CaptureFixture[str], before: list[str], after: list[str], *words: str, status: int) -> Any:
    registers = ["--before-registers", before[3], "--after-registers", after[3], "--ignore", "registers"]
    return asked(capsys, "diff", before[1], after[1], *registers, *words, status=status)


@pytest.mark.parametrize(("one", "other"), [("el0", "kernel"), ("kernel", "el0"), ("el0", "el0")])
def test_diff_compares_the_kernel_wherever_the_two_stops_were(
    capsys, guest: Isolated, tmp_path: Path, one: str, other: str
) -> None:
    before = sources(guest, tmp_path)[one]
    assert compared(capsys, before, sources(guest, tmp_path)[other], status=0)["equal"]
    (tmp_path / "later").mkdir()
    guest.plant()
    after = sources(guest, tmp_path / "later")[other]
    [change] = compared(capsys, before, after, status=1)["changes"]
    assert (change["kind"], int(change["first"], 16)) == ("mapped", PLANTED)


def test_diff_of_the_current_spaces_says_what_limits_it(capsys, guest: Isolated, tmp_path: Path) -> None:
    both = sources(guest, tmp_path)
    result = compared(capsys, both["kernel"], both["el0"], "--space", "current", status=1)
    assert {each["kind"] for each in result["changes"]} == {"unmapped"}
    assert result["after"]["isolation"]["full_root"] == FULL
    assert result["before"]["isolation"] is None


def test_diff_does_not_compare_a_kernel_that_one_side_hides(capsys, guest: Isolated, tmp_path: Path) -> None:
    """The kernel is not gone, whatever the tables in force say."""
    both = sources(guest, tmp_path)
    (tmp_path / "later").mkdir()
    unproven(guest, tmp_path)
    after = sources(guest, tmp_path / "later")["el0"]
    result = compared(capsys, both["kernel"], after, status=1)
    assert result["changes"] == []
    [unknown] = result["uncompared"]
    assert (unknown["before"], unknown["first"]) == (None, "0xffff000000000000")
    assert "its full root is not proven" in unknown["after"]


def test_a_report_at_el0_has_the_kernel_on_it(capsys, guest: Isolated, source: list[str]) -> None:
    guest.plant()
    result = asked(capsys, "report", *source, f"{KERNEL:#x}")
    assert [each["space"] for each in result["regimes"]] == ["current", "current", "kernel"]
    assert result["regimes"][-1]["mapped"] == (KERNEL_PAGES + 4) << 12
    assert [each["space"] for each in result["walked"]] == ["kernel"]
    said = text(capsys, "report", *source)
    assert "EL1&0 stage 1, TTBR1_EL1 (kernel)" in said
    assert "limited TTBR1_EL1 leads to a reduced space" in said
    alone = asked(capsys, "report", *source, f"{KERNEL:#x}", "--space", "current", status=1)
    assert [each["space"] for each in alone["regimes"]] == ["current", "current"]

"""`gdbtools stage2`: what a guest is mapped by is counted, and what cleaning all of it costs follows from that."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gdbtools.cli import main
from tests.arch.aarch64.truth.machine import S2_ROOT, guest
from tests.arch.test_soft_invalid import AF, BLOCK, CHILD, GRANDCHILD, TABLE, XEN_PAGE, Memory, xens
from tests.commands.test_map import saved
from tests.places import ROOT

CAPTURES = ROOT / "fixtures/captures"
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
DEVICE = XEN_PAGE & ~(0b1111 << 2) | 1 << 2 | 1 << 54
HCR = 0x807C_663F
"""As Xen 4.17 has it for a guest: VM and TSW are 1, TVM is 0."""
TVM = 1 << 26


def ask(capsys: pytest.CaptureFixture[str], words: list[str], status: int = 0) -> dict[str, Any]:
    assert main(["stage2", *words, "--json"]) == status
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)["result"]


def text(capsys: pytest.CaptureFixture[str], words: list[str]) -> str:
    assert main(["stage2", *words]) == 0
    return capsys.readouterr().out


Asked = Callable[..., list[str]]


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    """Return what saves a stage 2 with the registers of its guest, and gives the words that ask about it."""

    def words(memory: Memory, ram_bytes: int = 1 << 30, **changes: int) -> list[str]:
        with (tmp_path / "guest.ram").open("wb") as file:
            file.truncate(ram_bytes)
        tables = saved(memory, tmp_path, guest(**{"HCR_EL2": HCR, **changes}), S2_ROOT)
        return [*tables, "-s", f"{tmp_path / 'guest.ram'}@0x80000000"]

    return words


def groups(found: dict[str, Any]) -> list[tuple[int, int, int, int, int]]:
    counted = ("leaves", "reached", "soft_invalid", "below_soft_invalid")
    return [(each["block_size"], *(each[name] for name in counted)) for each in found["leaves"]]


def bill(found: dict[str, Any]) -> dict[str, tuple[int, int, int]]:
    return {each["how"]: (each["entries"], each["size"], each["lines"]) for each in found["bill"]["mapped"]}


def test_leaves_are_counted_by_their_size_and_by_what_hardware_makes_of_them(
    asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    assert groups(ask(capsys, asked(xens()))) == [(2 * MIB, 1, 1, 0, 0), (4 * KIB, 2, 2, 0, 0)]
    below = ask(capsys, asked(xens(CHILD)))
    assert groups(below) == [(2 * MIB, 1, 1, 0, 0), (4 * KIB, 2, 0, 0, 2)], "two pages below a cleared table"
    cleared = ask(capsys, asked(xens(GRANDCHILD)))
    assert groups(cleared) == [(2 * MIB, 1, 1, 0, 0), (4 * KIB, 2, 1, 1, 0)], "one page that is itself cleared"


def test_entries_that_are_soft_invalid_are_counted_apart_at_each_level(
    asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    counted = ("tables", "to_tables", "leaves", "soft_invalid_tables", "soft_invalid_leaves", "empty")

    def levels(cleared: int | None) -> list[tuple[int, ...]]:
        return [tuple(each[name] for name in counted) for each in ask(capsys, asked(xens(cleared)))["levels"]]

    root, *others = levels(None)
    assert (root[0], root[1]) == (1, 1)
    assert others == [(1, 1, 1, 0, 0, 510), (1, 0, 2, 0, 0, 510)]
    assert levels(CHILD)[1:] == [(1, 0, 1, 1, 0, 510), (1, 0, 2, 0, 0, 510)]
    assert levels(CHILD + 8)[1:] == [(1, 1, 0, 0, 1, 510), (1, 0, 2, 0, 0, 510)]
    assert levels(GRANDCHILD)[2] == (1, 0, 1, 0, 1, 510)


def test_the_bill_is_of_all_that_is_memory_however_it_is_mapped(
    asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    """A block of 2 MB and two pages of 4 KB, of lines of 64 bytes."""
    whole = 2 * MIB + 8 * KIB
    expected = {
        "as it is": (3, whole, whole // 64),
        "in blocks": (2, 4 * MIB, 4 * MIB // 64),
        "in pages": (514, whole, whole // 64),
        "if populated": (3, whole, whole // 64),
    }
    assert bill(ask(capsys, asked(xens(), CTR_EL0=0x8444_8004))) == expected
    half = bill(ask(capsys, asked(xens(CHILD + 8), CTR_EL0=0x8444_8004)))
    assert half == {**expected, "if populated": (2, 8 * KIB, 128)}, (
        "what is soft-invalid was not touched, and yet costs"
    )


def test_a_walk_over_all_of_it_takes_a_step_for_each_leaf_and_for_each_empty_entry_between(
    asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    """The two pages are at entries 0 and 1 of their table, the block is the next entry above: 510 are between."""
    found = ask(capsys, asked(xens()))["bill"]
    assert (found["steps"], found["passed_leaves"], found["passed_empty"]) == (513, 0, 510)
    memory = xens()
    memory.words[CHILD + 5 * 8] = 0x8080_0000 | BLOCK | XEN_PAGE | AF
    found = ask(capsys, asked(memory))["bill"]
    assert (found["steps"], found["passed_empty"]) == (4 + 510 + 3, 510 + 3), "entries 2 to 4 are empty too"


def test_a_cache_line_is_what_the_register_says_and_else_it_is_said_to_be_assumed(
    asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    known = ask(capsys, asked(xens(), CTR_EL0=5 << 16))["bill"]
    assert (known["line"], known["line_assumed"]) == (128, False)
    assumed = asked(xens())
    found = ask(capsys, assumed)["bill"]
    assert (found["line"], found["line_assumed"]) == (64, True)
    assert "64 bytes, taken for it: no register says" in text(capsys, assumed)


def test_what_is_mapped_as_a_device_is_passed_and_not_cleaned(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    memory = xens()
    memory.words[GRANDCHILD + 8] = 0x0900_0000 | TABLE | DEVICE | AF
    found = ask(capsys, asked(memory))
    assert [(each["is_memory"], each["leaves"]) for each in found["leaves"]] == [(True, 1), (True, 1), (False, 1)]
    assert (found["memory"], found["other"]) == (2 * MIB + 4 * KIB, 4 * KIB)
    assert found["bill"]["passed_leaves"] == 1
    assert bill(found)["as it is"][0] == 2


def test_what_leads_to_no_memory_is_none_whatever_its_type_says(
    asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    """Xen maps the PCI windows of its dom0 as ordinary memory: only where memory is tells that they are none."""
    found = ask(capsys, asked(xens(), ram_bytes=4 * KIB))
    assert (found["memory"], found["other"]) == (4 * KIB, 2 * MIB + 4 * KIB)
    assert [(each["block_size"], each["is_memory"]) for each in found["leaves"]] == [
        (4 * KIB, True),
        (2 * MIB, False),
        (4 * KIB, False),
    ]


@pytest.mark.parametrize(
    ("hcr", "said"),
    [
        (HCR, "HCR_EL2.TSW = 1: its set/way maintenance is trapped"),
        (HCR, "HCR_EL2.TVM = 0: it may turn its caches on and off unseen"),
        (HCR | TVM, "HCR_EL2.TVM = 1: it has used set/way"),
        (HCR & ~(1 << 22), "HCR_EL2.TSW = 0: its set/way maintenance acts on this CPU's caches alone"),
    ],
)
def test_what_is_trapped_is_told_with_what_it_means(
    asked: Asked, capsys: pytest.CaptureFixture[str], hcr: int, said: str
) -> None:
    assert said in " ".join(text(capsys, [*asked(xens()), "--with", f"HCR_EL2={hcr:#x}"]).split())


def test_a_root_that_no_cpu_holds_is_counted_and_nothing_is_said_of_its_traps(
    asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    memory = xens()
    other = S2_ROOT + 0x8000
    memory.words[other + 8] = CHILD | TABLE
    words = [*asked(memory, VTTBR_EL2=S2_ROOT | 1 << 48)]
    assert [(each["cpu"], each["identifier"]) for each in ask(capsys, words)["cpus"]] == [(0, 1)]
    found = ask(capsys, [*words, "--root", hex(other)])
    assert (found["root"], found["cpus"]) == (f"{other:#018x}", [])
    assert groups(found) == [(2 * MIB, 1, 1, 0, 0), (4 * KIB, 2, 2, 0, 0)]


def test_tables_that_cannot_be_read_are_no_empty_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stage2", "-s", str(CAPTURES / "verdicts/stage2_unmapped.core")]) == 3
    assert "nothing can be said of what is mapped: the table at PA" in capsys.readouterr().err


def test_nested_tables_have_a_census_and_no_bill(capsys: pytest.CaptureFixture[str]) -> None:
    found = ask(capsys, ["-s", str(CAPTURES / "nested.core")])
    assert (found["memory"], found["bill"], found["memory_known"]) == (28 * KIB, None, False)


def test_where_no_register_leads_to_a_second_stage_one_line_says_what_is_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["stage2", "-s", str(CAPTURES / "nested.core"), "--regime", "linear"]) == 2
    assert "linear is no second stage" in capsys.readouterr().err


def test_the_time_is_told_only_where_it_is_asked_for(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    words = asked(xens())
    assert ask(capsys, words)["seconds"] is None
    assert "measured" not in text(capsys, words)
    assert ask(capsys, [*words, "--measure"])["seconds"] > 0
    assert "for reading and decoding all of its tables here" in text(capsys, [*words, "--measure"])


def test_the_other_name_asks_the_same(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    words = asked(xens())
    shown = text(capsys, words)
    assert main(["p2m", *words]) == 0
    assert capsys.readouterr().out == shown


def test_a_capture_keeps_where_memory_is_so_that_the_same_is_told_of_it(
    asked: Asked, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words, kept = asked(xens(), ram_bytes=4 * KIB, VTTBR_EL2=S2_ROOT | 1 << 48), str(tmp_path / "kept.core")
    found = ask(capsys, words)
    assert main(["capture", *words, kept]) == 0
    capsys.readouterr()
    again = ask(capsys, ["-s", kept])
    assert again == found
    assert again["memory_known"]
    assert main(["capture", "-s", kept, str(tmp_path / "again.core")]) == 0
    capsys.readouterr()
    assert ask(capsys, ["-s", str(tmp_path / "again.core")]) == found


def test_where_no_guest_s_is_in_force_it_is_said_and_a_root_may_be_asked_of(
    asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in a host of KVM without VHE: HCR_EL2.VM is 0 there, and VTTBR_EL2 names nothing."""
    words = asked(xens(), HCR_EL2=1 << 31, VTTBR_EL2=0)
    assert main(["stage2", *words]) == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert "stage 2 off (HCR_EL2.VM is 0, VTTBR_EL2 names no table): nobody's is in force" in said.err
    assert groups(ask(capsys, [*words, "--root", hex(S2_ROOT)])) == [(2 * MIB, 1, 1, 0, 0), (4 * KIB, 2, 2, 0, 0)]


def test_what_a_host_traps_is_not_said_of_its_guest(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    """A VHE host of KVM has an HCR_EL2 of its own, with TSW clear, beside the VTTBR_EL2 of a guest that has it set."""
    words = asked(xens(), HCR_EL2=1 << 34 | 1 << 27 | 1 << 31)
    (cpu,) = ask(capsys, words)["cpus"]
    assert (cpu["traps"], cpu["runs"]) == ([], False)
    said = text(capsys, words)
    assert "nobody hears of it" not in said
    assert "VTTBR_EL2 is what a guest has left there" in " ".join(said.split())

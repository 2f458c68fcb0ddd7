"""`pte VALUE`: a descriptor by its value alone, which nobody can take for the change of one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import Level
from gdbtools.cli import main
from gdbtools.commands import COMMANDS
from gdbtools.commands.answering import query
from gdbtools.commands.pte.run import Options
from gdbtools.numbers import number

AF, AP, UXN, PXN = 1 << 10, 6, 1 << 54, 1 << 53
PAGE = 0x7000_0000 | 0b11 | AF
BLOCK = 0x4000_0000 | 0b01 | AF
ARM = ARCHITECTURES["aarch64"]


def decoded(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    assert main(["pte", "--json", *words]) == 0
    return json.loads(capsys.readouterr().out)["result"]["readings"]


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["pte", *words]) == 2
    return capsys.readouterr().err


def test_a_value_is_decoded_for_every_level_where_it_may_stand(capsys) -> None:
    table, page = decoded(capsys, hex(PAGE))
    assert (table["levels"], table["kind"], page["levels"], page["kind"]) == ([0, 1, 2], "table", [3], "page")
    assert (table["address"], page["address"], page["block_size"]) == (page["address"], "0x0000000070000000", 4096)
    readings = decoded(capsys, hex(BLOCK))
    assert [(each["levels"], each["kind"], each["block_size"]) for each in readings] == [
        ([0], "invalid", None), ([1], "block", 1 << 30), ([2], "block", 2 << 20), ([3], "invalid", None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("granule", "levels", "size"),
    [("4k", [0, 1, 2, 3], 4 << 10), ("16k", [0, 1, 2, 3], 16 << 10), ("64k", [1, 2, 3], 64 << 10)],
)
@pytest.mark.parametrize("stage", ["1", "2"])
def test_the_granule_gives_the_levels_and_their_sizes(
    capsys, granule: str, levels: list[int], size: int, stage: str
) -> None:
    readings = decoded(capsys, hex(PAGE), "--granule", granule, "--stage", stage)
    first = levels[1:] if granule == "16k" and stage == "2" else levels
    assert [level for each in readings for level in each["levels"]] == first
    assert readings[-1]["block_size"] == size


def test_level_minus_1_makes_the_address_52_bits_wide(capsys) -> None:
    [reading] = decoded(capsys, hex(0x1000 | 0b11 << 8 | 0b11), "--level=-1")
    assert (reading["levels"], reading["address"]) == ([-1], "0x000c000000001000")


@pytest.mark.parametrize(
    ("words", "rights"),
    [
        ([hex(PAGE | UXN)], {"el0": "---", "el1": "rwx"}),
        ([hex(PAGE | 0b11 << AP | PXN)], {"el0": "r-x", "el1": "r--"}),
        ([hex(PAGE | 0b11 << AP), "--stage", "2"], {"el0": "rwx", "el1": "rwx"}),
        ([hex(PAGE | 0b10 << AP | UXN), "--regime", "el2"], {"el2": "r--"}),
        ([hex(PAGE), "--regime", "el3"], {"el3": "rwx"}),
        ([hex(PAGE | UXN), "--regime", "el2-vhe"], {"el0": "---", "el2": "rwx"}),
    ],
)
def test_its_rights_are_those_of_who_reads_it(capsys, words: list[str], rights: dict[str, str]) -> None:
    [reading] = decoded(capsys, "--level", "3", *words)
    assert reading["attributes"]["rights"] == rights


def test_what_refuses_an_access_through_it_is_said(capsys) -> None:
    [reading] = decoded(capsys, hex(PAGE & ~AF), "--level", "3")
    assert (reading["fault"]["kind"], reading["fault"]["status"]) == ("access flag", "0x0b")
    [nothing] = decoded(capsys, "0")
    assert (nothing["kind"], nothing["fault"]["kind"]) == ("invalid", "translation")


@pytest.mark.parametrize("text", ["70000403", "0070000403", "0000000070000403", "0x70000403"])
def test_digits_are_hexadecimal_as_logs_print_them(capsys, text: str) -> None:
    assert decoded(capsys, text)[0]["address"] == "0x0000000070000000"


def options(*words: str) -> Options:
    found: Options = query(COMMANDS["pte"], words, number, "gdbtools").options
    return found


def test_the_address_of_a_change_is_no_value(capsys) -> None:
    """Decimal digits are decimal there, as in every address; nothing but FIELD=VALUE makes it a change."""
    assert options("4096", "AF=1").address == 4096
    assert options("4096").address == 0x4096
    assert COMMANDS["pte"].sourceless(options("4096"))
    assert not COMMANDS["pte"].sourceless(options("4096", "AF=1"))


@pytest.mark.parametrize("flag", ["--tlbi", "--break", "--live", "--dry-run"])
def test_what_belongs_to_a_change_is_refused_without_one(capsys, flag: str) -> None:
    assert f"{flag} is of a change, and nothing is to change" in refused(capsys, hex(PAGE), flag)


def test_a_level_that_the_granule_has_not_is_named(capsys) -> None:
    assert "there is no level 0 with this granule; there are 1, 2, 3" in refused(
        capsys, hex(PAGE), "--granule", "64k", "--level", "0"
    )


def test_a_bare_regime_reads_no_register_and_no_memory() -> None:
    for name in ARM.regime_names:
        regime = ARM.bare_regime("4k", name, None)
        assert regime.levels[-1] == Level(3, 20, 12)
        assert regime.below is None

"""What words mean: ranges as /proc/PID/maps writes them, and names that look like numbers."""

from __future__ import annotations

import pytest

from gdbtools.arch.gadgets import Extent, Scope
from gdbtools.commands import COMMANDS
from gdbtools.commands.answering import query
from gdbtools.commands.model import DescriptorChange, RegisterChange
from gdbtools.commands.reading import ArgumentReader
from gdbtools.errors import UsageError

SYMBOLS = {"start": 0x1000, "end": 0x3000, "face": 0x40, "f00": 0x44, "$pc": 0x2000, "(end-start)": 0x2000, "p->q": 8}


def evaluate(text: str) -> int:
    if text not in SYMBOLS:
        raise UsageError(f"{text} is no symbol")
    return SYMBOLS[text]


def read() -> ArgumentReader:
    return ArgumentReader(evaluate)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0x400000-0x500000", (0x400000, 0x100000)),
        ("ffff800008000000-ffff800008200000", (0xFFFF800008000000, 0x200000)),
        ("00400000-00500000", (0x400000, 0x100000)),
        ("40000000-40001000", (0x40000000, 0x1000)),
        ("55550000-5555a000", (0x55550000, 0xA000)),
        ("5555a000-55560000", (0x5555A000, 0x6000)),
        ("4096-8192", (4096, 4096)),
        ("4096,8192", (4096, 4096)),
        ("start-end", (0x1000, 0x2000)),
        ("start,end", (0x1000, 0x2000)),
        ("start-0x1800", (0x1000, 0x800)),
        ("$pc-end", (0x2000, 0x1000)),
        ("$pc,+16", (0x2000, 16)),
        ("ffff0000,+1000", (0xFFFF0000, 0x1000)),
        ("0x0,+64K", (0, 0x10000)),
        ("0x0,+1m", (0, 1 << 20)),
        ("0x0,+4KiB", (0, 0x1000)),
        ("start,+2gb", (0x1000, 2 << 30)),
        ("ffff0000,+10T", (0xFFFF0000, 10 << 40)),
        ("0x0,+0x10k", (0, 0x4000)),
        ("(end-start)", (0x2000, 1)),
        ("(end-start)-end", (0x2000, 0x1000)),
        ("p->q", (8, 1)),
        ("start", (0x1000, 1)),
    ],
)
def test_a_range_is_first_and_end(text: str, expected: tuple[int, int]) -> None:
    assert read().range(text) == expected


@pytest.mark.parametrize("text", ["$pc-0x10", "end-start", "start-", "start-end-end", "1-1", "0,+0", "1,"])
def test_what_is_no_range_says_how_to_write_one(text: str) -> None:
    with pytest.raises(UsageError, match="write FIRST,END or FIRST-END"):
        read().range(text)


def test_a_size_with_a_unit_is_not_asked_of_the_face_and_has_an_end() -> None:
    asked: list[str] = []

    def face(text: str) -> int:
        asked.append(text)
        raise UsageError(f"{text} is no symbol")

    assert ArgumentReader(face).range("0x1000,+64K") == (0x1000, 0x10000)
    assert not asked
    with pytest.raises(UsageError, match="does not fit 64 bits"):
        ArgumentReader(face).range("0,+99999999999T")
    with pytest.raises(UsageError, match="no symbol"):
        ArgumentReader(face).range("0,+64Q")


def test_a_symbol_wins_over_the_digits_that_it_looks_like() -> None:
    assert read().address("face") == 0x40
    assert read().address("f00") == 0x44
    assert read().address("f01") == 0xF01
    with pytest.raises(UsageError, match="no symbol"):
        read().address("dad")


def test_a_number_is_not_asked_of_the_face() -> None:
    def never(text: str) -> int:
        raise AssertionError(text)

    assert ArgumentReader(never).range("0x1000-0x2000") == (0x1000, 0x1000)
    assert ArgumentReader(never).word("ffffffff96000006") == 0xFFFFFFFF96000006


def test_whole_registers_and_descriptors_are_hexadecimal_and_small_fields_are_not() -> None:
    assert read().register_change("TTBR0_EL1=40000000") == RegisterChange("TTBR0_EL1", None, 0x40000000)
    assert read().register_change("TCR_EL1.T0SZ=16") == RegisterChange("TCR_EL1", "T0SZ", 16)
    assert read().field_change("descriptor=00600000400004c3") == ("descriptor", 0x6000004_00004C3)
    assert read().field_change("OutputAddress=4020a000") == ("OutputAddress", 0x4020A000)
    assert read().descriptor_change("00400000.AP=3") == DescriptorChange(0x400000, "AP", 3)


def test_how_digits_were_read_comes_with_the_options_once() -> None:
    words = ("ffff800008000000", "ffff800008000000", "0x1000")
    asked = query(COMMANDS["walk"], words, evaluate, "gdbtools")
    assert asked.options.address == [0xFFFF800008000000, 0xFFFF800008000000, 0x1000]
    assert asked.readings == ("ffff800008000000 is read as hexadecimal: 0xffff800008000000",)


@pytest.mark.parametrize(
    "name", [name for name, command in COMMANDS.items() if any(each.name == "--level" for each in command.arguments)]
)
@pytest.mark.parametrize("words", [("--level=-1",), ("--level", "-1")])
def test_a_level_may_be_below_0(name: str, words: tuple[str, ...]) -> None:
    rest = ("0x1000", "AF=1") if name == "pte" else ("0x1000",)
    assert query(COMMANDS[name], (*rest, *words), evaluate, "gdbtools").options.level == -1


def test_commands_have_levels() -> None:
    with_levels = {n for n, command in COMMANDS.items() if any(each.name == "--level" for each in command.arguments)}
    assert {"pte", "watch", "who"} <= with_levels


def test_what_is_no_number_is_no_level() -> None:
    with pytest.raises(UsageError, match="'last' is no level of translation tables; give its number"):
        query(COMMANDS["watch"], ("0x1000", "--level", "last"), evaluate, "gdbtools")


def test_what_levels_and_address_spaces_there_are_is_not_the_parsers_business() -> None:
    assert query(COMMANDS["watch"], ("0x1000", "--level", "4"), evaluate, "gdbtools").options.level == 4
    asked = query(COMMANDS["tlbi"], ("asid=0x12345",), evaluate, "gdbtools")
    assert asked.options.what == Scope(Extent.ADDRESS_SPACE, 0x12345)

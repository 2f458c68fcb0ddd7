"""What the declarations say without importing what answers them is what that says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import MISSING, fields
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest

from gdbtools.analysis.comparison.compared_attributes import Aspect
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.gadgets import Scope
from gdbtools.cli import SHARED, main, overview
from gdbtools.commands import COMMANDS
from gdbtools.commands.arguments import IGNORABLE, REGIMES, SERVICED
from gdbtools.commands.diff.run import REGISTERS
from gdbtools.commands.model import Argument, DescriptorChange, Implementation, Kind, RegisterChange
from gdbtools.commands.own_help import own
from gdbtools.commands.parser import parser_for
from gdbtools.repair.service import KINDS


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_implemented_in_the_folder_of_its_name(name: str) -> None:
    implementation = COMMANDS[name].implementation()
    assert isinstance(implementation, Implementation)
    folder = f"gdbtools.commands.{name.replace('-', '_')}"
    assert implementation.run.__module__ == f"{folder}.run"


ONE_VALUE: dict[Kind, Any] = {
    **dict.fromkeys((Kind.ADDRESS, Kind.WORD, Kind.NUMBER, Kind.LEVEL), int),
    **dict.fromkeys((Kind.CHOICE, Kind.TEXT, Kind.FILE, Kind.REGISTER), str),
    Kind.SECONDS: float,
    Kind.RANGE: tuple[int, int],
    Kind.REGISTER_CHANGE: RegisterChange,
    Kind.DESCRIPTOR_CHANGE: DescriptorChange,
    Kind.FIELD_CHANGE: tuple[str, int],
    Kind.SCOPE: Scope,
}


def plain(hint: Any) -> Any:
    """Return a type with every address in it an int, as it is at run time."""
    if hasattr(hint, "__supertype__"):
        return hint.__supertype__
    inner = tuple(plain(each) for each in get_args(hint))
    if get_origin(hint) in (Union, UnionType):
        return Union[inner]  # noqa: UP007 (of values)
    return get_origin(hint)[inner] if inner else hint


def typed(argument: Argument) -> Any:
    """Return what an argument's values are, as the parser makes them."""
    if argument.kind is Kind.FLAG:
        return bool
    one = ONE_VALUE[argument.kind]
    if argument.many in ("*", "+"):
        return Sequence[one]
    return one | None if argument.is_option or argument.many == "?" else one


@pytest.mark.parametrize("name", COMMANDS)
def test_options_have_a_field_of_the_right_type_for_each_argument(name: str) -> None:
    options: Any = COMMANDS[name].implementation().options
    declared = {argument.field: typed(argument) for argument in COMMANDS[name].arguments}
    assert {field: plain(hint) for field, hint in get_type_hints(options).items()} == declared
    required = {each.name for each in fields(options) if each.default is MISSING}
    assert required == {
        argument.field for argument in COMMANDS[name].arguments if not argument.is_option and argument.many in ("", "+")
    }


def test_the_choices_are_those_that_there_are() -> None:
    assert IGNORABLE == (*(each.value for each in Aspect), REGISTERS)
    assert set(SERVICED) == set(KINDS)
    assert REGIMES == tuple(dict.fromkeys(name for each in ARCHITECTURES.values() for name in each.regime_names))


def test_to_know_the_commands_imports_nothing_of_what_answers_them() -> None:
    program = "import sys, gdbtools.commands; print(*(name for name in sys.modules if name.startswith('gdbtools.')))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert {name.split(".")[1] for name in loaded} == {"commands"}
    assert not [name for name in loaded if name.endswith((".run", ".view"))]


@pytest.mark.parametrize("columns", [80, 100])
@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_no_wider_than_the_terminal(name: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    said = parser_for(COMMANDS[name], "gdbtools", SHARED).format_help()
    words = [word for paragraph in COMMANDS[name].description.split("\n\n") for word in paragraph.split()]
    assert " ".join(words) in " ".join(said.split())
    assert max(map(len, said.splitlines())) <= columns


def test_choices_that_another_option_lists_are_not_in_the_help_of_each() -> None:
    said = parser_for(COMMANDS["audit"], "gdbtools", columns=80).format_help()
    assert "writable-executable" not in said
    assert said.count("--rules lists") == 2


def test_the_regimes_of_a_help_are_said_by_whose_they_are() -> None:
    said = " ".join(parser_for(COMMANDS["walk"], "gdbtools", columns=120).format_help().split())
    assert "Arm el1, el2, el2-vhe, el3, stage2, secure-stage2; RISC-V s, vs, g, m; x86-64 linear, npt, ept" in said
    own_of = parser_for(own(COMMANDS["walk"], ARCHITECTURES["x86_64"]), "gdbtools", columns=120).format_help()
    assert "using): linear, npt, ept" in " ".join(own_of.split())


def test_what_is_laid_out_by_hand_in_a_help_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    by_hand = COMMANDS["who"].description.partition("\n\n")[2]
    assert by_hand.startswith("Record: ")
    assert f"\n\n{by_hand}\n\n" in parser_for(COMMANDS["who"], "mmu").format_help()


@pytest.mark.parametrize("columns", [60, 80])
def test_so_is_the_list_of_commands(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    said = overview()
    assert all(each.summary in " ".join(said.split()) for each in COMMANDS.values())
    rows = [line for line in said.splitlines() if line.startswith("  ")]
    assert max(map(len, rows)) <= columns


def test_the_syndrome_is_called_what_each_architecture_calls_it() -> None:
    own = {each.syndrome for each in ARCHITECTURES.identities if each.syndrome}
    assert set(COMMANDS["syndrome"].aliases) == own == {"esr", "scause", "pf", "dfsr"}
    assert all(COMMANDS[name] is COMMANDS["syndrome"] for name in own)
    assert own.isdisjoint(COMMANDS), "listed once"
    assert own < set(COMMANDS.spellings)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("esr 0x9600004b", "Data Abort"),
        ("scause 0xd", "load page fault"),
        ("syndrome 0x7 --arch riscv64", "store/AMO access fault"),
        ("scause 0x80000005 --arch riscv32", "supervisor timer interrupt"),
        ("esr 0xd --arch riscv64", "load page fault"),
    ],
)
def test_a_name_says_whose_a_value_is_unless_somebody_says_it(
    words: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words.split(), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["command"], answer["result"]["class"].startswith(says)) == ("syndrome", True)


def test_a_cause_that_somebody_counted_is_told_from_its_hexadecimal_reading(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["scause", "13"]) == 0
    assert "13 is read as hexadecimal: 0x13; decimal 13 is 0xd" in capsys.readouterr().out


def test_what_htval_holds_is_no_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scause", "0x15"]) == 0
    assert "\nhtval  the guest physical address, shifted right by 2, or 0\n" in capsys.readouterr().out


def test_a_cause_is_no_larger_than_its_register(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scause", "0x8000000000000005", "--arch", "riscv32"]) == 2
    assert capsys.readouterr().err == (
        "gdbtools: 0x8000000000000005 does not fit 32 bits; give a value from 0 to 0xffffffff\n"
    )


def test_without_any_name_a_syndrome_is_nobodys(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["syndrome", "0xd"]) == 2
    assert "say --arch" in capsys.readouterr().err

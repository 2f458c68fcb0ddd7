"""Aborts: which of the two it was, what its status says, and what of the registers is its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gdbtools.arch.aarch32.syndrome import DATA, FETCH, decode
from gdbtools.arch.aarch32.syndrome.fault_status import LONG_STATUS, SHORT_STATUS, status
from gdbtools.arch.arm.fault_status import FAULT_STATUS
from gdbtools.arch.model import AccessKind, Fault, FaultKind
from gdbtools.cli import main
from tests.arch.aarch32.machine import AARCH32, ABORT, EAE, HYP, ROOT0, SUPERVISOR, M, Machine

VECTORS = 0x1000
PREFETCH, DATA_ENTRY, SVC, IRQ = VECTORS + 0x0C, VECTORS + 0x10, VECTORS + 0x08, VECTORS + 0x18
LPAE, WNR, CM = 1 << 9, 1 << 11, 1 << 13
# FS of short descriptors: "DFSR, Data Fault Status Register".
SHORT = {
    0b00001: (FaultKind.ALIGNMENT, None), 0b00011: (FaultKind.ACCESS_FLAG, 1), 0b00110: (FaultKind.ACCESS_FLAG, 2),
    0b00101: (FaultKind.TRANSLATION, 1), 0b00111: (FaultKind.TRANSLATION, 2), 0b01001: (FaultKind.DOMAIN, 1),
    0b01011: (FaultKind.DOMAIN, 2), 0b01101: (FaultKind.PERMISSION, 1), 0b01111: (FaultKind.PERMISSION, 2),
    0b01000: (FaultKind.EXTERNAL_ABORT, None), 0b01100: (FaultKind.EXTERNAL_ABORT, 1),
    0b01110: (FaultKind.EXTERNAL_ABORT, 2), 0b10000: (FaultKind.TLB_CONFLICT, None),
    0b11001: (FaultKind.PARITY, None), 0b11100: (FaultKind.PARITY, 1), 0b11110: (FaultKind.PARITY, 2),
    0b10100: (FaultKind.IMPLEMENTATION_DEFINED, None), 0b10101: (FaultKind.UNSUPPORTED_ATOMIC_ACCESS, None),
}  # fmt: skip

Ask = Callable[..., Any]


@pytest.fixture
def ask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Return what asks a command about registers, and memory that has what is given of it and is 0 elsewhere."""

    def asked(
        command: str, registers: dict[str, int], memory: dict[int, int] | None = None, exit_status: int = 1
    ) -> Any:
        (tmp_path / "registers.json").write_text(json.dumps({name: hex(value) for name, value in registers.items()}))
        image = bytearray(1 << 16)
        for at, word in (memory or {}).items():
            image[at - ROOT0 : at - ROOT0 + 4] = word.to_bytes(4, "little")
        (tmp_path / "ram").write_bytes(image)
        source = ["-s", f"{tmp_path}/ram@{ROOT0:#x}", "--registers", f"{tmp_path}/registers.json"]
        assert main([*command.split(), *source, "--json"]) == exit_status, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)["result"]

    return asked


def registers(**values: int) -> dict[str, int]:
    """Return registers of a CPU that is at the entry of a data abort, with one section from 0 on that PL1 may read."""
    usual = {
        "SCTLR": M, "TTBCR": 0, "TTBR0": ROOT0, "DACR": 1, "VBAR": VECTORS, "cpsr": ABORT, "pc": DATA_ENTRY,
        "lr": 0x2008, "DFSR": WNR | 0x0D, "DFAR": 0x5000, "IFSR": 0, "IFAR": 0,
    }  # fmt: skip
    return {**usual, **values}


READ_ONLY = {ROOT0: 0x4010_0000 | 1 << 15 | 1 << 10 | 0b10}


@pytest.mark.parametrize("code", range(32))
def test_each_fault_status_of_short_descriptors(code: int) -> None:
    found = decode((code >> 4) << 10 | code & 0xF)
    expected = SHORT.get(code)
    assert found.fault == (None if expected is None else Fault(expected[0], 1, expected[1]))
    assert found.address_valid is (expected is not None and expected[0] is not FaultKind.IMPLEMENTATION_DEFINED)
    assert found.status == (None if expected is None else code)
    if expected is not None:
        assert status(Fault(expected[0], 1, expected[1]), False) == code
    assert bool(found.notes) is (expected is None)


@pytest.mark.parametrize("code", range(64))
def test_each_fault_status_of_long_descriptors_is_that_of_aarch64_where_there_is_such_a_level(code: int) -> None:
    found = decode(LPAE | code)
    kind, level = FAULT_STATUS.get(code, (None, None))
    missing = (FaultKind.TAG_CHECK, FaultKind.GRANULE_PROTECTION, FaultKind.UNSUPPORTED_ATOMIC)
    lowest = 0 if kind is FaultKind.ADDRESS_SIZE else 1
    there = kind is not None and kind not in missing and (level is None or level >= lowest)
    assert found.fault == (Fault(kind, 1, level) if there and kind is not None else None)
    if there and kind is not None:
        assert status(Fault(kind, 1, level), True) == code


def test_the_formats_have_no_code_for_the_others_faults() -> None:
    assert status(Fault(FaultKind.DOMAIN, 1, 1), True) is None
    assert status(Fault(FaultKind.ADDRESS_SIZE, 1, 1), False) is None
    assert status(Fault(FaultKind.TRANSLATION, 1, 3), False) is None
    assert len(SHORT_STATUS) == len(SHORT)
    assert set(LONG_STATUS) < set(FAULT_STATUS)


def test_what_was_wanted() -> None:
    assert decode(0x0D).access_kind is AccessKind.READ
    assert decode(WNR | 0x0D).access_kind is AccessKind.WRITE
    assert decode(CM | WNR | 0x05).access_kind is AccessKind.MAINTENANCE
    assert decode(0x0D, FETCH).access_kind is AccessKind.EXECUTE
    assert (decode(0x0D).name, decode(0x0D, FETCH).name) == ("Data Abort", "Prefetch Abort")
    assert decode(0x02).access_kind is None
    assert decode(1 << 16 | 0x05, FETCH).address_valid is False
    assert decode(0x05, FETCH).address_valid
    assert (DATA, FETCH) == ("DFSR", "IFSR")


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"pc": DATA_ENTRY, "DFSR": 0, "IFSR": 5}, "Data Abort"),
        ({"pc": PREFETCH, "IFSR": 0}, "Prefetch Abort"),
        ({"pc": 0x9000, "DFSR": 0, "IFSR": 5, "IFAR": 0x5000}, "Prefetch Abort"),
        ({"pc": 0x9000, "DFSR": 5, "IFSR": 5, "IFAR": 0x2004}, "Prefetch Abort"),
        ({"pc": 0x9000, "DFSR": 5, "IFSR": 5, "IFAR": 0x2000}, "Data Abort"),
        ({"pc": 0x9000, "DFSR": 5, "IFSR": 5, "IFAR": 0x2004, "cpsr": SUPERVISOR}, "Data Abort"),
        ({"pc": 0x9000, "DFSR": 5, "IFSR": 0, "IFAR": 0x2004}, "Data Abort"),
        ({"pc": 0x9000, "DFSR": 2, "IFSR": 5, "cpsr": SUPERVISOR}, "Prefetch Abort"),
    ],
)
def test_which_abort_it_was(values: dict[str, int], name: str) -> None:
    register = Machine(registers(**values)).register
    assert AARCH32.exceptions.syndrome(register).name == name
    assert AARCH32.exceptions.record(register).syndrome.name == name


def test_with_one_status_register_alone_it_is_that_ones() -> None:
    for lacking, name in (("DFSR", "Prefetch Abort"), ("IFSR", "Data Abort")):
        machine = Machine(registers(pc=0x9000, DFSR=5, IFSR=5))
        del machine.registers[lacking]
        assert AARCH32.exceptions.syndrome(machine.register).name == name


def test_the_tables_agree_and_the_status_is_foretold(ask: Ask) -> None:
    answer = ask("fault", registers(), READ_ONLY)
    assert (
        answer["sentence"] == "PL1 write of 0x5000: permission fault, level 1, and the tables agree: nobody may write."
    )
    assert (answer["verdict"], answer["vector_entry"], answer["current"]) == ("tables agree", "Data Abort", True)
    assert int(answer["predicted"]["status"], 16) == 0x0D
    assert int(answer["return_address"], 16) == 0x2000
    long = ask("fault", registers(TTBCR=EAE, DFSR=LPAE | WNR | 0x05))
    assert (long["verdict"], int(long["predicted"]["status"], 16)) == ("tables agree", 0x05)


def test_an_address_between_the_ranges_is_decided_by_their_sizes(ask: Ask) -> None:
    answer = ask("fault", registers(TTBCR=EAE | 2 | 3 << 16, TTBR1=ROOT0, DFSR=LPAE | 0x05, DFAR=0x4000_0000))
    deciding = answer["predicted"]["deciding"]
    assert (answer["verdict"], deciding["holder"], deciding["field"]) == ("tables agree", "TTBCR", "T1SZ")


def test_a_fault_of_another_kind_differs_from_what_the_tables_say(ask: Ask) -> None:
    answer = ask("fault", registers(DFSR=WNR | 0x05), READ_ONLY)
    assert answer["verdict"] == "tables differ"


def test_an_abort_on_the_walk_has_its_level(ask: Ask) -> None:
    answer = ask("fault", registers(DFSR=0x0E, DFAR=0x5000), {ROOT0: 0x7000_0001})
    assert (answer["verdict"], answer["syndrome"]["fault"]["level"]) == ("walk aborted", 2)


def test_an_abort_of_the_access_itself_has_no_level(ask: Ask) -> None:
    answer = ask("fault", registers(DFSR=0x08), READ_ONLY)
    assert (answer["verdict"], answer["syndrome"]["fault"]["level"]) == ("access aborted", None)


def test_a_debug_event_is_no_matter_of_the_tables(ask: Ask) -> None:
    answer = ask("fault", registers(pc=PREFETCH, IFSR=0x02), exit_status=0)
    assert (answer["verdict"], answer["syndrome"]["notes"]) == ("not the tables", ["debug event"])


def test_at_an_interrupts_entry_no_abort_is_current(ask: Ask) -> None:
    assert ask("fault", registers(pc=IRQ), READ_ONLY, exit_status=0)["verdict"] == "interrupt"


def test_of_a_prefetch_abort_the_return_address_has_to_be_ifar(ask: Ask) -> None:
    fits = registers(pc=PREFETCH, IFSR=0x05, IFAR=0x20_0000, lr=0x20_0004)
    assert ask("fault", fits)["verdict"] == "tables agree"
    exceptions = AARCH32.exceptions
    for lr, fit in ((0x20_0004, "FITS"), (0x20_0002, "FITS"), (0x20_0008, "CONTRADICTS")):
        found = exceptions.record(Machine({**fits, "lr": lr}).register)
        assert exceptions.fits(found, None).fit.name == fit


def test_an_abort_is_held_against_the_entry_that_it_was_taken_at(ask: Ask) -> None:
    answer = ask("fault", registers(pc=SVC), READ_ONLY)
    assert answer["verdict"] == "not one exception"


def test_nothing_has_been_taken_since_reset(ask: Ask) -> None:
    answer = ask("fault", registers(pc=0x9000, DFSR=0, DFAR=0), exit_status=0)
    assert answer["verdict"] == "none taken"


def test_away_from_the_vectors_an_abort_is_the_last_one_and_its_instruction_is_not_known(ask: Ask) -> None:
    answer = ask("fault", registers(pc=0x9000, cpsr=SUPERVISOR), READ_ONLY)
    assert answer["sentence"].startswith("last exception: ")
    assert (answer["current"], answer["return_address"], answer["evidence"]["kind"]) == (False, None, "not shown")


def test_who_was_interrupted_is_who_alone_may_execute_what_is_there() -> None:
    def origin(entry: int, **values: int) -> str | None:
        machine = Machine(registers(**values), {ROOT0: entry})
        found = AARCH32.exceptions.record(machine.register).origin
        return None if found is None else found.label

    section = 0x4010_0000 | 0b10
    assert origin(section | 1 << 10) == "PL1"
    assert origin(section | 3 << 10 | 1) == "PL0"
    assert origin(section | 3 << 10) is None
    assert origin(section | 1 << 4) is None
    assert origin(0) is None
    assert origin(section | 1 << 10, pc=0x9000) is None
    assert origin(section | 1 << 10, cpsr=SUPERVISOR) is None


@pytest.mark.parametrize(("sctlr", "base", "holder"), [(M, VECTORS, "VBAR"), (M | 1 << 13, 0xFFFF_0000, "SCTLR")])
def test_where_aborts_are_taken(sctlr: int, base: int, holder: str) -> None:
    register = Machine(registers(SCTLR=sctlr, VBAR=VECTORS | 0x1F)).register
    exceptions = AARCH32.exceptions
    assert exceptions.vectors(register) == {base + 0x0C: "Prefetch Abort", base + 0x10: "Data Abort"}
    assert exceptions.vector_base(register) == holder
    names = []
    for pc in range(base - 4, base + 0x24, 4):
        found = exceptions.vector_entry(Machine(registers(SCTLR=sctlr, pc=pc & 0xFFFF_FFFF)).register)
        names.append("" if found is None else found.name)
    abort_entries = ("Prefetch Abort", "Data Abort")
    first = ("", "Reset", "Undefined Instruction", "Supervisor Call")
    assert names == [*first, *abort_entries, "Hyp Trap", "IRQ", "FIQ", ""]
    assert exceptions.vector_entry(Machine(registers(SCTLR=sctlr, pc=base + 2)).register) is None


def test_in_hyp_mode_its_own_tables_are_not_taken_for_pl1s(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("status", registers(cpsr=HYP), exit_status=0)["trouble"]


@pytest.mark.parametrize("value", ["0x5", "0x205"])
def test_a_value_by_itself_is_of_whichever_register_somebody_says(
    value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dfsr", value, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)["result"]
    assert (data["class"], data["access"]) == ("Data Abort", "read")
    assert "--fetch takes it for one of IFSR" in data["notes"][-1]
    assert main(["dfsr", value, "--fetch", "--json"]) == 0
    fetch = json.loads(capsys.readouterr().out)["result"]
    assert (fetch["class"], fetch["access"], fetch["notes"]) == ("Prefetch Abort", "execute", [])
    assert "FnV" in {each["name"] for each in fetch["fields"]}
    main(["dfsr", value, "--fetch"])
    shown = capsys.readouterr().out
    assert "\nIFAR " in shown
    assert "\nLR_abt - 4 " in shown


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("esr 0x96000004 --fetch", "a syndrome of AArch64 says itself whether a fetch was refused; leave --fetch out"),
        ("dfsr 0x100000000 --fetch", "does not fit 32 bits"),
        ("dfsr 0x5 --fetch --class 0x24", "AArch32 has no classes of exceptions"),
    ],
)
def test_what_has_no_such_register_says_so(words: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(("arch", "has"), [("aarch32", True), ("aarch64", False), ("x86_64", False)])
def test_options_of_two_registers_and_two_formats_are_in_the_help_of_who_has_them(
    arch: str, has: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    for command, option in (("syndrome", "--fetch"), ("pte", "--bits")):
        assert main([command, "--help", "--arch", arch]) == 0
        assert (f"  {option}" in capsys.readouterr().out) is has

"""`walk` on a file of RAM and one of registers says what the library says, and what the manuals' rules say.

The form is that in which answers from elsewhere are compared: `fault.status` is the error code of the page fault, and
`fault.vector` says that it is one.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gdbtools.cli import main
from tests.guests.x86 import states
from tests.guests.x86.guest_rules import GuestRules, Nested, NestedFault
from tests.guests.x86.guest_states import MODES, GuestDrawing
from tests.guests.x86.oracle import AC, RAM_BYTES, Abilities, Request
from tests.guests.x86.rules import Raised, Rules, Touch

WIDTH, STATES = 40, 12
"""MAXPHYADDR where somebody says it, and how many states are drawn of each mode."""
ASSUMED_WIDTH = 52
SMAP, SMEP = 1 << 21, 1 << 20


class Ram:
    """The pages of one state, in a file that is most of it a hole."""

    def __init__(self, folder: Path, pages: Mapping[int, bytes]) -> None:
        self.path, self.registers = folder / "ram.bin", folder / "registers.json"
        self.pages = pages
        with self.path.open("wb") as ram:
            ram.truncate(RAM_BYTES)
            for at, page in pages.items():
                ram.seek(at)
                ram.write(page)

    def word(self, pa: int) -> int:
        if pa + 8 > RAM_BYTES:
            raise LookupError(pa)
        return int.from_bytes(self.pages.get(pa & ~4095, bytes(4096))[pa & 4095 : (pa & 4095) + 8], "little")

    def ask(
        self, capsys: pytest.CaptureFixture[str], values: Mapping[str, int], request: Request, *more: str
    ) -> dict[str, Any]:
        """Return the command's answer about an access, having held its exit status to it."""
        self.registers.write_text(json.dumps({name: hex(value) for name, value in values.items()}))
        operation = request.operation
        kind = "execute" if operation.is_fetch else "write" if operation.is_write else "read"
        source = ["-s", f"{self.path}@0x0", "--registers", str(self.registers), "--arch", "x86_64"]
        access = ["--access", kind, "--privilege", "user" if operation.is_user else "supervisor"]
        status = main(["walk", *source, *access, *more, "--json", hex(request.va)])
        shown = capsys.readouterr()
        assert not shown.err, (shown.err, request, values)
        result: dict[str, Any] = json.loads(shown.out)["result"]
        assert status == int("fault" in result)
        return result


def touch(request: Request, ac: bool) -> Touch:
    operation = request.operation
    return Touch(request.va, operation.is_write, operation.is_fetch, operation.is_user, ac)


def outcome(result: dict[str, Any]) -> object:
    fault = result.get("fault")
    if fault is None:
        return int(result["output"], 16)
    if fault["stage"] == 2:
        where = result["refused_fetch"]["ipa"] if "refused_fetch" in result else result["ipa"]
        return NestedFault(int(fault["status"], 16), int(where, 16))
    return Raised(fault["vector"], 0 if fault["status"] is None else int(fault["status"], 16))


def said(found: object) -> str:
    if isinstance(found, NestedFault):
        return "nested page fault"
    return f"#{found.vector} {found.error:#x}" if isinstance(found, Raised) else "mapped"


def expected(rules: Rules, asked: Touch) -> object:
    try:
        return rules.access(asked)
    except (Raised, NestedFault) as refused:
        return refused


@pytest.mark.parametrize("known", ["all registers", "cr0, cr3, cr4 and efer"])
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_is_answered_from_all_registers_and_from_the_four_that_are_needed(
    mode: str, known: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone, seen = known != "all registers", Counter[str]()
    width = ASSUMED_WIDTH if alone else WIDTH
    for number in range(STATES):
        state = GuestDrawing(mode, 0, number, WIDTH).draw()
        ram = Ram(tmp_path, state.pages)
        # As a log may have them: names in capitals, and no maxphyaddr, eflags or cs.
        four = {name.upper(): state.registers[name] for name in ("cr0", "cr3", "cr4", "efer")}
        for request in state.requests[:: max(1, len(state.requests) // 5)]:
            rules = GuestRules(state.registers, ram.word, width, None)
            asked = touch(request, ac=not alone and bool(request.rflags & AC))
            try:
                wanted = expected(rules, asked)
            except LookupError:
                continue
            values = four if alone else state.registers | {"eflags": request.rflags, "cs": 8, "maxphyaddr": WIDTH}
            result = ram.ask(capsys, values, request)
            assert outcome(result) == wanted, (number, request, values)
            seen[said(wanted)] += 1
            guessed = {each.split(":")[0] for each in result["assumed"]}
            assert ("maxphyaddr" in guessed) == (alone and mode != "32-bit")
            assert ("eflags" in guessed) == (alone and bool(state.registers["cr4"] & SMAP))
            assert "pat" in guessed
    assert seen["mapped"] > STATES // 2, seen
    assert len(seen) > 5, seen
    # RSVD needs a width to be beyond, in 32-bit paging a page of 4 MiB.
    assert any("0x9" in each or "0xd" in each or "0xb" in each for each in seen) or alone or mode == "32-bit", seen


@pytest.mark.parametrize("levels", [4, 5])
def test_keys_and_controls_may_be_supposed(levels: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = Counter[str]()
    for number in range(STATES):
        state = states.Drawing(levels, number, Abilities(WIDTH)).draw()
        ram = Ram(tmp_path, state.pages)
        for request in state.requests[:: max(1, len(state.requests) // 5)]:
            try:
                wanted = expected(Rules(state.registers, ram.word, WIDTH), touch(request, bool(request.rflags & AC)))
            except LookupError:
                continue
            given = dict(state.registers)
            supposed = []
            for name, bit in (("SMEP", SMEP), ("SMAP", SMAP)):
                supposed += ["--with", f"cr4.{name}={int(bool(given['cr4'] & bit))}"]
                given["cr4"] ^= bit if number % 2 else 0
            supposed += ["--with", f"pkru={given.pop('pkru'):#x}", "--with", f"maxphyaddr={WIDTH:#x}"]
            result = ram.ask(capsys, given | {"eflags": request.rflags}, request, *supposed)
            assert outcome(result) == wanted, (number, request, state.registers)
            seen[said(wanted)] += 1
    assert {"mapped", "#13 0x0"} <= {*seen}, seen
    assert any(int(each.split()[1], 16) & 0x20 for each in seen if each.startswith("#14")), seen


@pytest.mark.parametrize("mode", MODES)
def test_nested_tables_are_answered_as_the_vm_exit_has_it(
    mode: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = Counter[str]()
    for number in range(STATES):
        state = GuestDrawing(mode, 4, number, WIDTH).draw()
        ram = Ram(tmp_path, state.pages)
        for request in state.requests[:: max(1, len(state.requests) // 5)]:
            nested = Nested(state.registers, ram.word, WIDTH)
            rules = GuestRules(state.registers, ram.word, WIDTH, nested)
            try:
                wanted = expected(rules, touch(request, bool(request.rflags & AC)))
            except LookupError:
                continue
            result = ram.ask(capsys, state.registers | {"eflags": request.rflags, "maxphyaddr": WIDTH}, request)
            assert outcome(result) == wanted, (number, request, state.registers)
            seen[said(wanted)] += 1
    assert {"mapped", "nested page fault"} <= {*seen}, seen


def test_a_root_alone_asks_the_second_stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = (0x1000, 0x2000, 0x3000, 0x4000)
    pages = {pa: (pa + 0x1000 | 7).to_bytes(8, "little") + bytes(4088) for pa in places[:3]}
    pages[places[3]] = (0x9037).to_bytes(8, "little") + bytes(4088)
    ram = Ram(tmp_path, pages)
    source = ["-s", f"{ram.path}@0x0", "--arch", "x86_64"]
    for name, root, memory in (("ept", "0x101e", "WB"), ("ept", "0x1000", "WB"), ("npt", "0x1000", "UC-")):
        asked = ["--regime", name, "--root", root]
        assert main(["walk", *source, *asked, "0x123", "--access", "write", "--json"]) == 0
        result = json.loads(capsys.readouterr().out)["result"]
        assert (result["output"], result["attributes"]["memory"]) == ("0x0000000000009123", memory)
        assert ("eptp: 4 levels" in " ".join(result["assumed"])) == (root == "0x1000" and name == "ept")
        assert main(["map", *source, *asked, "--json"]) == 0
        assert '"output": "0x0000000000009000"' in capsys.readouterr().out
    assert main(["walk", *source, "--regime", "npt", "0"]) == 3
    assert "--with ncr3=0x..., or --regime npt --root 0x..." in capsys.readouterr().err
    capture = "fixtures/captures/osv-1131.core"
    assert main(["walk", "-s", capture, "0x1000", "--root", "0x40000000"]) == 2
    assert "give the register that has it: --with TTBR0_EL1=" in capsys.readouterr().err


def test_what_is_no_address_is_no_page_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ram = Ram(tmp_path, {})
    values = {"cr0": 0x8001_0001, "cr3": 0x1000, "cr4": 0x20, "efer": 0xD00}
    result = ram.ask(capsys, values, Request(0x8000_0000_0000, states.Operation.USER_LOAD))
    assert (result["fault"]["status"], result["fault"]["vector"]) == (None, 13)
    main(["walk", "-s", f"{ram.path}@0x0", "--registers", str(ram.registers), "--access", "write", "0x800000000000"])
    first = "0x800000000000 (supervisor write) is not canonical: general protection (#GP(0); #SS(0) through the stack)"
    assert " ".join(capsys.readouterr().out.split()).startswith(first)


def test_what_another_architecture_calls_its_syndrome_is_not_taken_for_this_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = ["-s", f"{Ram(tmp_path, {}).path}@0x0", "--arch", "x86_64"]
    for name, whose in (("esr", "AArch64"), ("scause", "RISC-V (64 bits)")):
        assert main([name, "0x7", *source]) == 2
        refused = (
            f"`{name}` is of {whose}, and this source of x86-64: ask `pf`, or `syndrome`, which goes by the source"
        )
        assert capsys.readouterr().err == f"gdbtools: {refused}\n"
    for name in ("pf", "syndrome"):
        assert main([name, "0x7", *source]) == 0
        assert "page fault (#PF): user write" in capsys.readouterr().out


def test_why_no_fault_can_be_told_goes_on_after_a_colon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    registers = tmp_path / "registers.json"
    registers.write_text('{"cr0": "0x80010001", "cr3": "0x1000", "cr4": "0x20", "efer": "0xd00", "cr2": "0x4000"}')
    main(["report", "-s", f"{Ram(tmp_path, {}).path}@0x0", "--registers", str(registers), "--arch", "x86_64"])
    assert capsys.readouterr().out.startswith("No fault can be told: ")

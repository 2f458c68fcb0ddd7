"""AArch32 under qemu-system-arm: what a guest of ours planted is what is mapped, and each refusal names its bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gdbtools.children.mi import Gdb
from gdbtools.cli import main
from tests.live.arm_planted import (
    BLOCK,
    EXECUTE,
    READ,
    SIZES,
    USER_READ,
    WRITE,
    Mapping,
    mappings,
    planted_arm,
)

pytestmark = pytest.mark.guest

AGREE = "and the tables agree"
FORMATS = ({}, {"remap": 1}, {"format": 1})
NAMED = ("short", "short, TEX remap and AFE", "long")
# As Linux calls them: those that the guest gives its list.
MEMORY = ("Normal Write-Back RW-allocate", "Device-nGnRE")
REGISTERS = ("SCTLR", "TTBCR", "TTBR0", "TTBR1", "DACR", "MAIR0", "MAIR1", "DFSR", "DFAR", "IFSR", "IFAR", "VBAR")


def leaves(each: Mapping, is_long: bool) -> list[tuple[int, int]]:
    """Return the leaves that make a mapping: where each is in it, and its size."""
    size, end = SIZES[each.shape], each.size_bytes
    if not is_long:
        return [(at, size) for at in range(0, end, size)]
    found, at = [], 0
    while at < end:
        fits = not (each.va + at | each.pa + at) % BLOCK and end - at >= BLOCK
        found.append((at, BLOCK if fits else 4096))
        at += found[-1][1]
    return found


def wanted(is_long: bool, flag: bool) -> dict[int, tuple[Any, ...]]:
    """Return what has to be mapped, by address, in the pieces that `map` has: leaf, output, rights, memory, state."""
    found = {}
    for each in mappings():
        for at, size in leaves(each, is_long):
            # A supersection is 16 entries of 1MB, and a large page 16 of 4KB: runs have the entry's size.
            entry = size if is_long or each.shape in (0, 3) else size // 16
            for piece in range(at, at + size, entry):
                found[each.va + piece] = (
                    entry, each.pa + piece, each.granted(False, not is_long), each.granted(True, not is_long),
                    MEMORY[each.memory], bool(each.accessed) or not flag, bool(each.is_global),
                )  # fmt: skip
    return found


def mapped(answer: Any) -> dict[int, tuple[Any, ...]]:
    """Return what `map` has, a leaf each."""
    found = {}
    for run in answer["runs"]:
        given, rights = run["attributes"], run["attributes"]["rights"]
        for at in range(0, run["size"], run["block_size"]):
            found[int(run["first"], 16) + at] = (
                run["block_size"], int(run["output"], 16) + at, rights["pl1"], rights["pl0"], given["memory"],
                given["accessed"], given["global"],
            )  # fmt: skip
    return found


@pytest.mark.parametrize("variables", FORMATS, ids=NAMED)
def test_what_is_mapped_is_what_the_guest_planted(gdb: Gdb, variables: dict[str, int]) -> None:
    is_long = "format" in variables
    with planted_arm(gdb, **variables) as live:
        (answer,) = live.ask("map")
        assert mapped(answer) == wanted(is_long, is_long or "remap" in variables)
        (status,) = live.ask("status")
        assert (status["architecture"], status["privilege"]) == ("aarch32", "pl1")
        assert [each["name"] for each in status["regimes"]] == [f"PL1&0 stage 1, TTBR{n}" for n in range(2)]


DENIALS = (
    ("absent", {"scenario": 0x1000, "how": READ}, "PL1 read", "translation fault, level 1",
     "the descriptor is not valid", "TYPE", 0),
    ("absent page", {"scenario": 0x70008000, "how": WRITE}, "PL1 write", "translation fault, level 2",
     "the descriptor is not valid", "TYPE", 0),
    ("read-only", {"scenario": 0x70005000, "how": WRITE}, "PL1 write", "permission fault, level 2",
     "nobody may write", "AP", 0b101),
    ("user", {"scenario": 0x70000000, "how": USER_READ}, "PL0 read", "permission fault, level 2",
     "PL0 has no access", "AP", 0b001),
    ("section that is not executable", {"scenario": 0x60000000, "how": EXECUTE}, "PL1 execute",
     "permission fault, level 1", "execution is denied", "XN", 1),
    ("access flag", {"scenario": 0x70007010, "how": READ, "remap": 1}, "PL1 read", "access flag fault, level 2",
     "the access flag is clear", "AF", 0),
    ("simplified permissions", {"scenario": 0x70005000, "how": WRITE, "remap": 1}, "PL1 write",
     "permission fault, level 2", "nobody may write", "AP", 0b10),
    ("long, absent", {"scenario": 0x1000, "how": READ, "format": 1}, "PL1 read", "translation fault, level 2",
     "the descriptor is not valid", "VALID", 0),
    ("long, read-only", {"scenario": 0x70005000, "how": WRITE, "format": 1}, "PL1 write",
     "permission fault, level 3", "nobody may write", "AP", 0b10),
    ("long, access flag", {"scenario": 0x70007010, "how": READ, "format": 1}, "PL1 read",
     "access flag fault, level 3", "the access flag is clear", "AF", 0),
    ("long, not executable", {"scenario": 0x70000000, "how": EXECUTE, "format": 1}, "PL1 execute",
     "permission fault, level 3", "execution is denied", "XN", 1),
)  # fmt: skip
"""The guest's variables, who wanted what, the fault, why, and the bit: its name and value."""
QUICK = ("user", "section that is not executable", "access flag", "long, read-only")


@pytest.mark.parametrize(
    ("variables", "access", "fault", "why", "field", "value"),
    [pytest.param(*each[1:], id=each[0], marks=() if each[0] in QUICK else pytest.mark.full) for each in DENIALS],
)
def test_the_deciding_bit_is_named_first_and_is_where_the_guest_has_it(
    gdb: Gdb, variables: dict[str, int], access: str, fault: str, why: str, field: str, value: int
) -> None:
    with planted_arm(gdb, **variables) as live:
        live.to_fault()
        sentence, answer = live.verdict()
        assert sentence == f"{access} of {variables['scenario']:#x}: {fault}, {AGREE}: {why}."
        deciding = answer["predicted"]["deciding"]
        assert (deciding["field"], int(deciding["value"], 16)) == (field, value)
        at = int(deciding["descriptor_address"], 16)
        (step,) = [each for each in answer["walk"]["steps"] if int(each["descriptor_address"], 16) == at]
        assert live.word(at) == int(step["descriptor"], 16) & 0xFFFF_FFFF
        name = "IFSR" if variables["how"] == EXECUTE else "DFSR"
        assert int(answer["syndrome"]["value"], 16) == live.value(f"${name}")
        assert answer["evidence"]["kind"] == "at entry"


def test_a_domain_is_named_with_its_field_of_the_register(gdb: Gdb) -> None:
    with planted_arm(gdb, scenario=0x61000000, how=READ) as live:
        live.say("mmu catch domain")
        live.say("continue")
        sentence, answer = live.verdict()
        assert (
            sentence == f"PL1 read of 0x61000000: domain fault, level 1, {AGREE}: DACR gives no access to its domain."
        )
        deciding = answer["predicted"]["deciding"]
        assert (deciding["holder"], deciding["field"], int(deciding["value"], 16)) == ("DACR", "D1", 0)
        assert live.value("$DACR") >> 2 & 3 == 0


def test_who_made_the_access_is_told_by_who_may_execute_what_is_there(gdb: Gdb) -> None:
    with planted_arm(gdb, scenario=0x70000000, how=USER_READ) as live:
        live.to_fault()
        _, answer = live.verdict()
        assert (answer["access"]["privilege"], int(answer["return_address"], 16)) == ("pl0", 0x72000000)
        assert "PL0, which alone may execute what is there: there is no SPSR_abt" in live.say("mmu fault")


def test_a_dump_and_a_capture_have_the_same_answers(
    gdb: Gdb, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """QEMU's own core of such a guest has its general registers; those of the system somebody has to write down."""
    with planted_arm(gdb, scenario=0x70005000, how=WRITE) as live:
        live.to_fault()
        (shown,), (fault,) = live.ask("map"), live.ask("fault")
        live.say(f"monitor dump-guest-memory {tmp_path}/core")
        live.say(f"mmu capture {tmp_path}/capture")
        values = {name: hex(live.value(f"${name}")) for name in REGISTERS}
    (tmp_path / "registers.json").write_text(json.dumps(values))
    for source in ([f"{tmp_path}/core", "--registers", f"{tmp_path}/registers.json"], [f"{tmp_path}/capture"]):
        assert main(["map", "-s", *source, "--json"]) == 0
        assert mapped(json.loads(capsys.readouterr().out)["result"]) == mapped(shown)
        assert main(["fault", "-s", *source, "--json"]) == 1
        answer = json.loads(capsys.readouterr().out)["result"]
        assert (answer["sentence"], answer["predicted"]) == (fault["sentence"], fault["predicted"])


def test_in_secure_state_the_other_copy_of_the_registers_is_not_taken_for_its_own(gdb: Gdb) -> None:
    with planted_arm(gdb, machine="virt,secure=on") as live:
        refused = live.refusal("mmu walk 0x40100000")
        assert "the CPU is in Secure state" in refused
        assert "--with SCR.NS=1" in refused

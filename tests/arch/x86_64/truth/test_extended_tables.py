"""Intel's EPT: no emulator at hand has it, so these are the SDM's rules, one a line.

Volume 3, "The Extended Page Table Mechanism (EPT)", "Exit Qualification for EPT Violations".
"""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from gdbtools.addresses import VA
from gdbtools.arch.model import Fault, FaultKind, Mapped, written_down
from gdbtools.arch.scan import scan
from gdbtools.arch.x86_64.architecture import X86_64
from gdbtools.arch.x86_64.tables.extended_entries import ExtendedTable
from gdbtools.cli import main
from gdbtools.errors import Unavailable
from tests.arch.x86_64.guest import Machine

R, W, X, PS, A, D, UX = 1, 2, 4, 1 << 7, 1 << 8, 1 << 9, 1 << 10
WB, IPAT = 6 << 3, 1 << 6
RWX = R | W | X
TABLES = (0x10000, 0x11000, 0x12000, 0x13000, 0x14000)
PAGE = 0x29000
MBEC = {"secondary_controls": 1 << 22}
NO_EXECUTE_ONLY = {"ept_vpid_cap": 1 << 17}
"""A processor with pages of 1 GiB."""
LINEAR, FINAL = 1 << 7, 1 << 8


def tables(leaf: int, upper: int = RWX, depth: int = 4, **registers: int) -> Machine:
    """Return tables of so many entries for GPA 0, the last of them `leaf`, under EPTP with 4 levels and WB."""
    memory = {pa: below | upper for pa, below in pairwise(TABLES[:depth])}
    memory[TABLES[depth - 1]] = leaf
    return Machine({"eptp": TABLES[0] | 0x1E, "maxphyaddr": 46, **registers}, memory)


# "Format of an EPT Page-Table Entry": what bits 2:0 allow; the exit qualification has them in bits 5:3.
@pytest.mark.parametrize(("rights", "allowed"), [
    (R, "read"), (R | W, "read write"), (R | X, "read execute"), (RWX, "read write execute"), (X, "execute"),
])  # fmt: skip
@pytest.mark.parametrize("withheld_by", ["leaf", "table"])
def test_each_right_has_its_bit_at_every_level(rights: int, allowed: str, withheld_by: str) -> None:
    leaf, upper = (rights, RWX) if withheld_by == "leaf" else (RWX, rights)
    for place, (kind, bit) in enumerate({"read": 1, "write": 2, "execute": 4}.items()):
        machine = tables(PAGE | WB | leaf, upper)
        if kind in allowed.split():
            assert machine.outcome(0x123, kind, regime="ept") == ("mapped", PAGE | 0x123)
        else:
            cause = ("EPT_NOT_READABLE", "EPT_NOT_WRITABLE", "EPT_NOT_EXECUTABLE")[place]
            assert machine.outcome(0x123, kind, regime="ept") == (cause, bit | rights << 3 | LINEAR | FINAL)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_what_grants_nothing_is_a_violation_that_has_no_rights_in_its_qualification(depth: int) -> None:
    # The rest of such an entry is software's, reserved values among it.
    for absent in (0, 1 << 63 | 0x7F << 3 | 1 << 50, UX):
        found, refused, status = tables(absent, depth=depth).ask(0, "write", regime="ept")
        assert refused is not None
        assert (refused.decider.cause.name, refused.fault.kind.name) == ("EPT_NOT_PRESENT", "TRANSLATION")
        assert (refused.fault.stage, refused.fault.level, len(found.steps)) == (2, 5 - depth, depth)
        assert status == 2 | LINEAR | FINAL


# "EPT Misconfigurations": no exit qualification; the bit that decides is named.
@pytest.mark.parametrize(("leaf", "depth", "registers", "cause", "position"), [
    (PAGE | WB | W, 4, {}, "EPT_WRITE_ONLY", "[0]"),
    (PAGE | WB | W | X, 4, {}, "EPT_WRITE_ONLY", "[0]"),
    (TABLES[3] | W, 3, {}, "EPT_WRITE_ONLY", "[0]"),
    (PAGE | WB | X, 4, NO_EXECUTE_ONLY, "EPT_EXECUTE_ONLY", "[0]"),
    (PAGE | WB | UX, 4, MBEC | NO_EXECUTE_ONLY, "EPT_EXECUTE_ONLY", "[0]"),
    (PAGE | 2 << 3 | R, 4, {}, "EPT_MEMORY_TYPE", "[5:3]"),
    (PAGE | 3 << 3 | R, 4, {}, "EPT_MEMORY_TYPE", "[5:3]"),
    (PAGE | 7 << 3 | R, 4, {}, "EPT_MEMORY_TYPE", "[5:3]"),
    (0x200000 | PS | 7 << 3 | R, 3, {}, "EPT_MEMORY_TYPE", "[5:3]"),
    (PAGE | WB | R | 1 << 46, 4, {}, "ADDRESS_WIDTH", "[46]"),
    (TABLES[1] | R | 1 << 51, 1, {}, "ADDRESS_WIDTH", "[51]"),
    (TABLES[1] | R | 1 << 3, 1, {}, "RESERVED_BIT", "[3]"),
    (TABLES[1] | R | 1 << 7, 1, {}, "PAGE_SIZE", "[7]"),
    (TABLES[1] | R | 1 << 6, 1, {}, "RESERVED_BIT", "[6]"),
    (TABLES[2] | R | 1 << 6, 2, {}, "RESERVED_BIT", "[6]"),
    (TABLES[3] | R | 1 << 5, 3, {}, "RESERVED_BIT", "[5]"),
    (0x200000 | PS | WB | R | 1 << 12, 3, {}, "MISALIGNED", "[12]"),
    (0x200000 | PS | WB | R | 1 << 20, 3, {}, "MISALIGNED", "[20]"),
    (0x40000000 | PS | WB | R | 1 << 29, 2, {}, "MISALIGNED", "[29]"),
    (0x40000000 | PS | WB | R, 2, {"ept_vpid_cap": 1}, "PAGE_SIZE", "[7]"),
])  # fmt: skip
def test_a_misconfigured_entry_is_told_from_a_violation(leaf, depth, registers, cause, position) -> None:
    for kind in ("read", "write", "execute"):
        found, refused, status = tables(leaf, depth=depth, **registers).ask(0, kind, regime="ept")
        assert refused is not None
        assert (refused.decider.cause.name, refused.decider.field.position) == (cause, position)
        assert (refused.fault.kind.name, refused.fault.level, status) == ("RESERVED_BIT", 5 - depth, None)
        assert X86_64.called(refused.fault, None, found).startswith("EPT misconfiguration (exit reason 49)")


def test_no_page_is_as_large_as_what_a_root_entry_translates() -> None:
    found, refused, _ = tables(TABLES[1] | R | PS, depth=1).ask(0, "read", regime="ept")
    assert refused is not None
    assert isinstance(found.steps[0].entry.word, ExtendedTable)


@pytest.mark.parametrize(("leaf", "depth", "offset"), [
    (PAGE | WB | R | PS | D | A | UX | 1 << 11 | 0xFFF << 52, 4, 0xFFF),
    (0x200000 | PS | WB | R | 1 << 11, 3, 0xFFF), (0x40000000 | PS | WB | R | 0xFFF << 52, 2, 0xFFF),
])  # fmt: skip
def test_pages_have_three_sizes_and_bits_that_are_ignored(leaf: int, depth: int, offset: int) -> None:
    size = 1 << 12 + 9 * (4 - depth)
    base = (leaf & (1 << 46) - 1) // size * size
    found, _, _ = tables(leaf, depth=depth).ask(offset, "read", regime="ept")
    assert found.outcome == Mapped(base | offset, size)
    assert tables(leaf, depth=depth).outcome(size // 4096 * offset, "read", regime="ept")[0] == "mapped"


def test_a_processor_without_pages_of_1_gib_has_those_of_2_mib() -> None:
    leaf = 0x200000 | PS | WB | R
    assert tables(leaf, depth=3, ept_vpid_cap=1).outcome(0, "read", regime="ept") == ("mapped", 0x200000)


def test_a_processor_without_execute_only_pages_has_all_others() -> None:
    for rights in (R, R | W, R | X, RWX):
        assert tables(PAGE | WB | rights, **NO_EXECUTE_ONLY).outcome(0, "read", regime="ept") == ("mapped", PAGE)


def test_what_is_ignored_in_an_entry_that_leads_to_a_table_refuses_nothing() -> None:
    ignored = A | D | UX | 1 << 11 | 0xFFF << 52
    found, refused, _ = tables(PAGE | WB | RWX, RWX | ignored).ask(0, "write", regime="ept")
    assert refused is None
    assert found.outcome == Mapped(PAGE, 0x1000)


# Bit 10 is the user's with mode-based execute control, and bit 2 the supervisor's; without it bit 2 is both's.
@pytest.mark.parametrize(("rights", "controls", "who", "allowed"), [
    (R | X, {}, "user", True), (R | X, {}, "supervisor", True), (R | UX, {}, "user", False),
    (R | UX, MBEC, "user", True), (R | UX, MBEC, "supervisor", False),
    (R | X, MBEC, "user", False), (R | X, MBEC, "supervisor", True),
    (UX, MBEC, "user", True), (X | UX, MBEC, "supervisor", True),
])  # fmt: skip
def test_execution_is_two_rights_with_mode_based_control(rights, controls, who, allowed) -> None:
    machine = tables(PAGE | WB | rights, RWX | UX, **controls)
    found, refused, status = machine.ask(0, "execute", who, "ept")
    assert (refused is None) == allowed
    assert found.attributes is not None
    granted = {level.label: each.execute for level, each in found.attributes.rights.items()}
    assert granted[who] == allowed
    assert machine.outcome(0, "read", who, "ept")[0] == ("mapped" if rights & R else "EPT_NOT_READABLE")
    if not allowed:
        assert refused is not None
        name = "EPT_NOT_USER_EXECUTABLE" if controls and who == "user" else "EPT_NOT_EXECUTABLE"
        assert (refused.decider.cause.name, refused.fault) == (name, Fault(FaultKind.PERMISSION, 2, 1))
        shown = (rights & 7) << 3 | (1 << 6 if controls and rights & UX else 0)
        assert status == 4 | shown | LINEAR | FINAL


def test_the_page_walk_length_is_of_four_levels_or_of_five_and_of_no_others() -> None:
    five = tables(PAGE | WB | RWX, depth=5, eptp=TABLES[0] | 0x26)
    assert five.outcome(0, "read", regime="ept") == ("mapped", PAGE)
    five.memory[TABLES[0] + 8 * 8] = 0
    assert five.outcome(1 << 51, "read", regime="ept") == ("EPT_NOT_PRESENT", 1 | LINEAR | FINAL)
    five.memory[TABLES[0] + 8 * 15] = 0
    assert five.outcome((1 << 52) - 1, "read", regime="ept")[0] == "EPT_NOT_PRESENT"
    assert five.outcome(1 << 52, "read", regime="ept")[0] == "GUEST_ADDRESS_TOO_LARGE"
    four = tables(PAGE | WB | RWX)
    four.memory[TABLES[0] + 8 * 511] = 0
    assert four.outcome((1 << 48) - 1, "read", regime="ept")[0] == "EPT_NOT_PRESENT"
    _, refused, status = four.ask(1 << 48, "read", regime="ept")
    assert refused is not None
    assert refused.fault == Fault(FaultKind.TRANSLATION, 2)
    assert (refused.decider.cause.name, status) == ("GUEST_ADDRESS_TOO_LARGE", 1 | LINEAR | FINAL)
    for length in (0, 2, 5, 7):
        with pytest.raises(Unavailable, match=f"eptp.PWL is {length}"):
            tables(PAGE, eptp=TABLES[0] | 6 | length << 3).ask(0, "read", regime="ept")


def test_a_root_alone_is_taken_for_four_levels_and_said_to_be() -> None:
    bare = tables(PAGE | WB | RWX, eptp=TABLES[0])
    found, refused, _ = bare.ask(0, "read", regime="ept")
    assert refused is None
    assert any(each.startswith("eptp: 4 levels") for each in found.regime.assumed)
    whole, _, _ = tables(PAGE | WB | RWX).ask(0, "read", regime="ept")
    assert not any("eptp" in each for each in whole.regime.assumed)


def test_flags_are_there_where_eptp_turns_them_on() -> None:
    for eptp, leaf, accessed, dirty in (
        (0x1E, 0, True, None), (0x1E, A | D, True, None), (0x5E, 0, False, False), (0x5E, A, True, False),
        (0x5E, A | D, True, True),
    ):  # fmt: skip
        found, _, _ = tables(PAGE | WB | RWX | leaf, eptp=TABLES[0] | eptp).ask(0, "read", regime="ept")
        assert found.attributes is not None
        assert (found.attributes.accessed, found.attributes.dirty) == (accessed, dirty)


def test_the_map_lists_what_an_execute_only_page_and_a_user_executable_one_map() -> None:
    machine = tables(PAGE | WB | UX, RWX | UX, **MBEC)
    machine.memory |= {TABLES[3] + 8 * n: 0 for n in range(1, 512)}
    for table in TABLES[:3]:
        machine.memory |= {table + 8 * n: 0 for n in range(1, 512)}
    whole = {pa: b"".join(machine.read(pa + at, 8) for at in range(0, 4096, 8)) for pa in TABLES[:4]}  # type: ignore[operator]
    regime = X86_64.regime_for(written_down(machine.registers), VA(0), "ept")
    (run,) = scan(regime, lambda pa, size: whole[pa][:size])
    assert (run.first, run.size_bytes, run.output) == (0, 0x1000, PAGE)  # type: ignore[union-attr]
    assert {level.label: str(each) for level, each in run.attributes.rights.items()} == {  # type: ignore[union-attr]
        "user": "--x", "supervisor": "---",
    }  # fmt: skip


def test_a_value_alone_is_decoded_as_an_entry_of_the_second_stage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pte", "0x29035", "--arch", "x86_64", "--regime", "ept"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^1 +a page of 4KB +0x29000 +supervisor r-x  user r-x +MT=0b110 X=1 R=1$", said, re.MULTILINE)
    assert re.search(r"^5 to 2 +invalid +a reserved bit is set$", said, re.MULTILINE)
    assert main(["pte", "0x29035", "--arch", "x86_64", "--regime", "npt"]) == 0
    assert re.search(r"^5 to 2 +a table", capsys.readouterr().out, re.MULTILINE)
    assert main(["pte", "0x29035", "--arch", "x86_64", "--regime", "el1"]) == 2
    assert "there are linear, npt, ept" in capsys.readouterr().err

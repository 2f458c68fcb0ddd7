"""`explain` of Linux on RISC-V: what its lines say against one another, and those of older kernels."""

from __future__ import annotations

import re

import pytest

from tests.commands.test_explain import one
from tests.places import ROOT

NULL_WRITE = (ROOT / "fixtures/logs/linux-7.2-riscv-null-write.log").read_text()
PROCESS = (ROOT / "fixtures/logs/linux-6.12-riscv-process.log").read_text()


@pytest.mark.parametrize(
    ("printed", "changed", "doubt"),
    [
        ("48-bit VAs", "47-bit VAs", "4K pages with 47-bit addresses are none of RISC-V's"),
        ("pgdp=0x0", "pgdp=0x1", "pgdp=0x1{root} is where no root can be"),
        ("badaddr: 0000000000000010", "badaddr: 0000000000000018", "the fault is of 0x10, and badaddr has 0x18"),
        ("pud=", "p5d=", "an entry is missing: pud"),
        ("48-bit VAs", "57-bit VAs", "3 entries are printed behind the one that ends the walk"),
    ],
)
def test_what_its_lines_have_against_one_another_is_said(printed: str, changed: str, doubt: str) -> None:
    crash = one(NULL_WRITE.replace(printed, changed)).crash
    root = re.findall(r"pgdp=0x0(\w{15})", NULL_WRITE)[0]
    assert crash.doubts[:1] == (doubt.format(root=root),)


def test_levels_that_are_folded_are_one_entry() -> None:
    """With 48 bits pgd and p4d are one; printed otherwise, no table has those entries."""
    assert len(one(NULL_WRITE).crash.descriptors) == 4
    torn = re.sub(r"p4d=0", "p4d=1", NULL_WRITE, count=1)
    assert one(torn).crash.doubts == ("the names of one folded level have different values",)


def test_before_5_5_registers_have_an_s_before_their_names() -> None:
    old = re.sub(r"\bstatus: (\w+) badaddr: (\w+) cause:", r"sstatus: \1 sbadaddr: \2 scause:", NULL_WRITE)
    old = old.replace("epc : ffff", "sepc: ffff")
    assert old.count("sepc") == old.count("sbadaddr") == 1
    assert one(old).crash.stated == one(NULL_WRITE).crash.stated


def test_a_torn_log_asks_for_the_line_that_has_the_cause() -> None:
    crash = one(re.sub(r".*badaddr.*\n", "", NULL_WRITE)).crash
    assert crash.deduced.values["stval"] == 0x10
    assert crash.wanted == ("the trap's cause: the line `status: ... badaddr: ... cause: ...`",)


def test_a_process_has_an_address_and_a_cause_and_no_tables() -> None:
    crash = one(PROCESS).crash
    assert (crash.stated["stval"], crash.stated["scause"]) == (0x1234567890, 13)
    assert crash.stated["fp"] == int(re.findall(r"s0 : (\w+)", PROCESS)[0], 16)
    assert not crash.descriptors


def test_a_trap_that_is_no_fault_asks_for_no_tables() -> None:
    text = """\
Oops - illegal instruction [#1]
epc : ffffffff80dbdd1c ra : ffffffff809506f0 sp : ffff8f800021bbc0
status: 0000000200000120 badaddr: 0000000000000000 cause: 0000000000000002
"""
    answer = one(text)
    assert answer.crash.system == "Linux on RISC-V"
    assert not answer.crash.wanted
    assert answer.fault is not None

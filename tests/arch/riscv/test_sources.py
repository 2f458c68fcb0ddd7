"""Headings that are named as sources are headings of the manual: a reader finds what the code refers to.

The manual is that of August 2026 (the repository riscv/riscv-isa-manual); markup of register and extension names is
left out, and so is the version of a chapter.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guests.riscv.departures import Known
from tests.places import ROOT

HEADINGS = {
    "Address Matching",
    "Addressing and Memory Protection",
    "Base Instruction-Length Encoding",
    "Guest Physical Address Translation",
    "Hypervisor Environment Configuration Register (henvcfg)",
    "Hypervisor Guest Address Translation and Protection (hgatp) Register",
    "Hypervisor Instructions",
    "Hypervisor Memory-Management Fence Instructions",
    "Hypervisor Status (hstatus) Register",
    "Hypervisor Trap Delegation (hedeleg and hideleg) Registers",
    "Hypervisor Trap Value (htval) Register",
    "Hypervisor Virtual-Machine Load and Store Instructions",
    "Locking and Privilege Mode",
    "Machine Cause (mcause) Register",
    "Machine Environment Configuration (menvcfg) Register",
    "Machine Second Trap Value (mtval2) Register",
    "Machine Security Configuration (mseccfg) Register",
    "Machine Status (mstatus and mstatush) Registers",
    "Machine Trap Delegation (medeleg and mideleg) Registers",
    "Machine Trap Value (mtval) Register",
    "Memory Accesses Subject to Pointer Masking",
    "Memory Privilege in mstatus Register",
    "Memory Privilege in sstatus Register",
    "Physical Memory Protection",
    "Physical Memory Protection CSRs",
    "Physical Memory Protection and Paging",
    "Pointer Masking Extensions",
    "Priority and Matching Logic",
    "Privilege Levels",
    "Privilege Modes",
    "Privilege and Global Interrupt-Enable Stack in mstatus register",
    "RV32/64G Instruction Set Listings",
    "RV32I Base Integer Instruction Set",
    "Shadow Stack Memory Protection",
    "Supervisor Address Translation and Protection (satp) Register",
    "Supervisor Cause (scause) Register",
    "Supervisor Environment Configuration (senvcfg) Register",
    "Supervisor Exception Program Counter (sepc) Register",
    "Supervisor Memory-Management Fence Instruction",
    "Supervisor Status (sstatus) Register",
    "Supervisor Trap Value (stval) Register",
    "Supervisor Trap Vector Base Address (stvec) Register",
    "Supervisor-Level ISA",
    "Svnapot Extension for NAPOT Translation Contiguity",
    "Svpbmt Extension for Page-Based Memory Types",
    "Transformed Instruction or Pseudoinstruction for mtinst or htinst",
    "Trap Cause Codes",
    "Trap Entry",
    "Trap Return",
    "Trap-Return Instructions",
    "Two-Stage Address Translation",
    "Virtual Address Translation Process",
    "Virtual Supervisor Address Translation and Protection (vsatp) Register",
    "Virtual Supervisor Status (vsstatus) Register",
}
CAPTIONS = {"Page table entry encodings when pte.N=1", "Sv32 page table entry", "Sv39 page table entry"}
EXTENSIONS = {"A", "C", "F", "V", "Zicbom"}
STEPS = 10
"""Of "Virtual Address Translation Process"."""


def sources(file: Path) -> Iterator[str]:
    """Yield what stands in quotes behind `Source:` in a file's docstrings."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            _, found, source = (ast.get_docstring(node) or "").partition("Source:")
            yield from re.findall(r'"([^"]+)"', " ".join(source.split())) if found else ()


FILES = sorted((ROOT / "gdbtools/arch/riscv").rglob("*.py"))


def test_each_source_in_the_code_is_a_heading_of_the_manual() -> None:
    named = {(file.name, each) for file in FILES for each in sources(file)}
    assert len(named) > 50
    assert not {each for each in named if each[1] not in HEADINGS | CAPTIONS | EXTENSIONS}


@pytest.mark.parametrize("known", Known)
def test_each_departure_of_qemu_names_headings_of_the_manual(known: Known) -> None:
    assert known.value.headings
    for heading in known.value.headings:
        name, _, step = heading.partition(", step ")
        assert name in HEADINGS
        assert not step or (name == "Virtual Address Translation Process" and 1 <= int(step) <= STEPS)

"""Where each register has its fields: the manuals' figures, typed from there and not from the code."""

from __future__ import annotations

import pytest

from gdbtools.arch.x86_64.architecture import X86_64
from gdbtools.arch.x86_64.registers.control import CR3, CR3PAE, CR3Narrow, CR3WithPCID
from gdbtools.arch.x86_64.registers.descriptor_tables import Gate
from gdbtools.arch.x86_64.registers.memory_types import AT_RESET, DEVICE, PAT
from gdbtools.arch.x86_64.syndrome.second_stage import ExitQualification, NestedPageFaultInfo
from gdbtools.arch.x86_64.tables.extended_entries import AbsentExtended, ExtendedTable
from gdbtools.arch.x86_64.tables.extended_entries import page_entry as extended_page
from gdbtools.bits import Word
from tests.arch.x86_64.machine import positions

KEYS = {
    **{f"WD{key}": str(2 * key + 1) for key in range(16)},
    **{f"AD{key}": str(2 * key) for key in range(16)},
}
# SDM volume 3, "Control Registers", "Extended Feature Enable Register", "Page Attribute Table", "Protection Keys",
# "Page-Fault Exceptions"; volume 1, "EFLAGS Register"; APM volume 2, "EFER", for what only AMD has.
REGISTERS: dict[str, dict[str, str]] = {
    "cr0": {"PG": "31", "CD": "30", "NW": "29", "AM": "18", "WP": "16", "NE": "5", "ET": "4", "TS": "3", "EM": "2",
            "MP": "1", "PE": "0"},
    "cr2": {"ADDRESS": "63:0"},
    "cr4": {"LAM_SUP": "28", "LASS": "27", "UINTR": "25", "PKS": "24", "CET": "23", "PKE": "22", "SMAP": "21",
            "SMEP": "20", "KL": "19", "OSXSAVE": "18", "PCIDE": "17", "FSGSBASE": "16", "SMXE": "14", "VMXE": "13",
            "LA57": "12", "UMIP": "11", "OSXMMEXCPT": "10", "OSFXSR": "9", "PCE": "8", "PGE": "7", "MCE": "6",
            "PAE": "5", "PSE": "4", "DE": "3", "TSD": "2", "PVI": "1", "VME": "0"},
    "efer": {"AIBRSE": "21", "UAIE": "20", "TCE": "15", "FFXSR": "14", "LMSLE": "13", "SVME": "12", "NXE": "11",
             "LMA": "10", "LME": "8", "SCE": "0"},
    "eflags": {"ID": "21", "VIP": "20", "VIF": "19", "AC": "18", "VM": "17", "RF": "16", "NT": "14", "IOPL": "13:12",
               "OF": "11", "DF": "10", "IF": "9", "TF": "8", "SF": "7", "ZF": "6", "AF": "4", "PF": "2", "CF": "0"},
    "cs": {"INDEX": "15:3", "TI": "2", "RPL": "1:0"},
    "idtr": {"BASE": "63:0"},
    "tr": {"BASE": "63:0"},
    "error_code": {"SGX": "15", "HLAT": "7", "SS": "6", "PK": "5", "I": "4", "RSVD": "3", "U": "2", "W": "1", "P": "0"},
    "pkru": KEYS,
    "pkrs": KEYS,
    "pat": {f"PA{number}": f"{8 * number + 2}:{8 * number}" for number in range(7, -1, -1)},
    "maxphyaddr": {"BITS": "7:0"},
    # SDM volume 3, "Extended-Page-Table Pointer", "Definitions of Secondary Processor-Based VM-Execution Controls" and
    # "[...] Tertiary [...]", IA32_VMX_EPT_VPID_CAP; APM volume 2, "VMCB Layout".
    "eptp": {"ROOT": "51:12", "SSS": "7", "AD": "6", "PWL": "5:3", "MT": "2:0"},
    "secondary_controls": {"SPP": "23", "MBEC": "22", "VE": "18", "UG": "7", "EPT": "1"},
    "tertiary_controls": {"GPV": "3", "PW": "2", "HLAT": "1"},
    "ept_vpid_cap": {"SSS": "23", "ADVANCED": "22", "AD": "21", "PAGES_1G": "17", "PAGES_2M": "16", "WB": "14",
                     "UC": "8", "LEVELS_5": "7", "LEVELS_4": "6", "EXECUTE_ONLY": "0"},
    "ncr3": {"ROOT": "51:12", "PCD": "4", "PWT": "3"},
}  # fmt: skip
WIDTHS = {"cs": 16, "error_code": 32, "pkru": 32, "pkrs": 32, "maxphyaddr": 8, "secondary_controls": 32}
EXTENDED = {"VE": "63", "UX": "10", "A": "8", "X": "2", "W": "1", "R": "0"}
EXTENDED_PAGE = {"SPP": "61", "SSS": "60", "PW": "58", "VGP": "57", "D": "9", "IPAT": "6", "MT": "5:3"}
OTHERS: dict[type[Word], tuple[int, dict[str, str]]] = {
    CR3: (64, {"LAM_U48": "62", "LAM_U57": "61", "ROOT": "51:12", "PCD": "4", "PWT": "3"}),
    CR3WithPCID: (64, {"LAM_U48": "62", "LAM_U57": "61", "ROOT": "51:12", "PCID": "11:0"}),
    CR3Narrow: (64, {"ROOT": "31:12", "PCD": "4", "PWT": "3"}),
    CR3PAE: (64, {"ROOT": "31:5", "PCD": "4", "PWT": "3"}),
    # SDM volume 3, "64-Bit IDT Gate Descriptors".
    # SDM volume 3, "Exit Qualification for EPT Violations"; APM volume 2, "Nested versus Guest Page Faults".
    ExitQualification: (64, {"ASYNCHRONOUS": "16", "VERIFICATION": "15", "SSS": "14", "SS": "13", "NMI": "12",
                             "GUEST_NX": "11", "GUEST_RW": "10", "GUEST_US": "9", "FINAL": "8", "LINEAR": "7",
                             "UX": "6", "X": "5", "W": "4", "R": "3", "FETCH": "2", "WRITE": "1", "READ": "0"}),
    NestedPageFaultInfo: (64, {"SSS": "37", "TABLE": "33", "FINAL": "32", "SS": "6", "ID": "4", "RSV": "3",
                               "US": "2", "RW": "1", "P": "0"}),
    # SDM volume 3, "Format of an EPT Page-Table Entry" and its sisters.
    extended_page(12): (64, {**EXTENDED, **EXTENDED_PAGE, "OutputAddress": "51:12", "SOFTWARE": "62,59,56:52,11,7"}),
    extended_page(21): (64, {**EXTENDED, **EXTENDED_PAGE, "OutputAddress": "51:21", "SOFTWARE": "62,59,56:52,11",
                             "PS": "7", "MISALIGNED": "20:12"}),
    extended_page(30): (64, {**EXTENDED, **EXTENDED_PAGE, "OutputAddress": "51:30", "SOFTWARE": "62,59,56:52,11",
                             "PS": "7", "MISALIGNED": "29:12"}),
    ExtendedTable: (64, {**EXTENDED, "NextTable": "51:12", "SOFTWARE": "62:52,11,9", "PS": "7"}),
    AbsentExtended: (64, {"SOFTWARE": "63:3", "X": "2", "W": "1", "R": "0"}),
    Gate: (128, {"OFFSET": "95:48,15:0", "P": "47", "DPL": "46:45", "TYPE": "43:40", "IST": "34:32",
                 "SELECTOR": "31:16"}),
}  # fmt: skip


@pytest.mark.parametrize("name", REGISTERS)
def test_each_field_is_where_the_figure_has_it(name: str) -> None:
    layout = X86_64.registers[name]
    assert positions(layout) == REGISTERS[name]
    assert layout.width == WIDTHS.get(name, 64)
    assert layout.__doc__
    assert all(field.doc for field in layout.fields())


@pytest.mark.parametrize("layout", OTHERS, ids=lambda each: each.__name__)
def test_each_field_of_what_has_several_layouts_is_where_the_figure_has_it(layout: type[Word]) -> None:
    assert (layout.width, positions(layout)) == OTHERS[layout]


def test_every_register_has_a_figure() -> None:
    assert set(X86_64.registers) == {*REGISTERS, "cr3", "hcr4", "hefer"}
    assert (X86_64.registers["hcr4"], X86_64.registers["hefer"]) == (X86_64.registers["cr4"], X86_64.registers["efer"])


# SDM volume 3, "Memory Types That Can Be Encoded With PAT", "Memory Type Setting of PAT Entries Following a Power-up".
ENCODINGS = {0: "UC", 1: "WC", 2: "reserved", 3: "reserved", 4: "WT", 5: "WP", 6: "WB", 7: "UC-"}
AFTER_RESET = ["WB", "WT", "UC-", "UC", "WB", "WT", "UC-", "UC"]


def test_memory_types_have_the_manuals_encodings() -> None:
    for index in range(8):
        for value, name in ENCODINGS.items():
            assert PAT(value << 8 * index).memory_type(index) == name
    assert [PAT(AT_RESET).memory_type(index) for index in range(8)] == AFTER_RESET
    assert set(DEVICE) == {"UC", "UC-", "WC"}


def test_a_gates_type_is_named() -> None:
    # SDM volume 3, "System-Segment and Gate-Descriptor Types": 14 and 15 in 64-bit mode.
    assert [Gate.TYPE.meaning(value) for value in (14, 15)] == ["interrupt gate", "trap gate"]


def test_bit_1_of_the_flags_is_always_1_and_nothing_to_note() -> None:
    flags = X86_64.registers["eflags"]
    assert (flags(1 << 1).reserved, flags(1 << 3).reserved) == (0, 1 << 3)


def test_a_selectors_table_is_named() -> None:
    assert [X86_64.registers["cs"].field("TI").meaning(value) for value in (0, 1)] == ["GDT", "LDT"]


def test_an_ept_root_says_how_many_levels_by_one_less() -> None:
    levels = X86_64.registers["eptp"].field("PWL").meaning
    assert ("4 levels", "5 levels") == (levels(3), levels(4))
    assert not {levels(value) for value in (0, 1, 2, 5, 6, 7)} & {"4 levels", "5 levels"}

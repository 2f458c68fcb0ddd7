"""Where each register has its fields: the manual's figures, typed from there and not from the code."""

from __future__ import annotations

import pytest

from gdbtools.arch import ARCHITECTURES
from gdbtools.bits import Field

STATUS = {"SDT": "24", "SPELP": "23", "MXR": "19", "SUM": "18", "XS": "16:15", "FS": "14:13", "VS": "10:9", "SPP": "8",
          "UBE": "6", "SPIE": "5", "SIE": "1"}  # fmt: skip
MACHINE = {**STATUS, "TSR": "22", "TW": "21", "TVM": "20", "MPRV": "17", "MPP": "12:11", "MPIE": "7", "MIE": "3"}
HYPERVISOR = {"VTSR": "22", "VTW": "21", "VTVM": "20", "VGEIN": "17:12", "HU": "9", "SPVP": "8", "SPV": "7", "GVA": "6",
              "VSBE": "5"}  # fmt: skip
ENVIRONMENT = {"CBZE": "7", "CBCFE": "6", "CBIE": "5:4", "SSE": "3", "LPE": "2", "FIOM": "0"}
SECURITY = {"MLPE": "10", "SSEED": "9", "USEED": "8", "RLB": "2", "MMWP": "1", "MML": "0"}
HIGH = {"STCE": "31", "PBMTE": "30", "ADUE": "29", "CDE": "28", "DTE": "27", "PMM": "1:0"}
PMP64 = {f"pmp{n}cfg": f"{8 * n + 7}:{8 * n}" for n in range(8)}
FIGURES: dict[tuple[int, str], dict[str, str]] = {
    (64, "satp"): {"MODE": "63:60", "ASID": "59:44", "PPN": "43:0"},
    (64, "vsatp"): {"MODE": "63:60", "ASID": "59:44", "PPN": "43:0"},
    (64, "hgatp"): {"MODE": "63:60", "VMID": "57:44", "PPN": "43:0"},
    (64, "mstatus"): {**MACHINE, "SD": "63", "MDT": "42", "MPELP": "41", "MPV": "39", "GVA": "38", "MBE": "37",
                      "SBE": "36", "SXL": "35:34", "UXL": "33:32"},
    (64, "sstatus"): {**STATUS, "SD": "63", "UXL": "33:32"},
    (64, "vsstatus"): {**STATUS, "SD": "63", "UXL": "33:32"},
    (64, "hstatus"): {**HYPERVISOR, "HUPMM": "49:48", "VSXL": "33:32"},
    (64, "menvcfg"): {**ENVIRONMENT, "STCE": "63", "PBMTE": "62", "ADUE": "61", "CDE": "60", "DTE": "59",
                      "PMM": "33:32"},
    (64, "henvcfg"): {**ENVIRONMENT, "STCE": "63", "PBMTE": "62", "ADUE": "61", "DTE": "59", "PMM": "33:32"},
    (64, "senvcfg"): {**ENVIRONMENT, "PMM": "33:32"},
    (64, "mseccfg"): {**SECURITY, "PMM": "33:32"},
    (64, "scause"): {"Interrupt": "63", "Code": "62:0"},
    (64, "vscause"): {"Interrupt": "63", "Code": "62:0"},
    (64, "mcause"): {"Interrupt": "63", "Code": "62:0"},
    (64, "stvec"): {"BASE": "63:2", "MODE": "1:0"},
    (64, "mtvec"): {"BASE": "63:2", "MODE": "1:0"},
    (64, "htval"): {"GPA": "63:0"},
    (64, "pmpcfg0"): PMP64,
    (64, "pmpcfg2"): {f"pmp{n + 8}cfg": PMP64[f"pmp{n}cfg"] for n in range(8)},
    (64, "pmpaddr63"): {"address": "53:0"},
    (32, "satp"): {"MODE": "31", "ASID": "30:22", "PPN": "21:0"},
    (32, "vsatp"): {"MODE": "31", "ASID": "30:22", "PPN": "21:0"},
    (32, "hgatp"): {"MODE": "31", "VMID": "28:22", "PPN": "21:0"},
    (32, "mstatus"): {**MACHINE, "SD": "31"},
    (32, "mstatush"): {"MDT": "10", "MPELP": "9", "MPV": "7", "GVA": "6", "MBE": "5", "SBE": "4"},
    (32, "sstatus"): {**STATUS, "SD": "31"},
    (32, "vsstatus"): {**STATUS, "SD": "31"},
    (32, "hstatus"): HYPERVISOR,
    (32, "menvcfg"): ENVIRONMENT,
    (32, "menvcfgh"): HIGH,
    (32, "henvcfgh"): HIGH,
    (32, "senvcfg"): ENVIRONMENT,
    (32, "mseccfg"): SECURITY,
    (32, "mcause"): {"Interrupt": "31", "Code": "30:0"},
    (32, "pmpcfg1"): {f"pmp{n + 4}cfg": PMP64[f"pmp{n}cfg"] for n in range(4)},
    (32, "pmpaddr0"): {"address": "31:0"},
}  # fmt: skip
EXCEPTIONS = {12: "instruction page fault", 13: "load page fault", 15: "store/AMO page fault",
              20: "instruction guest-page fault", 21: "load guest-page fault", 23: "store/AMO guest-page fault",
              1: "instruction access fault", 5: "load access fault", 7: "store/AMO access fault",
              22: "virtual instruction", 2: "illegal instruction", 3: "breakpoint"}  # fmt: skip


def position(field: Field) -> str:
    return field.position.strip("[]")


@pytest.mark.parametrize(("bits", "name"), FIGURES)
def test_each_field_is_where_the_figure_has_it(bits: int, name: str) -> None:
    layout = ARCHITECTURES[f"riscv{bits}"].registers[name]
    assert {field.name: position(field) for field in layout.fields()} == FIGURES[bits, name]
    assert layout.width == (64 if bits == 64 else 32)
    assert layout.__doc__


@pytest.mark.parametrize("bits", [32, 64])
def test_every_register_has_a_name_a_width_and_an_explanation(bits: int) -> None:
    architecture = ARCHITECTURES[f"riscv{bits}"]
    assert [*architecture.principal] == [*architecture.registers]
    for name, layout in architecture.registers.items():
        assert name == name.lower()
        assert layout.__doc__, name
        assert all(field.doc for field in layout.fields()), name
    # Where XLEN is 64 there are no upper halves, and no odd-numbered pmpcfg.
    odd = {f"pmpcfg{n}" for n in range(1, 16, 2)} | {"mstatush", "menvcfgh", "henvcfgh", "mseccfgh"}
    assert (odd <= set(architecture.registers)) is (bits == 32)
    assert len([name for name in architecture.registers if name.startswith("pmpcfg")]) == (16 if bits == 32 else 8)


@pytest.mark.parametrize("code", EXCEPTIONS)
def test_causes_and_their_delegation_have_the_manuals_codes(code: int) -> None:
    registers = ARCHITECTURES["riscv64"].registers
    assert registers["scause"].field("Code").meaning(code) == EXCEPTIONS[code]
    assert position(registers["medeleg"].field(f"E{code}")) == str(code)

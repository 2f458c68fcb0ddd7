"""The declared registers, field by field, held against Linux's own description of them.

The oracle is what Linux 7 generates from its arch/arm64/tools/sysreg, and a few older headers of single bits.  Where
the two differ, the reason is here, as data.  Of those that Linux does not describe, the bits that trap are held against
QEMU's in test_trap_deciders.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import pytest

from gdbtools.arch.aarch64.architecture import DECLARED
from gdbtools.arch.aarch64.traps import fine_grained, registers
from gdbtools.bits import Field, Word
from gdbtools.errors import Unavailable
from tests.guests.headers import kernel_headers
from tests.guests.packages import linux_source

ALL: dict[str, type[Word]] = {**DECLARED, **registers.DECLARED, **fine_grained.DECLARED}
COMPARED_AT_LEAST = 58
FIELDS_AT_LEAST = 1050

NEWER = "of an architecture of 2025, which Linux does not use yet"
WITHDRAWN = "withdrawn from the architecture with FEAT_TME, and RES0 in what Linux knows; older PEs have it"
EARLIER = "no longer in the manual; older PEs have it"
OTHER_NAME = "Linux's own name"
ONE_FIELD = "AArch32's DACR as a whole, which has the domains"
# By register, the fields that only we have, and then those that only Linux has.
ONLY_OURS: Mapping[str, Mapping[str, str]] = {
    "SCTLR_EL1": dict.fromkeys(("TME", "TME0", "TMT", "TMT0"), WITHDRAWN),
    "SCTLR_EL2": dict.fromkeys(("TME", "TME0", "TMT", "TMT0"), WITHDRAWN),
    "HCR_EL2": {"TME": WITHDRAWN, "MIOCNCE": EARLIER},
    "HCRX_EL2": dict.fromkeys(
        ("FNB", "VTLBIDOSEn", "NVnTTLBOS", "NVnTTLBIS", "NVnTTLB", "FDIT", "NVTGE", "SRMASKEn", "VTLBIDEn"), NEWER
    ),
    "SCTLR2_EL1": dict.fromkeys(("TLBOSNIS", "FDIT", "BTD", "BTD0", "EnIA2", "EnIB2", "EnDA2", "EnDB2"), NEWER),
    "MDSCR_EL1": {"EnSTEPOP": NEWER},
    "HFGRTR2_EL2": {"ACTLR_EL1": NEWER, "nTLBIDIDR_EL1": NEWER, "nSCTLR2ALIAS_EL1": OTHER_NAME},
    "HFGWTR2_EL2": {"ACTLR_EL1": NEWER, "nSCTLR2ALIAS_EL1": OTHER_NAME},
    "HFGITR2_EL2": {"DCGBVA": NEWER},
    "FAR_EL1": {"VA": OTHER_NAME},
    "FAR_EL2": {"VA": OTHER_NAME},
    "DACR32_EL2": {"DACR": ONE_FIELD},
}
UNASKED = "of features that translation does not ask for"
ONLY_LINUX: Mapping[str, Mapping[str, str]] = {
    "ID_AA64MMFR3_EL1": dict.fromkeys(("Spec_FPACC", "ADERR", "SDERR", "ANERR", "SNERR"), UNASKED),
    "HFGRTR2_EL2": {"nSCTLRALIAS2_EL1": OTHER_NAME},
    "HFGWTR2_EL2": {"nSCTLRALIAS2_EL1": OTHER_NAME},
    "FAR_EL1": {"ADDR": OTHER_NAME},
    "FAR_EL2": {"ADDR": OTHER_NAME},
    "DACR32_EL2": dict.fromkeys((f"D{number}" for number in range(16)), ONE_FIELD),
}
ALL_CAPITALS = ("ID_AA64MMFR0_EL1",)
"""Whose fields Linux writes in capitals."""
BY_HAND_IF_AT_ALL = "what Linux uses of it is by hand: see BY_HAND"
NO_FIELDS = "Linux describes no fields of it"
NOT_DESCRIBED: Mapping[str, str] = {
    "cpsr": "GDB's name for PSTATE",
    **{f"{name}_EL{el}": NO_FIELDS for name in ("ESR", "ELR", "SPSR", "VBAR", "MAIR") for el in (1, 2, 3)},
    **{
        f"{name}_EL3": NO_FIELDS for name in ("FAR", "TCR", "SCTLR", "SCTLR2", "CPTR", "MDCR", "SCR", "GPCCR", "FGWTE3")
    },
    **{f"{name}_EL2": NO_FIELDS for name in ("TCR", "SCTLR2", "VTTBR", "VSTTBR", "VSTCR", "HSTR", "VMPIDR")},
    **{f"ICC_SRE_EL{el}": NO_FIELDS for el in (1, 2, 3)},
    **dict.fromkeys(("CNTKCTL_EL1", "AMUSERENR_EL0"), NO_FIELDS),
    **dict.fromkeys(("CPTR_EL2", "CNTHCTL_EL2", "PMUSERENR_EL0"), BY_HAND_IF_AT_ALL),
}
DESCRIBED = tuple(name for name in ALL if name not in NOT_DESCRIBED)


@cache
def _definitions() -> str:
    try:
        return (kernel_headers() / "sysreg-defs.h").read_text()
    except Unavailable as why:
        pytest.skip(str(why))


def _described(name: str) -> Mapping[str, tuple[int, int]]:
    """Return the fields that Linux has, by the register's name or by that of the registers that share its layout."""
    shared = re.sub(r"_EL\d$", "_ELx", name)
    permissions = "PIRx_ELx" if re.match(r"(S2)?P[IO]R", name) else name
    for each in (name, shared, re.sub(r"^TTBR\d_EL\d$", "TTBRx_EL1", name), permissions):
        found = re.findall(rf"^#define {each}_(\w+)_MASK\s+GENMASK\((\d+), (\d+)\)$", _definitions(), re.MULTILINE)
        if found:
            return {field: (int(high), int(low)) for field, high, low in found}
    return {}


def _span(field: Field) -> tuple[int, int]:
    return field.spans[0][0], field.spans[-1][1]


@pytest.mark.parametrize("name", DESCRIBED)
def test_fields_are_where_linux_has_them(name: str) -> None:
    described = _described(name)
    spell: Callable[[str], str] = str.upper if name in ALL_CAPITALS else str
    ours = {spell(field.name): _span(field) for field in ALL[name].fields()}
    only_ours, only_linux = ONLY_OURS.get(name, {}), ONLY_LINUX.get(name, {})
    assert {field: ours[field] for field in ours.keys() - only_ours} == {
        field: described[field] for field in described.keys() - only_linux
    }
    assert only_ours.keys() == ours.keys() - described.keys()
    assert only_linux.keys() == described.keys() - ours.keys()


@pytest.mark.slow
def test_whatever_is_described_is_compared() -> None:
    compared = {name: len(_described(name)) for name in ALL if _described(name)}
    for name, count in compared.items():
        print(f"{name}: {count} fields")
    assert tuple(compared) == DESCRIBED
    assert NOT_DESCRIBED.keys() <= ALL.keys()
    assert len(compared) >= COMPARED_AT_LEAST
    assert sum(compared.values()) >= FIELDS_AT_LEAST


def test_a_field_that_is_elsewhere_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = type("HCR_EL2", (ALL["HCR_EL2"],), {"TVM": Field(39), "TME": None})
    monkeypatch.setitem(ALL, "HCR_EL2", wrong)
    with pytest.raises(AssertionError):
        test_fields_are_where_linux_has_them("HCR_EL2")


# Bits that Linux names by hand: a header, what they begin with, and the layout.
TIMER = "include/clocksource/arm_arch_timer.h"
MONITORS = "include/linux/perf/arm_pmuv3.h"
BY_HAND: tuple[tuple[str, str, type[Word], int], ...] = (
    ("kvm_arm.h", "CPTR_EL2_", registers.CPTR_EL2, 5),
    (TIMER, "CNTHCTL_", registers.CNTHCTL_EL2, 5),
    (MONITORS, "ARMV8_PMU_USERENR_", registers.PMUSERENR_EL0, 4),
)


def _header(name: str) -> str:
    folder: Callable[[], Path] = linux_source if "/" in name else kernel_headers
    try:
        return (folder() / name).read_text()
    except Unavailable as why:
        pytest.skip(str(why))


@pytest.mark.parametrize(("header", "prefix", "layout", "at_least"), BY_HAND)
def test_bits_are_where_headers_have_them(header: str, prefix: str, layout: type[Word], at_least: int) -> None:
    found = re.findall(rf"^#define\s+{prefix}(\w+)\s+\(1U?L? << (\d+)\)", _header(header), re.MULTILINE)
    bits = {field: int(bit) for field, bit in found if field.upper() in {each.name.upper() for each in layout.fields()}}
    assert len(bits) >= at_least
    assert {field: layout.field(field).mask for field in bits} == {field: 1 << bit for field, bit in bits.items()}


@pytest.mark.parametrize("name", registers.WITHOUT_HOST)
def test_what_both_layouts_of_a_register_of_el2_name_means_the_same(name: str) -> None:
    host, alone = ALL[name], registers.WITHOUT_HOST[name]
    moved = {"CPTR_EL2": {"TTA"}, "CNTHCTL_EL2": {"EL1PCTEN"}, "SCTLR_EL2": set()}[name]
    theirs = {field.name: field.position for field in host.fields()}
    differ = {field.name for field in alone.fields() if theirs.get(field.name, field.position) != field.position}
    assert differ == moved


@pytest.mark.parametrize("name", fine_grained.DECLARED)
def test_a_fine_grained_trap_with_n_traps_while_it_is_clear(name: str) -> None:
    for field in fine_grained.DECLARED[name].fields():
        traps = [value for value, meaning in field.values.items() if meaning == "trapped"]
        assert traps == [0 if fine_grained.is_enable(field.name) else 1], field.name


def test_every_fine_grained_trap_traps_something() -> None:
    traps = fine_grained.fine_grained_traps()
    fields = {(name, field.name) for name, word in fine_grained.DECLARED.items() for field in word.fields()}
    assert {(trap.holder, trap.field.name) for trap in traps} == fields
    assert all(trap.trapped for trap in traps)

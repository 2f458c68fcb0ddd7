"""`fault` and `regs` of exceptions that an AArch32 kernel under an AArch64 EL2 has raised: its names, its own tables.

The registers are those of Debian's armmp kernel under Xen 4.17, as QEMU's Cortex-A57 had them at Xen's vector.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gdbtools.cli import main
from tests.commands.test_what_if import ask

TAKEN = {
    "HCR_EL2": 0x007C_663F, "VBAR_EL2": 0x25_7000, "pc": 0x25_7600, "cpsr": 0x3C9, "SPSR_EL2": 0x8000_01D3,
    "ELR_EL2": 0x4031_F1D0, "FAR_EL2": 0, "HPFAR_EL2": 0, "x12": 0x8000_3FC0, "CSSELR_EL1": 0,
    "SCTLR_EL1": 0x00C5_5078, "TCR_EL1": 0, "DACR32_EL2": 0xFFFF_FFFD, "ID_AA64PFR0_EL1": 0x2222, "TCR_EL2": 0x80843510,
    "ID_AA64MMFR0_EL1": 0x1124,
}  # fmt: skip
DCISW, A57_L1_DATA = 0x0FE4_1D8C, 0x701F_E00A
UART_READ, MMU_ON = 0x9383_0005, 0x10C5_387D
RAM, ROOT, SECOND, STAGE2 = 0x4000_0000, 0x4000_4000, 0x4000_8000, 0x4000_9000
VA, IPA = 0xFFEF_F018, 0x2200_0018
VTCR = 1 << 31 | 25 | 1 << 6 | 0b010 << 16
"""39 bits of IPA from level 1 on, 40 bits of address."""
BLOCK = RAM | 0xF << 2 | 3 << 6 | 3 << 8 | 1 << 10 | 1


def source(folder: Path, entries: dict[int, int], **registers: int) -> list[str]:
    """Write an image of 64 KB with some words of four bytes in it, and a registers file; return their options."""
    image = bytearray(1 << 16)
    for at, word in entries.items():
        image[at - RAM : at - RAM + 4] = word.to_bytes(4, "little")
    (folder / "ram").write_bytes(image)
    values = {name: hex(value) for name, value in {**TAKEN, **registers}.items()}
    (folder / "registers.json").write_text(json.dumps(values))
    return ["-s", f"{folder / 'ram'}@{RAM:#x}", "--registers", str(folder / "registers.json")]


def answer(capsys: pytest.CaptureFixture[str], folder: Path, *words: str, **registers: int) -> dict[str, Any]:
    (found,) = ask(capsys, "fault", *source(folder, {}, **registers), *words)
    return found


def rows(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    main([*words])
    return " ".join(capsys.readouterr().out.split())


# --- Set and way.


def test_set_way_of_aarch32_is_named_and_its_level_set_and_way_are_told(capsys, tmp_path: Path) -> None:
    found = answer(capsys, tmp_path, "--with", f"CCSIDR_EL1={A57_L1_DATA:#x}", ESR_EL2=DCISW)
    assert found["sentence"].startswith("EL1 MCR p15, 0, R12, c7, c6, 2 (DCISW): trapped to EL2 by HCR_EL2.TSW=1: ")
    operand = found["syndrome"]["operand"]
    assert (operand["register"], operand["value"]) == ("R12", f"{0x8000_3FC0:#018x}")
    assert {each["name"]: int(each["raw"], 16) for each in operand["parts"]} == {"Level": 0, "Set": 255, "Way": 1}
    wide = answer(capsys, tmp_path, ESR_EL2=DCISW, CCSIDR_EL1=255 << 32 | 1 << 3 | 2, ID_AA64MMFR2_EL1=1 << 20)
    assert wide["syndrome"]["operand"]["parts"] == operand["parts"], "by FEAT_CCIDX's layout"


def test_the_shape_of_another_cache_is_not_believed(capsys, tmp_path: Path) -> None:
    """CSSELR_EL1 says which cache CCSIDR_EL1 is about: the second level's, or that of instructions."""
    for selected, other in ((2, 0x8000_3FC0), (1, 0x8000_3FC0), (0, 0x8000_3FC2)):
        operand = answer(
            capsys, tmp_path, ESR_EL2=DCISW, x12=other, CSSELR_EL1=selected, CCSIDR_EL1=A57_L1_DATA
        )["syndrome"]["operand"]  # fmt: skip
        assert [each["name"] for each in operand["parts"]] == ["Level"]
        assert operand["unknown"].endswith(f"--with CSSELR_EL1={other & 0b1110:#x} --with CCSIDR_EL1=0x...")


def test_where_the_cpu_has_gone_on_its_registers_tell_nothing(capsys, tmp_path: Path) -> None:
    assert "operand" not in answer(capsys, tmp_path, ESR_EL2=DCISW, pc=0x25_0000)["syndrome"]
    without = {name: value for name, value in TAKEN.items() if name != "x12"}
    words = source(tmp_path, {}, ESR_EL2=DCISW)
    (tmp_path / "registers.json").write_text(json.dumps({**without, "ESR_EL2": DCISW} | {"x0": 1}))
    assert "operand" not in ask(capsys, "fault", *words)[0]["syndrome"]


def test_aarch64s_is_told_likewise(capsys, tmp_path: Path) -> None:
    dc_cisw_x3, dc_cisw_xzr = 0x6214_1C7C, 0x6214_1FFC
    own = {"SPSR_EL2": 0x3C5, "HCR_EL2": 1 << 31 | 1 << 22, "pc": 0x25_7400}
    shape = ("--with", f"CCSIDR_EL1={A57_L1_DATA:#x}")
    x3 = answer(capsys, tmp_path, *shape, ESR_EL2=dc_cisw_x3, x3=0x8000_0040, **own)["syndrome"]["operand"]
    assert (x3["register"], [int(each["raw"], 16) for each in x3["parts"]]) == ("X3", [0, 1, 1])
    xzr = answer(capsys, tmp_path, *shape, ESR_EL2=dc_cisw_xzr, **own)["syndrome"]["operand"]
    assert (xzr["register"], [int(each["raw"], 16) for each in xzr["parts"]]) == ("XZR", [0, 0, 0])


# --- Other registers, and what is banked.


@pytest.mark.parametrize(
    ("syndrome", "held", "register", "held_in", "value"),
    [
        # MCR p15, 0, R0, c1, c0, 0; the same of R13 in Supervisor mode; MCRR p15, 0, R2, R3, c2.
        (0x0FE0_0400, {"x0": MMU_ON}, "R0", None, MMU_ON),
        (0x0FE0_0660, {"x19": MMU_ON}, "SP_svc", "X19", MMU_ON),
        (0x13E0_0C44, {"x2": 0x4020_4000, "x3": 1}, "R3:R2", None, 1 << 32 | 0x4020_4000),
    ],
)
def test_what_a_trapped_write_would_have_written(
    capsys, tmp_path: Path, syndrome: int, held: dict[str, int], register: str, held_in: str | None, value: int
) -> None:
    operand = answer(capsys, tmp_path, ESR_EL2=syndrome, HCR_EL2=0x047C_663F, **held)["syndrome"]["operand"]
    assert (operand["register"], operand.get("held_in"), int(operand["value"], 16)) == (register, held_in, value)
    assert operand["parts"] == []


@pytest.mark.parametrize("syndrome", [0x0FE8_0163, 0x0FE0_07E0, 0x23F0_0069])
def test_a_read_and_a_write_of_pc_are_handed_nothing_that_is_known(capsys, tmp_path: Path, syndrome: int) -> None:
    """MRC p15, 0, R11, c0, c1, 4; MCR of R15; VMRS R3, MVFR0."""
    assert "operand" not in answer(capsys, tmp_path, ESR_EL2=syndrome, x11=1, x3=1)["syndrome"]


def test_the_register_of_a_load_is_by_its_own_name_and_the_stack_pointer_by_that_of_its_mode(capsys, tmp_path) -> None:
    # By AArch64's numbers: R3, and R13 of Supervisor mode.
    for number, register, held_in in ((3, "R3", None), (19, "SP_svc", "X19"), (14, "LR_usr", "X14")):
        esr = UART_READ & ~(0x1F << 16) | number << 16
        (found,) = ask(capsys, "fault", *uart(tmp_path, ESR_EL2=esr), status=1)
        transfer = found["syndrome"]["transfer"]
        assert (transfer["register"], transfer.get("held_in")) == (register, held_in)
    assert "4 bytes, register LR_usr (in X14)" in rows(capsys, "fault", *uart(tmp_path, ESR_EL2=esr))


def test_the_saved_state_is_laid_out_as_aarch32_has_it(capsys, tmp_path: Path) -> None:
    words = source(tmp_path, {}, ESR_EL2=DCISW, SPSR_EL2=0x0600_FDF3)
    (found,) = ask(capsys, "regs", "SPSR_EL2", *words)
    fields = {name: None if value is None else int(value, 16) for name, value in found["fields"].items()}
    assert (fields["T"], fields["IT"], fields["E"], fields["M"]) == (1, 0xFF, 0, 0b10011)
    assert "AArch32" in rows(capsys, "regs", "SPSR_EL2", *words)


# --- Both stages.


def uart(folder: Path, **changes: int) -> list[str]:
    """Return a load from a page that its short descriptors map, and that its second stage leaves to be emulated."""
    small_page = IPA & -4096 | 0b01 << 4 | 0b10
    entries = {
        ROOT + 4 * (VA >> 20): SECOND | 1,
        SECOND + 4 * (VA >> 12 & 0xFF): small_page,
        STAGE2 + 8: BLOCK,
    }
    taken = {
        "ESR_EL2": UART_READ, "FAR_EL2": VA, "HPFAR_EL2": IPA >> 12 << 4, "SCTLR_EL1": MMU_ON, "TTBR0_EL1": ROOT,
        "VTTBR_EL2": STAGE2, "VTCR_EL2": VTCR, "SPSR_EL2": 0x2000_01D3,
    }  # fmt: skip
    return source(folder, entries, **{**taken, **changes})


def test_an_abort_goes_through_its_short_descriptors_to_the_second_stage(capsys, tmp_path: Path) -> None:
    (found,) = ask(capsys, "fault", *uart(tmp_path), status=1)
    assert found["sentence"].startswith(
        f"EL1 read of {VA:#x}: stage 2 translation fault, level 1, and the tables agree: "
    )
    assert [(step["stage"], step["level"], step["kind"]) for step in found["walk"]["steps"]][:2] == [
        (1, 1, "table"), (1, 2, "page"),
    ]  # fmt: skip
    assert int(found["walk"]["ipa"], 16) == IPA
    assert "HPFAR_EL2: in the page at 0x22000000, as the guest's tables say" in rows(capsys, "fault", *uart(tmp_path))


def test_an_ipa_that_its_tables_do_not_lead_to_is_said(capsys, tmp_path: Path) -> None:
    words = uart(tmp_path, HPFAR_EL2=0x2300_0000 >> 12 << 4)
    assert f"the guest's tables lead to {IPA:#x} now" in rows(capsys, "fault", *words)

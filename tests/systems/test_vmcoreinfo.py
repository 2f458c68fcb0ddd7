"""VMCOREINFO as text, and registers from it: what is derived comes after what is written down, and says so."""

from __future__ import annotations

import pytest

from gdbtools.addresses import PA
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.aarch64.exception_levels import LEVELS
from gdbtools.arch.aarch64.registers.translation import TCR_EL1
from gdbtools.arch.x86_64.registers.control import CR4
from gdbtools.errors import Unavailable, Unreadable
from gdbtools.machine.dumps.derived import with_linux_registers
from gdbtools.machine.layers import FixedRegisters
from gdbtools.machine.model import Cpu
from gdbtools.systems import registers_from_notes, vmcoreinfo

ARM = ARCHITECTURES["aarch64"]
INFO = {
    "OSRELEASE": "6.1.0-test",
    "PAGESIZE": "4096",
    "SYMBOL(swapper_pg_dir)": "ffffad069b57b000",
    "NUMBER(kimage_voffset)": "0xffffad065a000000",
    "NUMBER(TCR_EL1_T1SZ)": "0x10",
    "NUMBER(MAX_PHYSMEM_BITS)": "48",
}
EL1, EL2 = 0x3C5, 0x3C9


def test_lines_become_values_up_to_the_first_nul_and_the_rest_is_left_out() -> None:
    found = vmcoreinfo.parse(b"OSRELEASE=6.1\nNUMBER(A)=-1\nnonsense\n=nothing\n\xff=x\nLATE=1=2\0AFTER=1\n")
    assert {key: found[key] for key in ("OSRELEASE", "NUMBER(A)", "LATE")} == {
        "OSRELEASE": "6.1",
        "NUMBER(A)": "-1",
        "LATE": "1=2",
    }
    assert "AFTER" not in found
    assert "nonsense" not in found
    assert "" not in found


def test_the_root_is_the_symbol_less_the_offset_of_the_image() -> None:
    derived = registers_from_notes(ARM, INFO, LEVELS[1])
    assert derived.values["TTBR1_EL1"] == 0x4157B000
    control = TCR_EL1(derived.values["TCR_EL1"])
    assert (control.T1SZ, control.TG1, control.EPD0) == (16, 0b10, 1)
    assert any("Linux 6.1.0-test" in each.text for each in derived.assumed)


@pytest.mark.parametrize(
    ("page_bytes", "t1sz", "wide"), [(4096, 12, 1), (4096, 16, 0), (16384, 12, 1), (65536, 12, 0), (65536, 16, 0)]
)
def test_the_larger_range_implies_lpa2_but_for_64kb(page_bytes: int, t1sz: int, wide: int) -> None:
    derived = registers_from_notes(
        ARM, {**INFO, "PAGESIZE": str(page_bytes), "NUMBER(TCR_EL1_T1SZ)": hex(t1sz)}, LEVELS[1]
    )
    assert TCR_EL1(derived.values["TCR_EL1"]).DS == wide


def test_a_kernel_at_el2_has_el2s_registers() -> None:
    cpus = [Cpu(0, FixedRegisters({"cpsr": 0}, "a test")), Cpu(1, FixedRegisters({"cpsr": EL2}, "a test"))]
    found, assumed = with_linux_registers(ARM, cpus, INFO, "a test")
    assert found[0].registers.read("TTBR1_EL2") == 0x4157B000
    assert any("E2H=1" in each.text for each in assumed)
    assert ARM.regimes(found[0].registers.read)[-1].name.startswith("EL2&0")


def test_memory_types_are_only_assumed_of_kernels_that_have_them_so() -> None:
    assert "MAIR_EL1" in registers_from_notes(ARM, INFO, LEVELS[1]).values
    for release in ("5.10.0-42", "4.19", "nonsense"):
        assert "MAIR_EL1" not in registers_from_notes(ARM, {**INFO, "OSRELEASE": release}, LEVELS[1]).values


def test_what_the_source_has_itself_is_left_alone() -> None:
    cpus = [Cpu(0, FixedRegisters({"cpsr": EL1, "TTBR1_EL1": 0x1000}, "a test"))]
    found, assumed = with_linux_registers(ARM, cpus, INFO, "a test")
    assert found[0].registers.read("TTBR1_EL1") == 0x1000
    assert assumed == ()


@pytest.mark.parametrize("missing", ["PAGESIZE", "SYMBOL(swapper_pg_dir)", "NUMBER(kimage_voffset)"])
def test_what_is_missing_is_named(missing: str) -> None:
    with pytest.raises(Unavailable, match=r"VMCOREINFO has no .*--registers FILE"):
        registers_from_notes(ARM, {key: value for key, value in INFO.items() if key != missing}, LEVELS[1])


@pytest.mark.parametrize("page", ["4097", "0", "-1", "x"])
def test_a_page_size_that_is_none_is_refused_in_one_line(page: str) -> None:
    with pytest.raises(Unavailable, match="PAGESIZE"):
        registers_from_notes(ARM, {**INFO, "PAGESIZE": page}, LEVELS[1])


def test_no_dump_is_refused_because_of_its_note() -> None:
    cpus = [Cpu(0, FixedRegisters({"cpsr": EL1}, "a test"))]
    found, assumed = with_linux_registers(ARM, cpus, {"OSRELEASE": "6.1"}, "a test")
    assert (len(found), len(assumed)) == (1, 1)
    assert "VMCOREINFO has no PAGESIZE" in assumed[0].text


RISCV_INFO = {
    "OSRELEASE": "6.12.0-test",
    "PAGESIZE": "4096",
    "SYMBOL(swapper_pg_dir)": "ffffffff81dcb000",
    "NUMBER(va_kernel_pa_offset)": "0xfffffffeffe00000",
    "NUMBER(VA_BITS)": "48",
}


@pytest.mark.parametrize(("bits", "mode"), [(39, 8), (48, 9), (57, 10)])
def test_riscvs_satp_is_the_symbol_less_the_offset_and_the_width_of_an_address(bits: int, mode: int) -> None:
    riscv = ARCHITECTURES["riscv64"]
    derived = registers_from_notes(riscv, {**RISCV_INFO, "NUMBER(VA_BITS)": str(bits)}, riscv.supervisor)
    assert derived.values == {"satp": mode << 60 | 0x81FCB}
    assert "Linux 6.12.0-test" in derived.assumed[0].text


def test_sv32s_satp_is_of_32_bits() -> None:
    riscv, info = ARCHITECTURES["riscv32"], {**RISCV_INFO, "NUMBER(VA_BITS)": "32"}
    info |= {"SYMBOL(swapper_pg_dir)": "c1000000", "NUMBER(va_kernel_pa_offset)": "0x40000000"}
    assert registers_from_notes(riscv, info, riscv.supervisor).values == {"satp": 1 << 31 | 0x81000}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"NUMBER(VA_BITS)": "52"}, "VA_BITS=52, and schemes here have 39, 48, 57"),
        ({"SYMBOL(swapper_pg_dir)": "ffffffff81dcb008"}, "which no satp can hold"),
        ({"NUMBER(va_kernel_pa_offset)": "0x0"}, "which no satp can hold"),
    ],
)
def test_what_no_riscv_kernel_can_have_is_not_believed(changed: dict[str, str], said: str) -> None:
    riscv = ARCHITECTURES["riscv64"]
    with pytest.raises(Unavailable, match=said):
        registers_from_notes(riscv, {**RISCV_INFO, **changed}, riscv.supervisor)


X86 = ARCHITECTURES["x86_64"]
X86_INFO = {
    "OSRELEASE": "6.1.0-test",
    "SYMBOL(_stext)": "ffffffff93c00000",
    "SYMBOL(init_top_pgt)": "ffffffff95610000",
    "NUMBER(phys_base)": "-257949696",
    "NUMBER(pgtable_l5_enabled)": "0",
    "KERNELOFFSET": "12c00000",
    "NUMBER(KERNEL_IMAGE_SIZE)": "1073741824",
    "NUMBER(sme_mask)": "0",
}
"""As Linux 6.1 wrote it in a guest of QEMU's, moved by KASLR."""


@pytest.mark.parametrize(("five", "la57"), [("0", 0), ("1", 1)])
def test_x86_has_the_root_by_phys_base_and_the_levels_by_their_own_number(five: str, la57: int) -> None:
    derived = registers_from_notes(X86, X86_INFO | {"NUMBER(pgtable_l5_enabled)": five}, X86.supervisor)
    assert derived.values["cr3"] == 0x6010000
    assert CR4(derived.values["cr4"]).LA57 == la57
    assert derived.places == {0xFFFF_FFFF_9561_0000: 0x6010000, 0xFFFF_FFFF_93C0_0000: 0x4600000}


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("NUMBER(sme_mask)", "0x800000000000", "encrypted memory"),
        ("KERNELOFFSET", "32c00000", "not in an image that was moved by 0x32c00000"),
        ("NUMBER(phys_base)", "1", "which no cr3 can hold"),
        ("SYMBOL(init_top_pgt)", "nonsense", "init_top_pgt"),
    ],
)
def test_notes_of_x86_that_do_not_go_together_imply_nothing(key: str, value: str, said: str) -> None:
    with pytest.raises(Unavailable, match=said) as raised:
        registers_from_notes(X86, X86_INFO | {key: value}, X86.supervisor)
    assert "\n" not in str(raised.value)


def test_registers_that_lead_elsewhere_than_the_notes_say_are_not_taken() -> None:
    """Memory of zeros maps nothing, and what is not there at all speaks against nothing."""
    cpus = [Cpu(0, FixedRegisters({}, "a test"))]
    found, assumed = with_linux_registers(X86, cpus, X86_INFO, "a test", lambda pa, size: bytes(size))
    assert not found[0].registers.names()
    assert "do not map 0xffffffff95610000" in assumed[0].text

    def unread(pa: PA, size_bytes: int) -> bytes:
        raise Unreadable(pa, size_bytes, "a test")

    found, _ = with_linux_registers(X86, cpus, X86_INFO, "a test", unread)
    assert found[0].registers.read("cr3") == 0x6010000

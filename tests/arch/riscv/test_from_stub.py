"""Registers out of QEMU's stub: whose they are while V is 1, and what shows V."""

from __future__ import annotations

import pytest

from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import Stub
from gdbtools.arch.riscv.registers.from_stub import GUESTS, HIDDEN
from gdbtools.errors import MissingRegister, Unavailable
from tests.arch.riscv.machine import guest
from tests.tables import reader

OLD, NEW = "7.2.22 (Debian 1:7.2+dfsg-7)", "10.0.2 (Debian)"
H = 1 << 7
GIVEN = {
    "priv": 1, "misa": H, "hgatp": 8 << 60 | 0x80008, "satp": 0x11, "vsatp": 0x22, "scause": 13, "vscause": 2,
    "sstatus": 0x100, "vsstatus": 0, "mstatus": 0x800C_0122, "htval": 0x33,
}  # fmt: skip


def printed(*v: int) -> str:
    """Return `info registers -a`, of harts whose V is so."""
    return "".join(
        f"\nCPU#{hart}\r\n V      =   {each}\r\n pc       0000000080000000\r\n" for hart, each in enumerate(v)
    )


def shown(name: str, version: str = OLD, said: str = "", hart: int = 0, **given: int | None) -> int | None:
    values = {**GIVEN, **given}
    stub = Stub(hart, values.get, {"info registers -a": said}.get, lambda: version)  # type: ignore[arg-type]
    return ARCHITECTURES["riscv64"].from_stub(name, stub)


@pytest.mark.parametrize(
    ("expected", "state"),
    [
        (1, {"priv": 5, "version": NEW}),
        (0, {"priv": 1, "version": NEW}),
        (1, {"said": printed(1)}),
        (0, {"said": printed(0)}),
        (0, {"priv": 3, "said": printed(1)}),
        (0, {"misa": 1 << 8, "said": printed(1)}),
        (0, {"hgatp": None}),
        (None, {"said": "unknown command: 'info registers -a'\n"}),
        (None, {"version": "", "said": ""}),
        (None, {"priv": None, "version": NEW}),
    ],
)
def test_v_is_what_something_shows(expected: int | None, state: dict[str, object]) -> None:
    """By `priv` from 10.0 on, by the monitor before; 0 where a hart cannot have it, and unknown without either."""
    assert shown("virt", **state) == expected  # type: ignore[arg-type]


def test_v_is_this_harts() -> None:
    said = printed(0, 1, 0)
    assert [shown("virt", said=said, hart=hart) for hart in range(3)] == [0, 1, 0]


def test_while_v_is_1_a_name_of_s_mode_has_the_guests() -> None:
    """vsatp itself has then what it was when V became 1."""
    assert shown("vsatp", priv=5) == GIVEN["satp"]
    assert shown("vscause", priv=5) == GIVEN["scause"]
    assert shown("htval", priv=5) == GIVEN["htval"]
    with pytest.raises(MissingRegister, match="stop in the hypervisor"):
        shown("satp", priv=5)
    assert len(GUESTS) == len(HIDDEN)


def test_while_v_is_0_each_name_has_its_own() -> None:
    assert {name: shown(name, said=printed(0)) for name in GIVEN} == GIVEN
    assert {name: shown(name, NEW) for name in GIVEN} == GIVEN


def test_what_mstatus_shares_with_sstatus_is_the_guests_too() -> None:
    """SIE, SPIE, SPP, SUM and MXR; what is only the machine's stays."""
    assert shown("mstatus", priv=5) == 0x8000_0000
    assert shown("mstatus", NEW) == GIVEN["mstatus"]


def test_a_root_that_may_be_another_ones_is_refused() -> None:
    """Without V, satp may be the hypervisor's or, by this stub, a guest's, whose addresses are no physical ones."""
    hart = guest(0xCF)
    del hart.regs["virt"]
    architecture = ARCHITECTURES["riscv64"]
    with pytest.raises(Unavailable, match=r"S-mode or in VS-mode.*is not shown.*--with virt="):
        architecture.regimes(reader(hart.regs))
    for known in ({"virt": 0}, {"priv": 3}, {"hgatp": 0}):
        assert architecture.regimes(reader({**hart.regs, **known}))
    # By its name a regime is asked for whoever is running, and `priv` may show V as the Debug Specification has it.
    assert architecture.regimes(reader(hart.regs), "vs")[0].below is not None
    assert architecture.regimes(reader({**hart.regs, "priv": 5}))[0].below is not None


def test_what_is_hidden_of_the_hypervisor_is_assumed_and_said() -> None:
    hart = guest(0xCF)
    del hart.regs["satp"]
    (below,) = {each.below for each in ARCHITECTURES["riscv64"].regimes(reader(hart.regs))}
    assert below is not None
    assert any("lacks while V is 1" in each for each in below.assumed)

"""Whose access it is: MPRV with MPP and MPV, and pointer masking.

"Effect of MPRV on the translation and protection of explicit memory accesses"; "Pointer Masking Extensions".
"""

from __future__ import annotations

import pytest

from tests.arch.riscv.machine import AD, MXR, RAM, SV57, Hart, R, U, V, W, X, guest, paged, pte

MPRV, MPV = 1 << 17, 1 << 39
# MPRV, MPV, MPP: as which mode loads and stores of M-mode are.
EFFECTS = {
    (0, 0, 0): "m", (0, 1, 1): "m", (1, 0, 0): "u", (1, 0, 1): "s", (1, 0, 3): "m", (1, 1, 3): "m",
    (1, 1, 0): "vu", (1, 1, 1): "vs",
}  # fmt: skip


@pytest.mark.parametrize("bits", EFFECTS)
def test_mprv_has_loads_and_stores_be_another_modes(bits: tuple[int, int, int]) -> None:
    mprv, mpv, mpp = bits
    hart = guest(V | R | W | U | AD, mstatus=mprv * MPRV | mpv * MPV | mpp << 11, vsstatus=1 << 18, priv=3, virt=0)
    hart.regs["satp"] = 8 << 60 | RAM + 0x3_0000 >> 12
    hart.put(RAM + 0x3_0000, 0, pte(0x4000_0000, V | R | W | AD))
    expected = {"m": ("mapped", 0), "vs": ("mapped", RAM + 0x20000), "vu": ("mapped", RAM + 0x20000),
                "s": ("mapped", 0x4000_0000), "u": ("fault", 15)}[EFFECTS[bits]]  # fmt: skip
    assert hart.outcome(0, "write", "m") == expected
    assert hart.outcome(0, "fetch", "m") == ("mapped", 0)


PMM = {0b00: 0, 0b01: 0, 0b10: 7, 0b11: 16}


@pytest.mark.parametrize("pmm", PMM)
@pytest.mark.parametrize(("mode", "register"), [("u", "senvcfg"), ("s", "menvcfg")])
def test_each_mode_has_its_pointers_masked_by_the_one_above(pmm: int, mode: str, register: str) -> None:
    flags = V | R | W | X | AD | (U if mode == "u" else 0)
    hart = paged(flags, **{"senvcfg": 0, "menvcfg": 0, register: pmm << 32})
    for place in range(39, 64):
        tagged = 0x10 | 1 << place
        masked = place >= 64 - PMM[pmm]
        assert (hart.outcome(tagged, "read", mode)[0] == "mapped") is masked, place
        # A fetch is never masked, nor is any access under MXR.
        assert hart.outcome(tagged, "fetch", mode) == ("fault", 12)
        hart.regs["mstatus"] = MXR
        assert hart.outcome(tagged, "write", mode) == ("fault", 15)
        hart.regs["mstatus"] = 0


def test_a_masked_address_takes_the_highest_bit_that_is_left() -> None:
    hart = paged(V | R | AD, SV57, senvcfg=0, menvcfg=3 << 32)
    upper = pte(0x7000_0000_0000, V | R | AD)
    hart.put(RAM, 511, pte(RAM + 0x9000, V))
    hart.put(RAM + 0x9000, 256, pte(0x80_0000_0000, V | R | AD))
    assert hart.outcome(0x1234_8000_0000_0011, "read", "s") == ("mapped", 0x80_0000_0011), upper


def test_a_physical_address_is_masked_with_zeros() -> None:
    hart = Hart({"satp": 0, "menvcfg": 3 << 32, "mstatus": 0, "priv": 1})
    assert hart.outcome(0xFFFF_8000_0000_0011, "read", "s") == ("mapped", 0x8000_0000_0011)
    assert hart.outcome(0xFFFF_8000_0000_0010, "fetch", "s") == ("fault", 1)


@pytest.mark.parametrize(("mode", "register"), [("vu", "senvcfg"), ("vs", "henvcfg")])
def test_a_guests_pointers_are_masked_too(mode: str, register: str) -> None:
    flags = V | R | AD | (U if mode == "vu" else 0)
    hart = guest(flags, **{"senvcfg": 0, register: 2 << 32})
    assert hart.outcome(0xA5 << 57 & (1 << 64) - 1, "read", mode) == ("mapped", RAM + 0x20000)
    hart.regs["vsstatus"] = MXR
    assert hart.outcome(0xA5 << 57 & (1 << 64) - 1, "read", mode) == ("fault", 13)

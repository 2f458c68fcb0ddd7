"""A regime of which nothing is known, in which a value is decoded that nobody read."""

from __future__ import annotations

from typing import Final

from gdbtools.arch.model import Regime, written_down
from gdbtools.arch.riscv.registers.configuration import MENVCFG
from gdbtools.arch.riscv.translation import regimes

_DEEPEST: Final = {64: 10, 32: 1}
"""By XLEN, the MODE with the most levels: what an entry says does not depend on how many there are above it."""


def bare_regime(bits: int, name: str) -> Regime:
    """Return a regime of that name with as many levels as there can be, memory types on, and hardware setting A."""
    mode = _DEEPEST[bits] << (60 if bits == 64 else 31)
    high = int(MENVCFG(0).with_(PBMTE=1, ADUE=1, SSE=1))
    values = {"satp": mode, "vsatp": mode, "hgatp": mode if name == regimes.GUEST_STAGE else 0}
    values |= {"menvcfg": high, "henvcfg": high} if bits == 64 else {"menvcfg": high & 0xFFFF_FFFF}
    values |= {f"{each}h": high >> 32 for each in ("menvcfg", "henvcfg")} if bits == 32 else {}
    register = written_down(values)
    return regimes.regime(register, bits, name)

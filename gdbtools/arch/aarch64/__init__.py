"""AArch64: what files, GDB and QEMU call it; `architecture` has all else, imported when it is first asked for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from gdbtools.arch.identity import Emulator, Examples, Identity, StatusLayout

if TYPE_CHECKING:
    from gdbtools.arch.capabilities import Architecture

_SHORT: Final = "spsr|esr|far|elr|vbar|ttbr[01]|tcr|sctlr|mair"
"""Registers that are written down without their level."""
GENERAL: Final = (*(f"x{n}" for n in range(31)), "sp", "pc", "cpsr")


def _architecture() -> Architecture:
    from gdbtools.arch.aarch64.architecture import ARCHITECTURE

    return ARCHITECTURE


IDENTITY: Final = Identity(
    name="aarch64",
    title="AArch64",
    architecture=_architecture,
    gdb_names=("aarch64",),
    elf_machine="EM_AARCH64",
    elf_number=183,
    # struct elf_prstatus: pr_pid at 32, pr_reg (x0..x30, sp, pc, pstate) at 112, pr_fpvalid at the end.
    status=StatusLayout(392, 32, 112, GENERAL),
    syndrome="esr",
    register_names=re.compile(rf"\w+_EL[0-3]|{_SHORT}|x\d+|lr|cpsr|pstate|ID_AA64\w+", re.IGNORECASE),
    constants=re.compile("ID_"),
    # QEMU's gdbstub names these without their level (seen in 7.2 and 10.0).
    stub_names={"SCTLR_EL1": "SCTLR", "VBAR_EL1": "VBAR", "CPACR_EL1": "CPACR", "CSSELR_EL1": "CSSELR"},
    monitor_names={**{f"X{n:02}": f"x{n}" for n in range(31)}, "SP": "sp", "PC": "pc", "PSTATE": "cpsr"},
    emulator=Emulator("qemu-system-aarch64", "qemu-system-arm", ("virt", "sbsa-ref"), "virt", "cortex-a57"),
    vector_groups={
        "current": ("current EL, SP_EL0", "current EL, SP_ELx"),
        "lower": ("lower EL, AArch64", "lower EL, AArch32"),
    },
    debuggers=("aarch64-linux-gnu-gdb",),
    examples=Examples("TCR_EL1", "0x200803519", ("TTBR0_EL1", "0x40000000")),
    spellings=frozenset(("arm64", "armv8", "armv9")),
)

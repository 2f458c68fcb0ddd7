"""AArch32: what files, GDB and QEMU call it; `architecture` has all else, imported when it is first asked for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from gdbtools.arch.identity import Emulator, Examples, Identity, StatusLayout

if TYPE_CHECKING:
    from gdbtools.arch.capabilities import Architecture

GENERAL: Final = (*(f"r{n}" for n in range(13)), "sp", "lr", "pc", "cpsr")
"""In the order of Linux's `struct pt_regs`."""
EM_ARM: Final = 40
_SHARED: Final = "sctlr|ttbr[01]|vbar|cpsr|lr"
"""Names that AArch64's registers have as well where somebody leaves their level out."""
_OWN: Final = (
    "ttbcr2?|dacr|mair[01]|prrr|nmrr|[di]fsr|[di]far|contextidr|par|h?cr|vtcr|vttbr|id_mmfr0|"
    "hsctlr|htcr|httbr|hmair[01]|hsr|hvbar|h[di]far|hpfar"
)

GDB_NAMES: Final = (
    *("arm", "armv2", "armv2a", "armv3", "armv3m", "armv4", "armv4t", "armv5", "armv5t", "armv5te", "armv5tej"),
    *("armv6", "armv6k", "armv6kz", "armv6t2", "armv7", "armv8-a", "armv9-a", "arm_any"),
)
"""What GDB takes such a guest for: by what an ELF file says of itself, or, where it says nothing, the oldest."""


def _architecture() -> Architecture:
    from gdbtools.arch.aarch32.architecture import ARCHITECTURE

    return ARCHITECTURE


IDENTITY: Final = Identity(
    name="aarch32",
    title="AArch32",
    architecture=_architecture,
    gdb_names=GDB_NAMES,
    elf_machine="EM_ARM",
    elf_number=EM_ARM,
    # struct elf_prstatus of 32-bit longs: pr_pid at 24, pr_reg (r0..r15, cpsr, and orig_r0) at 72, pr_fpvalid.
    status=StatusLayout(148, 24, 72, GENERAL, 4),
    syndrome="dfsr",
    register_names=re.compile(rf"{_OWN}|{_SHARED}|r\d+", re.IGNORECASE),
    constants=re.compile("ID_"),
    # QEMU's gdbstub names these as AArch64 has them: with its level (seen in 7.2 and 10.0), and where there is a Hyp
    # mode as what they are mapped to (7.2).
    stub_names={
        "CONTEXTIDR": "CONTEXTIDR_EL1",
        "SCTLR": "SCTLR_EL1",
        "VBAR": "VBAR_EL1",
        "HSCTLR": "SCTLR_EL2",
        "HTCR": "TCR_EL2",
        "HMAIR0": "MAIR_EL2",
        "HSR": "ESR_EL2",
        "HVBAR": "VBAR_EL2",
        "HDFAR": "FAR_EL2",
    },
    monitor_names={**{f"R{n:02}": name for n, name in enumerate(GENERAL[:-1])}, "PSR": "cpsr"},
    emulator=Emulator("qemu-system-arm", "qemu-system-arm", ("virt",), "virt", "cortex-a15"),
    vector_groups={},
    debuggers=("arm-none-eabi-gdb", "arm-linux-gnueabihf-gdb"),
    examples=Examples("TTBCR", "0x0", ("TTBR0", "0x40004000")),
    spellings=frozenset(("arm", "arm32", "armv7", "armhf")),
    bits=32,
)

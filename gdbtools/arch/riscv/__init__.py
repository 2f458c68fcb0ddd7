"""RISC-V, riscv64 and riscv32: what files, GDB and QEMU call them; `architecture` has all else, imported when asked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from gdbtools.arch.identity import Emulator, Examples, Identity, StatusLayout

if TYPE_CHECKING:
    from gdbtools.arch.capabilities import Architecture

# The ABI's names of x0 to x31, as GDB has them: "RISC-V Assembly Programmer's Handbook".
X: Final = (
    *("zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "fp", "s1"),
    *(f"a{n}" for n in range(8)),
    *(f"s{n}" for n in range(2, 12)),
    *(f"t{n}" for n in range(3, 7)),
)
GENERAL: Final = ("pc", *X[1:])
"""In the order of Linux's `struct user_regs_struct`: pc in place of the register that is always 0."""
EM_RISCV: Final = 243


def _riscv64() -> Architecture:
    from gdbtools.arch.riscv.architecture import RISCV64

    return RISCV64


def _riscv32() -> Architecture:
    from gdbtools.arch.riscv.architecture import RISCV32

    return RISCV32


# What only one of the two has: the upper halves of registers that are of 64 bits, and PMP's odd-numbered ones.
_HALVES: Final = r"(?:mstatus|menvcfg|henvcfg|mseccfg|medeleg|hedeleg)h|pmpcfg\d*[13579]"
_REGISTERS: Final = r"v?s(?:atp|status|cause|tval|epc|tvec)|m(?:status|cause|tval|epc|tvec)|hgatp|hstatus|[mhs]envcfg"
_REGISTERS_OF_BOTH: Final = rf"{_REGISTERS}|[mh]e?deleg|mseccfg|pmpcfg\d+|pmpaddr\d+|m?htval2?|priv|virt|htinst"
# "info registers": ` x1/ra   0000...`, and the CSRs by their names.
_MONITOR: Final = {f"x{n}/{'s0' if name == 'fp' else name}": name for n, name in enumerate(X) if n}

RISCV64_IDENTITY: Final = Identity(
    name="riscv64",
    title="RISC-V (64 bits)",
    architecture=_riscv64,
    gdb_names=("riscv:rv64",),
    elf_machine="EM_RISCV",
    elf_number=EM_RISCV,
    # struct elf_prstatus: pr_pid at 32, pr_reg (pc, x1..x31) at 112, pr_fpvalid at the end.
    status=StatusLayout(376, 32, 112, GENERAL),
    syndrome="scause",
    register_names=re.compile(_REGISTERS_OF_BOTH, re.IGNORECASE),
    constants=re.compile("misa|mvendorid|marchid|mimpid|mhartid"),
    stub_names={},
    monitor_names={**_MONITOR, "pc": "pc", "V": "virt"},
    emulator=Emulator("qemu-system-riscv64", "qemu-system-misc", ("virt",), "virt", "rv64"),
    vector_groups={},
    debuggers=("riscv64-linux-gnu-gdb", "riscv64-unknown-elf-gdb"),
    examples=Examples("menvcfg", "0x4000000000000000", ("satp", "0x8000000000080000")),
    spellings=frozenset(("riscv", "risc-v", "rv64")),
)
RISCV32_IDENTITY: Final = Identity(
    name="riscv32",
    title="RISC-V (32 bits)",
    architecture=_riscv32,
    gdb_names=("riscv:rv32",),
    elf_machine="EM_RISCV",
    elf_number=EM_RISCV,
    # The same of 32-bit longs: pr_pid at 24, pr_reg at 72.
    status=StatusLayout(204, 24, 72, GENERAL, 4),
    syndrome="scause",
    register_names=re.compile(rf"{_REGISTERS_OF_BOTH}|{_HALVES}", re.IGNORECASE),
    constants=RISCV64_IDENTITY.constants,
    stub_names={},
    monitor_names=RISCV64_IDENTITY.monitor_names,
    emulator=Emulator("qemu-system-riscv32", "qemu-system-misc", ("virt",), "virt", "rv32"),
    vector_groups={},
    debuggers=("riscv32-unknown-elf-gdb",),
    examples=Examples("mstatus", "0x40000", ("satp", "0x80080000")),
    spellings=frozenset(("rv32",)),
    bits=32,
)
IDENTITIES: Final = (RISCV64_IDENTITY, RISCV32_IDENTITY)

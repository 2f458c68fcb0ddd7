"""x86-64: what files, GDB and QEMU call it; `architecture` has all else, imported when it is first asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from gdbtools.arch.identity import CpuNote, Emulator, Examples, Identity, StatusLayout

if TYPE_CHECKING:
    from gdbtools.arch.capabilities import Architecture

GENERAL: Final = (
    *("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp"),
    *(f"r{n}" for n in range(8, 16)),
    "rip",
)
# Linux's `struct user_regs_struct`.
_SAVED: Final = (
    *("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi"),
    *("orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs"),
)
EM_X86_64: Final = 62


def _cpu_state(note: bytes) -> Mapping[str, int]:
    from gdbtools.arch.x86_64.registers.cpu_note import cpu_state

    return cpu_state(note)


def _architecture() -> Architecture:
    from gdbtools.arch.x86_64.architecture import X86_64

    return X86_64


IDENTITY: Final = Identity(
    name="x86_64",
    title="x86-64",
    architecture=_architecture,
    gdb_names=("i386:x86-64", "i386"),
    elf_machine="EM_X86_64",
    elf_number=EM_X86_64,
    # struct elf_prstatus: pr_pid at 32, pr_reg at 112, pr_fpvalid at the end.
    status=StatusLayout(336, 32, 112, _SAVED),
    syndrome="pf",
    register_names=re.compile(
        r"cr[02348]|efer|error_code|idtr|[re]flags|pkr[us]|pat|maxphyaddr|[re][abcd]x|[re]ip|[cs]s|ncr3|hcr4|hefer|eptp"
        r"|tr|secondary_controls|tertiary_controls|ept_vpid_cap",
        re.IGNORECASE,
    ),
    constants=re.compile("maxphyaddr|ept_vpid_cap"),
    stub_names={},
    monitor_names={**{name.upper(): name for name in GENERAL}, "RFL": "eflags", "CS": "cs"},
    emulator=Emulator(
        "qemu-system-x86_64",
        "qemu-system-x86",
        ("pc", "q35"),
        "pc",
        "max",
        "pc",
        # Its reset, which comes with each snapshot, waits for the CPU with the replay's lock held (7.2 to 10.0).
        never_back_with="kvmvapic",
        recorded_with="-global apic-common.vapic=off",
    ),
    vector_groups={},
    debuggers=("gdb",),
    # dump-guest-memory leaves one of each CPU: the note's type is 0.
    cpu_note=CpuNote(b"QEMU", 0, _cpu_state),
    examples=Examples("cr4", "0x20", ("cr3", "0x1000")),
    spellings=frozenset(("x86-64", "amd64", "x64")),
)

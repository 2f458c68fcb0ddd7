"""The note of a CPU in QEMU's dumps: `QEMUCPUState` of target/i386/arch_dump.c, its members typed from there."""

from __future__ import annotations

import struct

import pytest

from gdbtools.arch.x86_64.registers.cpu_note import cpu_state

# version and size; then 18 registers, ten segments, and cr0 to cr4.
MEMBERS = [
    *("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp"),
    *("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip", "rflags"),
]
SEGMENTS = ["cs", "ds", "es", "fs", "gs", "ss", "ldt", "tr", "gdt", "idt"]
SIZE = 8 + 18 * 8 + 10 * 24 + 5 * 8
CALLED = {"rflags": "eflags"}


def note(version: int = 1) -> bytes:
    """Return a note whose every member has a value of its own."""
    general = struct.pack("<18Q", *(0x1000 + number for number in range(18)))
    # Selector, limit, flags, padding, base.
    parts = (struct.pack("<4IQ", 0x10 + n, 0x2000 + n, 0x3000 + n, 0x4000 + n, 0x5000 + n) for n in range(10))
    return struct.pack("<2I", version, SIZE) + general + b"".join(parts) + struct.pack("<5Q", *range(0x6000, 0x6005))


def test_every_register_is_where_the_structure_has_it() -> None:
    found = cpu_state(note())
    assert found == {
        **{CALLED.get(name, name): 0x1000 + number for number, name in enumerate(MEMBERS)},
        "cs": 0x10 + SEGMENTS.index("cs"),
        "idtr": 0x5000 + SEGMENTS.index("idt"),
        "tr": 0x5000 + SEGMENTS.index("tr"),
        "cr0": 0x6000,
        "cr2": 0x6002,
        "cr3": 0x6003,
        "cr4": 0x6004,
    }


@pytest.mark.parametrize("size", [0, 1, 4, 7, 8, SIZE // 2, SIZE - 41, SIZE - 40, SIZE - 1])
def test_a_note_that_is_cut_has_no_registers(size: int) -> None:
    assert cpu_state(note()[:size]) == {}


@pytest.mark.parametrize("version", [0, 2])
def test_a_note_of_another_version_has_no_registers(version: int) -> None:
    assert cpu_state(note(version)) == {}


def test_what_a_later_qemu_adds_behind_is_left_alone() -> None:
    assert cpu_state(note() + bytes(8)) == cpu_state(note())

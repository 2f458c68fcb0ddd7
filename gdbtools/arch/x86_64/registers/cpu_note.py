"""What QEMU's `dump-guest-memory` leaves of a CPU besides the general registers: cr0 to cr4, segments, the IDT.

Source: QEMU's `QEMUCPUState`, version 1, as target/i386/arch_dump.c writes it.  EFER is not in it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

_HEADER: Final = struct.Struct("<2I")
_GENERAL: Final = (
    *("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp"),
    *(f"r{n}" for n in range(8, 16)),
    *("rip", "eflags"),
)
_SEGMENTS: Final = ("cs", "ds", "es", "fs", "gs", "ss", "ldt", "tr", "gdt", "idt")
_SEGMENT: Final = struct.Struct("<4IQ")
"""Selector, limit, flags, padding, base."""
_CONTROL: Final = struct.Struct("<5Q")
_VERSION: Final = 1


def cpu_state(note: bytes) -> Mapping[str, int]:
    """Return the registers of a note; none where it is no such note, or of another version."""
    general = struct.Struct(f"<{len(_GENERAL)}Q")
    segments_at = _HEADER.size + general.size
    control_at = segments_at + len(_SEGMENTS) * _SEGMENT.size
    if len(note) < control_at + _CONTROL.size or _HEADER.unpack_from(note)[0] != _VERSION:
        return {}
    found = dict(zip(_GENERAL, general.unpack_from(note, _HEADER.size), strict=True))
    segments = dict(zip(_SEGMENTS, _SEGMENT.iter_unpack(note[segments_at:control_at]), strict=True))
    cr0, _, cr2, cr3, cr4 = _CONTROL.unpack_from(note, control_at)
    return {
        **found,
        "cs": segments["cs"][0],
        "idtr": segments["idt"][-1],
        "tr": segments["tr"][-1],
        "cr0": cr0,
        "cr2": cr2,
        "cr3": cr3,
        "cr4": cr4,
    }

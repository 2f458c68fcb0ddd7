"""Values that Linux puts where a pointer must not be followed any more, and what a pointer that fails looks like.

Source: Linux, `include/linux/poison.h`, `include/linux/err.h` (MAX_ERRNO), `mm/Kconfig` and the architectures' own
(ILLEGAL_POINTER_VALUE), KASAN_SHADOW_OFFSET of `arch/arm64/Kconfig`, `arch/x86/Kconfig` and `arch/riscv/Kconfig`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from gdbtools.addresses import VA

_ADDRESSES: Final = 1 << 64
_ILLEGAL: Final = 0xDEAD << 48
_POINTERS: Final[Mapping[int, str]] = {
    _ILLEGAL + 0x100: "LIST_POISON1: the entry was deleted from its list, and next is followed",
    _ILLEGAL + 0x122: "LIST_POISON2: the entry was deleted from its list, and prev is followed",
    _ILLEGAL + 0x200: "LIST_POISON2 of kernels before 4.3: the entry was deleted from its list, and prev is followed",
    _ILLEGAL + 0x300: "TIMER_ENTRY_STATIC: a timer that is not armed",
    _ILLEGAL + 0x500: "MUTEX_POISON_WW_CTX: a context of ww_mutex that was finished",
}
_BYTES: Final[Mapping[int, str]] = {
    0x6B: "POISON_FREE: memory that SLUB has freed is used",
    0x5A: "POISON_INUSE: memory of SLUB that was never initialized is used",
    0xA5: "POISON_END: what is behind an object of SLUB",
    0xBB: "SLUB_RED_INACTIVE: the red zone of an object that is free",
    0xCC: "SLUB_RED_ACTIVE, the red zone of an object, or POISON_FREE_INITMEM, memory of the kernel's start",
    0xAA: "PAGE_POISON, a page that is free, or a variable that was never initialized (INIT_STACK_ALL_PATTERN)",
    0xA7: "POOL_POISON_FREED: memory of a DMA pool that was freed",
}
_ERRORS: Final[Mapping[int, str]] = {
    1: "EPERM", 2: "ENOENT", 4: "EINTR", 5: "EIO", 6: "ENXIO", 7: "E2BIG", 9: "EBADF", 11: "EAGAIN", 12: "ENOMEM",
    13: "EACCES", 14: "EFAULT", 16: "EBUSY", 17: "EEXIST", 19: "ENODEV", 20: "ENOTDIR", 22: "EINVAL", 28: "ENOSPC",
    34: "ERANGE", 38: "ENOSYS", 61: "ENODATA", 75: "EOVERFLOW", 95: "EOPNOTSUPP", 110: "ETIMEDOUT",
    517: "EPROBE_DEFER", 524: "ENOTSUPP",
}  # fmt: skip
_LAST_ERROR: Final = 4095
_FIELD_BYTES: Final = 0x1000
"""How far into an object a field may be whose address is made of a pointer to it."""
_SHADOW_SHIFT: Final = 3
_LOW_BYTES: Final = 1 << 24
"""Below it an access that KASAN checks is one by a null pointer."""


def named(address: VA, shadows: Sequence[int] = ()) -> str:
    """Return what Linux's list says of an address, in a clause; empty where it is none of those.

    `shadows` are where KASAN's shadow of address 0 is, by the kernel's version and configuration.
    """
    behind = address + 1 - _ADDRESSES
    if -_LAST_ERROR < behind <= 0:
        error = 1 - behind
        return f"it is -{_ERRORS.get(error, error)}, an error pointer that was not checked"
    return _poison(address) or next(filter(None, (_shadow(address, each) for each in shadows)), "")


def _poison(address: int) -> str:
    for value, said in sorted(_POINTERS.items(), reverse=True):
        if 0 <= address - value < _FIELD_BYTES:
            return _with_offset(said, address - value)
    for byte, said in _BYTES.items():
        pattern = int.from_bytes(bytes((byte,)) * 8, "big")
        if -_FIELD_BYTES < address - pattern < _FIELD_BYTES:
            return _with_offset(said, address - pattern)
    return ""


def _with_offset(said: str, offset: int) -> str:
    name, _, rest = said.partition(":")
    at = f" {'+' if offset > 0 else '-'} {abs(offset):#x}" if offset else ""
    return f"it is {name}{at}{':' if rest else ''}{rest}"


def _shadow(address: int, shadow: int) -> str:
    accessed = address - shadow << _SHADOW_SHIFT
    if not 0 <= accessed < _LOW_BYTES:
        return ""
    return f"it is KASAN's shadow of {accessed:#x}: the access that is checked goes there, by a null pointer"

"""What sixteen protection keys deny: pkru for user-mode addresses, pkrs for supervisor-mode ones.

Source: Intel SDM volume 3, "Protection Keys".
"""

from __future__ import annotations

from typing import Final

from gdbtools.bits import OFF_ON, Field, Word

KEYS: Final = range(16)


def _fields() -> dict[str, Field]:
    bits = [(f"WD{key}", 2 * key + 1, f"key {key} denies writes") for key in KEYS]
    bits += [(f"AD{key}", 2 * key, f"key {key} denies all data accesses") for key in KEYS]
    return {name: Field(bit, doc=said, values=OFF_ON) for name, bit, said in bits}


_DOC: Final = "PKRU, or IA32_PKRS: two bits for each key."
ProtectionKeys: Final[type[Word]] = type("ProtectionKeys", (Word,), {"__doc__": _DOC, "width": 32, **_fields()})


def no_access(key: int) -> Field:
    """Return the bit by which a key denies all data accesses."""
    return ProtectionKeys.field(f"AD{key}")


def no_write(key: int) -> Field:
    """Return the bit by which a key denies writes."""
    return ProtectionKeys.field(f"WD{key}")

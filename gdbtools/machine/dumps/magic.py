"""How files of each format begin: what opens one is imported when there is one."""

from __future__ import annotations

from typing import Final

ELF: Final = b"\x7fELF"
LIME: Final = b"EMiL"
KDUMP: Final = (b"KDUMP   ", b"DISKDUMP", b"makedumpfile\0")
"""The last is of the flattened format."""

"""What Linux for 64-bit Arm keeps in an entry of a process that is not valid.

Source: Linux 6.1 and 6.12, `arch/arm64/include/asm/pgtable.h` ("Encode and decode a swap entry"), `pgtable-prot.h`
(PTE_PROT_NONE, PTE_PRESENT_INVALID).
"""

from __future__ import annotations

from typing import Final

from gdbtools.addresses import VA
from gdbtools.bits import NO_YES, Field, Word
from gdbtools.systems.linux.swap_kinds import kind

_UPPER: Final = Field(55)
_LAST_LEVEL: Final = 3


class _Absent(Word):
    """An entry that is not valid, and not 0."""

    VALID = Field((1, 0), doc="valid, and its type", values={0: "invalid"})
    EXCLUSIVE = Field(2, doc="no other process has the page", values=NO_YES)


class _Until69(_Absent):
    """Of 5.19 to 6.9."""

    TYPE = Field((7, 3), doc="swap area, or what else it is")
    OFFSET = Field((57, 8), doc="page of the area")
    PROTNONE = Field(58, doc="PROT_NONE", values=NO_YES)


class _Since610(_Absent):
    """Of 6.10 and later."""

    UFFD_WP = Field(3, doc="userfaultfd write-protects it", values=NO_YES)
    TYPE = Field((10, 6), doc="swap area, or what else it is")
    PRESENT_INVALID = Field(11, doc="present, and not valid", values=NO_YES)
    OFFSET = Field((61, 12), doc="page of the area")


_OUTPUT: Final = Field((47, 12), scale=1 << 12)


def absent(address: VA, entry: int, level: int) -> str:
    """Return what an entry of a process that is not valid is, in a clause; empty where no convention says so.

    The two layouts share no bit that tells them apart: where both make sense, both are said.
    """
    if _UPPER.of(address) or level != _LAST_LEVEL or not entry or _Absent(entry).VALID:
        return ""
    old, new = _Until69(entry), _Since610(entry)
    output = _OUTPUT.of(entry)
    bit = 58 if old.PROTNONE else 11 if new.PRESENT_INVALID and output else None
    if bit is not None:
        since = "until 6.9" if old.PROTNONE else "6.10 and later"
        return f"PROT_NONE, or NUMA balancing waits for it: bit {bit} is set ({since}); the page is at PA {output:#x}"
    said = [f"{kind(old.TYPE, old.OFFSET)} (5.19 to 6.9)", f"{kind(new.TYPE, new.OFFSET)} (6.10 and later)"]
    flags = [_Absent.EXCLUSIVE.doc] if old.EXCLUSIVE else []
    return "; ".join([", or ".join(said), *flags])

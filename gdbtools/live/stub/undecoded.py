"""What is told of a guest whose architecture is not decoded here."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

_KNOWN: Final = (("arm", "a 32-bit Arm", "monitor gva2gpa ADDRESS"),)
"""How GDB's name for it begins, what it is, and which command of QEMU's monitor shows what it maps."""


def undecoded(name: str, decoded: Collection[str]) -> str:
    """Return one line for a guest that GDB takes for `name`: what that is, and what can be done.

    Nothing can be set: where GDB takes a guest for what it is not, it is a GDB that does not know the guest's.
    """
    *others, last = decoded
    only = f"only {', '.join(others)} and {last} are decoded here" if others else f"only {last} is decoded here"
    other = "if it is none, this GDB does not know its architecture: use gdb-multiarch"
    for prefix, what, command in _KNOWN:
        if name.startswith(prefix):
            return f"GDB takes the guest for {what} ({name}), and {only}; QEMU shows its mappings: {command}; {other}"
    return f"GDB takes the guest for {name}, and {only}; {other}"

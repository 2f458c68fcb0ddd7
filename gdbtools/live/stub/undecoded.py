"""What is told of a guest whose architecture is not decoded here."""

from __future__ import annotations

from collections.abc import Collection


def undecoded(name: str, decoded: Collection[str]) -> str:
    """Return one line for a guest that GDB takes for `name`: what that is, and what can be done.

    Nothing can be set: where GDB takes a guest for what it is not, it is a GDB that does not know the guest's.
    """
    *others, last = decoded
    only = f"only {', '.join(others)} and {last} are decoded here" if others else f"only {last} is decoded here"
    other = "if it is none, this GDB does not know its architecture: use gdb-multiarch"
    return f"GDB takes the guest for {name}, and {only}; {other}"

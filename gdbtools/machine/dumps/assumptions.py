"""What a file says was assumed, which is a list of sentences: one that is of a register begins with its name."""

from __future__ import annotations

import re
from typing import Final

from gdbtools.arch.model import Assumption

_OF_A_REGISTER: Final = re.compile(r"(\w+)[=:]")


def assumptions(written: object) -> tuple[Assumption, ...]:
    """Return what a file lists as assumed; raise `ValueError` for anything but a list of strings."""
    if not isinstance(written, list) or not all(isinstance(each, str) for each in written):
        raise ValueError(written)
    return tuple(Assumption(_register(each), each) for each in written)


def _register(sentence: str) -> str:
    found = _OF_A_REGISTER.match(sentence)
    return "" if found is None else found[1]

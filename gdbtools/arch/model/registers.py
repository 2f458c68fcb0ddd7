"""Registers as an architecture is asked for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

ReadRegister = Callable[[str], int]
"""Return a register's unsigned value by its architectural name, or raise `Unavailable`."""


@dataclass(frozen=True)
class Derived:
    """Registers that nobody read: their values, and in words where each comes from or what was taken for granted.

    `regime` is the one that they are of, where it is one.
    """

    values: Mapping[str, int]
    assumed: tuple[str, ...]
    regime: str | None = None


@dataclass(frozen=True, slots=True)
class Brief:
    """The fields that say most of a register: `always`, and those that say something while they are not 0."""

    always: tuple[str, ...]
    if_set: tuple[str, ...] = ()

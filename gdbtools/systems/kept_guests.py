"""Guests as their hypervisor's own structures have them, whatever registers hold at the moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gdbtools.addresses import PA


@dataclass(frozen=True, slots=True)
class KeptCpu:
    """A virtual CPU: its number, and that of the processor that it ran on last; None where it is on none."""

    number: int
    processor: int | None


@dataclass(frozen=True, slots=True)
class KeptGuest:
    """A guest that a hypervisor keeps.

    `name` is what it is called there, empty where that is not known, `identifier` marks its TLB entries, None before
    its first, `root` is its second stage's, and `registers` what a CPU has that runs it, as far as that is known.
    `evidence` is in words what shows all that; `limits` what is not known of it.
    """

    name: str
    identifier: int | None
    root: PA
    registers: Mapping[str, int]
    cpus: tuple[KeptCpu, ...]
    evidence: tuple[str, ...]
    places: tuple[tuple[PA, int], ...]
    """Where that is in memory, (physical address, size in bytes): searching there finds the guest again."""
    limits: tuple[str, ...] = ()

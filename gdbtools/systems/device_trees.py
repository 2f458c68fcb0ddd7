"""What a hypervisor writes into device trees: by it a tree for a guest is told from the one that booted the machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TreeMarks:
    """Words of `compatible`: of nodes in the trees that a hypervisor makes for guests, and of nodes in its own only."""

    title: str
    given: frozenset[str]
    own: frozenset[str]

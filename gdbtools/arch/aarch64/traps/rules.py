"""Which control traps which instruction: one `TrapRule` for each sentence of the manual that says so.

What a rule traps is named as in `groups`.
"""

from __future__ import annotations

from functools import cache

from gdbtools.arch.aarch64.traps import el1_controls, el2_controls, el3_controls
from gdbtools.arch.aarch64.traps.rule import TrapRule


@cache
def rules() -> tuple[TrapRule, ...]:
    """Return every rule, the coarse ones before the fine-grained ones."""
    return (*el1_controls.rules(), *el2_controls.rules(), *el3_controls.rules())

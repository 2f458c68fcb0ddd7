"""From a root that was found in memory to the registers that would have it in use, and what those stand on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from gdbtools.addresses import PA
from gdbtools.arch.model import Assumption, Derived, Regime, written_down
from gdbtools.arch.table_heuristics import Owner, RootPlace, TableForm
from gdbtools.arch.x86_64.registers.control import CR0, CR4, EFER
from gdbtools.arch.x86_64.tables.geometry import LEVELS_4, LEVELS_5, Mode
from gdbtools.arch.x86_64.translation import regimes

_MODES: Final = {len(mode.levels): mode for mode in (LEVELS_4, LEVELS_5)}


def places(root: PA, form: TableForm, height: int, owner: Owner) -> Sequence[RootPlace]:
    """Return where a root of an owner may be held; none for a height that no mode of long mode has.

    One root has both halves: a kernel's is named by the upper, a process's by the lower.
    """
    mode = _MODES.get(height + 1)
    if mode is None or owner not in (Owner.KERNEL, Owner.USER):
        return []
    halves = (False,) if owner is Owner.USER else (False, True)
    return [RootPlace("cr3", regimes.LINEAR, upper, root, form, height, mode.input_bits) for upper in halves]


def regime(place: RootPlace) -> Regime:
    """Return the regime that a root would translate, both halves of it as one."""
    return regimes.regime(written_down(controls(_MODES[place.height + 1], place.root)))


def registers(places: Sequence[RootPlace]) -> Derived:
    """Return the registers that hold the last of these roots."""
    if not places:
        return Derived({}, ())
    return derived(_MODES[places[-1].height + 1], places[-1].root, "as the tables are")


def derived(mode: Mode, root: PA, why: str) -> Derived:
    """Return the registers of a mode of long mode with a root, and what they stand on; `why` is said of the root."""
    values = controls(mode, root)
    return Derived(
        values,
        (
            Assumption("cr3", f"cr3={root:#x}, {mode.name}: {why}"),
            Assumption("cr0", "cr0: PG=1, PE=1, WP=1"),
            Assumption("cr4", f"cr4: PAE=1, PGE=1, LA57={int(mode is LEVELS_5)}, SMEP=0, SMAP=0, PKE=0, CET=0"),
            Assumption("efer", "efer: LMA=1, NXE=1"),
        ),
        regimes.LINEAR,
    )


def controls(mode: Mode, root: PA) -> Mapping[str, int]:
    """Return the registers of a mode of long mode with a root, as kernels have them that use NX."""
    return {
        "cr0": int(CR0(0).with_(PG=1, WP=1, PE=1)),
        "cr3": root,
        "cr4": int(CR4(0).with_(PAE=1, PGE=1, LA57=int(mode is LEVELS_5))),
        "efer": int(EFER(0).with_(LME=1, LMA=1, NXE=1)),
    }

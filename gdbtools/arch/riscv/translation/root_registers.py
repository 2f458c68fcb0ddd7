"""From a root that was found in memory to the register that would have it in use, and what that stands on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from gdbtools.addresses import PA
from gdbtools.arch.model import Assumption, Derived, Regime, written_down
from gdbtools.arch.riscv.registers.configuration import MENVCFG
from gdbtools.arch.riscv.registers.translation import HGATP32, HGATP64, PAGE, SATP32, SATP64
from gdbtools.arch.riscv.tables.geometry import GUEST_SCHEMES, SCHEMES, Scheme
from gdbtools.arch.riscv.translation import regimes
from gdbtools.arch.table_heuristics import Owner, RootPlace, TableForm
from gdbtools.bits import Word

_WIDE: Final = 64
_LAYOUTS: Final[Mapping[int, tuple[type[Word], type[Word]]]] = {64: (SATP64, HGATP64), 32: (SATP32, HGATP32)}
_MENVCFG: Final = int(MENVCFG(0).with_(PBMTE=1))


def places(bits: int, root: PA, form: TableForm, height: int, owner: Owner) -> Sequence[RootPlace]:
    """Return where a root of an owner may be held; none for a height that no scheme has, or that is not aligned.

    One root has both halves of virtual addresses: a kernel's is named by the upper, a process's by the lower.  Sv32 has
    no halves.
    """
    if owner is Owner.VIRTUAL_MACHINE:
        found = [each for each in GUEST_SCHEMES[bits].values() if each.depth == height + 1 and not root % (4 * PAGE)]
        return [RootPlace("hgatp", regimes.GUEST_STAGE, False, root, form, height, each.input_bits) for each in found]
    found = [each for each in SCHEMES[bits].values() if each.depth == height + 1]
    halves = (False,) if owner is Owner.USER or bits != _WIDE else (False, True)
    return [
        RootPlace("satp", regimes.SUPERVISOR, upper, root, form, height, each.input_bits)
        for each in found
        for upper in halves
    ]


def regime(bits: int, place: RootPlace) -> Regime:
    """Return the regime that a root would translate, both halves of it as one."""
    values = {**registers(bits, (place,)).values, "mstatus": 0}
    values |= {"menvcfg": _MENVCFG} if bits == _WIDE else {"menvcfg": 0, "menvcfgh": 0}
    register = written_down(values)
    return regimes.regime(register, bits, place.regime)


def registers(bits: int, places: Sequence[RootPlace]) -> Derived:
    """Return the registers that hold these roots."""
    values: dict[str, int] = {}
    assumed: list[Assumption] = []
    for place in places:
        guest = place.regime == regimes.GUEST_STAGE
        mode, scheme = next(_schemes(bits, place))
        layout = _LAYOUTS[bits][guest]
        values[place.register] = int(layout(0).with_(MODE=mode, PPN=place.root // PAGE))
        said = f"{place.register}={values[place.register]:#x}: {scheme.name}, as the tables are"
        assumed.append(Assumption(place.register, said))
    return Derived(values, tuple(assumed))


def _schemes(bits: int, place: RootPlace) -> Iterator[tuple[int, Scheme]]:
    schemes = GUEST_SCHEMES if place.regime == regimes.GUEST_STAGE else SCHEMES
    return ((mode, each) for mode, each in schemes[bits].items() if each.input_bits == place.input_bits)

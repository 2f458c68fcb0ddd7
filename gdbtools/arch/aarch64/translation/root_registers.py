"""From a root that was found in memory to the registers that would have it in use, and what those stand on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from gdbtools.addresses import PA, VA
from gdbtools.arch.aarch64.registers.hypervisor import HCR_EL2, VTCR_EL2
from gdbtools.arch.aarch64.registers.processor_state import SPSR
from gdbtools.arch.aarch64.registers.translation import TG0_GRANULE
from gdbtools.arch.aarch64.tables.geometry import (
    CONCATENATED_BITS,
    GRANULE_BITS,
    LAST_LEVEL,
    NARROW_BITS,
    PHYSICAL_BITS,
    START_LEVELS,
    WIDE_BITS,
    MAXIMUM_TnSZ,
)
from gdbtools.arch.aarch64.translation import regimes
from gdbtools.arch.aarch64.translation.controls import EL2, EL3, EL10, EL20, Controls, RangeControls
from gdbtools.arch.model import Assumption, Derived, Regime, written_down
from gdbtools.arch.table_heuristics import Owner, RootPlace, TableForm

ADDRESS_BITS: Final = 64
STAGE2: Final = "stage2"
_STAGE1: Final[Mapping[str, Controls]] = {"el1": EL10, "el2-vhe": EL20, "el2": EL2}
_PS: Final = next(code for code, bits in PHYSICAL_BITS.items() if bits == NARROW_BITS)
_GRANULES: Final = {bits: name for name, bits in GRANULE_BITS.items()}
HIGHEST_START: Final = {12: 0, 14: 1, 16: 1}
"""The highest level that a stage 2 starts at without FEAT_LPA2."""
EL2H: Final = 0b1001


def places(root: PA, form: TableForm, height: int, owner: Owner, level: int | None) -> Sequence[RootPlace]:
    """Return every register and size for a root of an owner, the usual size first.

    Where a CPU is at EL2 and EL0 has a part in the tables, they are of a VHE host: tables do not tell its regime from
    EL1's.
    """
    if owner is Owner.VIRTUAL_MACHINE:
        ranges = [("VTTBR_EL2", STAGE2, False)]
    elif owner is Owner.HYPERVISOR:
        ranges = [("TTBR0_EL2", "el2", False)]
    else:
        name, suffix = ("el2-vhe", "EL2") if level == EL20.el else ("el1", "EL1")
        ranges = [(f"TTBR0_{suffix}", name, False), (f"TTBR1_{suffix}", name, True)][: 1 if owner is Owner.USER else 2]
    return [
        RootPlace(register, name, upper, root, form, height, bits, "VTTBR_EL2" if name == "el1" else "")
        for register, name, upper in ranges
        for bits in _sizes(form, height, name == STAGE2)
    ]


def _sizes(form: TableForm, height: int, second: bool) -> list[int]:
    """Return the sizes of input address that a root at this height may resolve: a whole table's, or 48 bits, first."""
    covered = form.covered_bits(height)
    largest = covered + form.root_bits(height)
    legal = [bits for bits in range(covered + 1, largest + 1) if bits >= ADDRESS_BITS - MAXIMUM_TnSZ]
    if second:
        # No larger than physical addresses are, and up to 16 tables side by side.
        starts = LAST_LEVEL - height >= HIGHEST_START[form.granule_bits]
        legal = [bits for bits in range(covered + 1, largest + CONCATENATED_BITS + 1) if 32 < bits <= NARROW_BITS]
        legal = legal if starts else []
    usual = min(covered + form.index_bits, NARROW_BITS if covered < NARROW_BITS else WIDE_BITS)
    return sorted(legal, key=lambda bits: (bits != usual, abs(bits - usual)))


def regime(place: RootPlace) -> Regime:
    """Return the range of the regime that a root would translate; raise `Unavailable` for what no register can say."""
    values = dict(registers((place,)).values)
    if place.regime == STAGE2:
        values["HCR_EL2"] = int(HCR_EL2(0).with_(VM=1))
    register = written_down(values)
    return regimes.regime_for(register, VA(regimes.BIT_55 if place.upper else 0), place.regime)


def registers(places: Sequence[RootPlace]) -> Derived:
    """Return the registers that hold these roots: bases, and what the control registers have to say of them."""
    values: dict[str, int] = {}
    assumed: list[Assumption] = []
    for name in dict.fromkeys(place.regime for place in places):
        chosen = [place for place in places if place.regime == name]
        if name == STAGE2:
            _of_stage2(chosen[0], values, assumed)
        else:
            _of_stage1(_STAGE1[name], chosen, values, assumed)
    names = {place.regime for place in places}
    if "el2-vhe" in names:
        values["HCR_EL2"] = int(HCR_EL2(0).with_(E2H=1, TGE=1))
        assumed.append(
            Assumption(
                "HCR_EL2", "HCR_EL2: E2H=1, TGE=1: a CPU is at EL2, and the tables are of a kernel and its processes"
            )
        )
    elif names == {"el2"}:
        values["cpsr"] = int(SPSR(EL2H))
        assumed.append(Assumption("cpsr", "cpsr: EL2h, because all that was found is EL2's"))
    return Derived(values, tuple(assumed))


def _of_stage1(
    controls: Controls, places: Sequence[RootPlace], values: dict[str, int], assumed: list[Assumption]
) -> None:
    name = controls.register("TCR")
    word = controls.layout(controls.PS.into(0, _PS))
    wide = any(_needs_ds(place) for place in places)
    word = controls.layout(controls.DS.into(word, int(wide)))
    held = {place.register: place for place in places}
    like = places[0]
    for bounds in controls.ranges:
        place = held.get(bounds.ttbr)
        values[bounds.ttbr] = place.root if place else 0
        word = controls.layout(_sized(bounds, word, place or like))
        if place is not None:
            size = f"{bounds.TnSZ.name}={ADDRESS_BITS - place.input_bits}"
            granule = f"{bounds.TGn.name}={_GRANULES[place.form.granule_bits]}"
            assumed.append(
                Assumption(bounds.ttbr, f"{bounds.ttbr}={place.root:#x}, {name}: {size}, {granule}: as the tables are")
            )
        else:
            for EPDn in bounds.EPDn:
                word = controls.layout(EPDn.into(word, 1))
                assumed.append(Assumption(name, f"{name}: {EPDn.name}=1: no root for {bounds.ttbr} was chosen"))
    assumed.append(
        Assumption(name, f"{name}: {controls.PS.name}={NARROW_BITS} bits, DS={int(wide)}, HA=0, HPDn=0, TBIn=0")
    )
    extended = controls.extended[0]
    assumed.append(Assumption(extended, f"{extended}: 0, permissions are not indirect; tables are little-endian"))
    values[name] = int(word)


def _needs_ds(place: RootPlace) -> bool:
    """Return whether a range is larger than there is without FEAT_LPA2; at 64KB that takes another feature."""
    return place.input_bits > NARROW_BITS and place.form.granule_bits < GRANULE_BITS["64KB"]


def _sized(bounds: RangeControls, word: int, place: RootPlace) -> int:
    granule = _GRANULES[place.form.granule_bits]
    code = next(code for code, name in bounds.granules.items() if name == granule)
    return bounds.TGn.into(bounds.TnSZ.into(word, ADDRESS_BITS - place.input_bits), code)


def _of_stage2(place: RootPlace, values: dict[str, int], assumed: list[Assumption]) -> None:
    granule = _GRANULES[place.form.granule_bits]
    start = LAST_LEVEL - place.height
    SL2, SL0 = next(code for code, level in START_LEVELS[place.form.granule_bits].items() if level == start)
    TG0 = next(code for code, name in TG0_GRANULE.items() if name == granule)
    T0SZ = ADDRESS_BITS - place.input_bits
    values["VTTBR_EL2"] = place.root
    values["VTCR_EL2"] = int(VTCR_EL2(0).with_(T0SZ=T0SZ, SL0=SL0, SL2=SL2, TG0=TG0, PS=_PS))
    sizes = f"VTCR_EL2: T0SZ={T0SZ}, TG0={granule}, SL0={SL0}: as the tables are"
    assumed.append(Assumption("VTTBR_EL2", f"VTTBR_EL2={place.root:#x}, {sizes}"))
    assumed.append(Assumption("VTCR_EL2", f"VTCR_EL2: PS={NARROW_BITS} bits, DS=0, HA=0, S2PIE=0; HCR_EL2: FWB=0"))


_BARE_GRANULES: Final = {"4k": "4KB", "16k": "16KB", "64k": "64KB"}
_WIDE_PS: Final = next(code for code, bits in PHYSICAL_BITS.items() if bits == WIDE_BITS)
_WIDEST_LEVEL: Final = -1


def bare_regime(granule: str, name: str, level: int | None) -> Regime:
    """Return a regime of which only the granule is known: 48 bits, or 52 where a level is asked for that needs them."""
    named = _BARE_GRANULES[granule]
    wide = level == _WIDEST_LEVEL and granule == "4k"
    values = {"HCR_EL2": int(HCR_EL2(0).with_(E2H=1, TGE=1)) if name == "el2-vhe" else 0}
    if name.endswith(STAGE2):
        values["HCR_EL2"] = int(HCR_EL2(0).with_(VM=1, RW=1))
        _bare_stage2(named, wide, values)
    else:
        _bare_stage1(_CONTROLS[name], named, wide, values)
    register = written_down(values)
    return regimes.regime_for(register, VA(0), name)


_CONTROLS: Final[Mapping[str, Controls]] = {**_STAGE1, "el3": EL3}


def _bare_stage1(controls: Controls, granule: str, wide: bool, values: dict[str, int]) -> None:
    word = controls.DS.into(controls.PS.into(0, _WIDE_PS), int(wide))
    for bounds in controls.ranges:
        code = next(code for code, name in bounds.granules.items() if name == granule)
        word = bounds.TGn.into(bounds.TnSZ.into(word, ADDRESS_BITS - (WIDE_BITS if wide else NARROW_BITS)), code)
        values[bounds.ttbr] = 0
    values[controls.register("TCR")] = word


def _bare_stage2(granule: str, wide: bool, values: dict[str, int]) -> None:
    granule_bits = GRANULE_BITS[granule]
    start = _WIDEST_LEVEL if wide else HIGHEST_START[granule_bits]
    SL2, SL0 = next(code for code, level in START_LEVELS[granule_bits].items() if level == start)
    TG0 = next(code for code, name in TG0_GRANULE.items() if name == granule)
    T0SZ = ADDRESS_BITS - (WIDE_BITS if wide else NARROW_BITS)
    geometry = int(VTCR_EL2(0).with_(T0SZ=T0SZ, SL0=SL0, SL2=SL2, TG0=TG0, PS=_WIDE_PS, DS=int(wide)))
    values |= {"VTCR_EL2": geometry, "VSTCR_EL2": geometry, "VTTBR_EL2": 0, "VSTTBR_EL2": 0}

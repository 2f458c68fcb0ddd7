"""Registers that somebody wrote down, from a crash log or by hand: what their names mean, and what follows from them.

Source: DDI 0487, "System register encoding, VHE": at EL2 with HCR_EL2.E2H set, EL1's names reach EL2's registers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Final

from gdbtools.arch.aarch64.registers.hypervisor import HCR_EL2
from gdbtools.arch.aarch64.registers.processor_state import SPSR
from gdbtools.arch.aarch64.registers.system_register_names import every_name
from gdbtools.arch.aarch64.registers.translation import TCR_EL1, TG0_GRANULE, TG1_GRANULE
from gdbtools.arch.aarch64.tables.geometry import NARROW_BITS, PHYSICAL_BITS
from gdbtools.arch.aarch64.translation.controls import EL2, EL3, EL10, EL20, Controls
from gdbtools.arch.model import Assumption, Derived, ReadRegister, optional

ReadOptional = Callable[[str], "int | None"]

_ALIASES: Final = {"pstate": "cpsr", "lr": "x30"}
_ELSEWHERE: Final = re.compile(
    r"[bdhpqsvwz]\d{1,2}|ffr|vg|res_\w+|\w+_reserved|amair0|cbar_el1|cpu\w+_el1|l2\w+", re.IGNORECASE
)
"""What the manual does not name and a debugger lists: parts of registers, and what an implementation defines."""
_EL12: Final = ("TTBR0", "TTBR1", "TCR", "TCR2", "SCTLR", "MAIR", "PIR", "PIRE0", "POR", "ESR", "FAR", "ELR", "SPSR",
                "VBAR", "CONTEXTIDR")  # fmt: skip
"""What a host at EL2 reads of its own by EL1's names."""
_GRANULE: Final = "4KB"
_SMALLEST_TnSZ: Final = 64 - NARROW_BITS
_PS: Final = next(code for code, bits in PHYSICAL_BITS.items() if bits == NARROW_BITS)
_TG0: Final = next(code for code, name in TG0_GRANULE.items() if name == _GRANULE)
_TG1: Final = next(code for code, name in TG1_GRANULE.items() if name == _GRANULE)


@cache
def _known(declared: tuple[str, ...]) -> Mapping[str, str]:
    """Return the architecture's names by their lower case."""
    return {name.lower(): name for name in (*every_name(), *declared)}


def register_name(text: str, declared: tuple[str, ...], el: int) -> str | None:
    """Return the register that a name in any case stands for; one without a level, like ESR, is that of level `el`.

    None for a name that no register has.
    """
    known, name = _known(declared), text.strip().lower()
    name = _ALIASES.get(name, name)
    for each in (name, f"{name}_el{el}", f"{name}_el1", f"{name}_el0"):
        if each in known:
            return known[each]
    return text.strip() if _ELSEWHERE.fullmatch(name) else None


def register_names(declared: tuple[str, ...]) -> Collection[str]:
    """Return every name that there is, and those that `register_name` takes for one."""
    levels = {name[: -len("_el1")] for name in map(str.lower, declared) if name.endswith("_el1")}
    return {*_known(declared).values(), *_ALIASES, *levels}


def implied(register: ReadRegister, given: Collection[str]) -> Derived:
    """Return registers that follow from those that somebody wrote down (`given`), under what a source has.

    A CPU at EL2 of which only EL1's names are known is taken for a host's.  Where there is a root, or an
    address that faulted, and no TCR, the
    tables are taken for the usual ones.
    """
    values: dict[str, int] = {}
    assumed: list[Assumption] = []

    def read(name: str) -> int | None:
        return values[name] if name in values else optional(register, name)

    cpsr = read("cpsr")
    level = 1 if cpsr is None else SPSR(cpsr).el or 1
    if level == EL20.el and _is_host(read, given):
        hosts = [name for name in _EL12 if f"{name}_EL1" in given]
        values |= {f"{name}_EL2": register(f"{name}_EL1") for name in hosts}
        values["HCR_EL2"] = int(HCR_EL2(read("HCR_EL2") or 0).with_(E2H=1, TGE=1))
        said = (
            "cpsr is of EL2 and the registers have EL1's names: taken for a VHE host's, which reads its own by those "
            f"(HCR_EL2: E2H=1, TGE=1): {', '.join(f'{name}_EL2' for name in hosts)}"
        )
        assumed.append(Assumption("", said))
    host = level == EL20.el and bool(HCR_EL2(read("HCR_EL2") or 0).E2H)
    controls = EL20 if host else {EL2.el: EL2, EL3.el: EL3}.get(level, EL10)
    _imply_tcr(controls, read, values, assumed)
    return Derived(values, tuple(assumed))


def _is_host(read: ReadOptional, given: Collection[str]) -> bool:
    """Return whether what has EL1's names can only be EL2's: nothing of EL2's own is there that translates."""
    hcr = read("HCR_EL2")
    own = [name for name in ("TTBR0_EL2", "TTBR1_EL2", "TCR_EL2", "ESR_EL2") if read(name) is not None]
    ours = any(f"{name}_EL1" in given for name in _EL12)
    return ours and not own and (hcr is None or bool(HCR_EL2(hcr).E2H))


def _imply_tcr(controls: Controls, read: ReadOptional, values: dict[str, int], assumed: list[Assumption]) -> None:
    name = controls.register("TCR")
    roots = [bounds.ttbr for bounds in controls.ranges]
    if read(name) is not None or all(read(each) is None for each in (*roots, controls.register("FAR"))):
        return
    if len(controls.ranges) > 1:
        word = TCR_EL1(0).with_(T0SZ=_SMALLEST_TnSZ, T1SZ=_SMALLEST_TnSZ, TG0=_TG0, TG1=_TG1, IPS=_PS)
        values[name] = int(word)
    else:
        values[name] = int(controls.layout(0).with_(T0SZ=_SMALLEST_TnSZ, TG0=_TG0, PS=_PS))
    said = f"{_GRANULE} granule, {NARROW_BITS} bits of input and output, because the source has none"
    assumed.append(Assumption(name, f"{name}: {said}"))

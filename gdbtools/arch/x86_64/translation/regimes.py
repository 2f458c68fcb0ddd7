"""From registers to regimes: which mode of paging, and what the controls make of it.

Source: Intel SDM volume 3, "Paging Modes and Control Bits".
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gdbtools.addresses import IPA, PA
from gdbtools.arch.model import Privilege, ReadRegister, Regime, optional, written_down
from gdbtools.arch.x86_64.permissions.checks import AccessControls
from gdbtools.arch.x86_64.privileges import SUPERVISOR, USER, USER_CPL
from gdbtools.arch.x86_64.registers.control import (
    CR0,
    CR3,
    CR3PAE,
    CR4,
    EFER,
    EFLAGS,
    CR3Narrow,
    CR3OrPCID,
    CR3WithPCID,
    Selector,
)
from gdbtools.arch.x86_64.registers.memory_types import AT_RESET, PAT
from gdbtools.arch.x86_64.registers.second_stage import EPTP
from gdbtools.arch.x86_64.tables.entries import EntryFormat
from gdbtools.arch.x86_64.tables.geometry import ENTRY_BYTES, LEVELS_4, LEVELS_5, MODE_32, PAE, PHYSICAL_BITS, Mode
from gdbtools.arch.x86_64.translation.address_masking import Masking
from gdbtools.arch.x86_64.translation.hypervisor import EPT, NO_WIDTH, NPT, ROOTS, second_stage, stage
from gdbtools.arch.x86_64.translation.linear import Linear
from gdbtools.arch.x86_64.translation.paging_off import PagingOff
from gdbtools.bits import Word
from gdbtools.errors import MissingRegister, UsageError

_NEEDED: Final = ("cr0", "cr3", "cr4", "efer")
LINEAR: Final = "linear"
NAMES: Final = (LINEAR, NPT, EPT)
NO_TYPES: Final = "pat: as at reset (WB, WT, UC-, UC)"
NO_EFER: Final = "efer: LMA=1, which addresses of 64 bits show, and NXE=1"
NO_FLAGS: Final = "eflags: AC=0, so that SMAP counts"
NO_KEYS: Final = "{}: 0, which denies nothing"


def privilege(register: ReadRegister) -> Privilege:
    """Return whether the CPU is in user mode or in supervisor mode; a source without cs is taken for a kernel's."""
    if EFLAGS.VM.of(optional(register, "eflags") or 0):
        return USER
    selector = optional(register, "cs")
    if selector is None or not CR0(register("cr0")).PE:
        return SUPERVISOR
    return USER if Selector(selector).RPL == USER_CPL else SUPERVISOR


def efer(register: ReadRegister) -> EFER:
    """Return EFER, or what stands in for it: QEMU's dumps lack it, and a pc of more than 32 bits shows long mode."""
    value = optional(register, "efer")
    if value is not None:
        return EFER(value)
    if _shows_long_mode(register):
        return EFER(0).with_(LME=1, LMA=1, NXE=1)
    return EFER(register("efer"))


def mode(register: ReadRegister) -> Mode | None:
    """Return the mode of paging; None while it is off."""
    cr4 = CR4(register("cr4"))
    if not CR0(register("cr0")).PG:
        return None
    if not cr4.PAE:
        return MODE_32
    if not efer(register).LMA:
        return PAE
    return LEVELS_5 if cr4.LA57 else LEVELS_4


def _shows_long_mode(register: ReadRegister) -> bool:
    """Return whether an address of more than 32 bits shows that long mode is on."""
    return any((optional(register, name) or 0) >> 32 for name in ("rip", "rsp", "cr2"))


def root_register(register: ReadRegister) -> type[Word]:
    """Return how cr3 is laid out; without cr4 as in long mode, whether it has a PCID or not."""
    value = optional(register, "cr4")
    cr4 = CR4(0).with_(PAE=1) if value is None else CR4(value)
    if not cr4.PAE:
        return CR3Narrow
    known = optional(register, "efer")
    if known is not None and not EFER(known).LMA:
        return CR3PAE
    return CR3OrPCID if value is None else CR3WithPCID if cr4.PCIDE else CR3


def regime(register: ReadRegister, name: str | None = None) -> Regime:
    """Return the regime of that name (None: the one in force), both halves of its addresses as one.

    Raises `Unavailable` for a register that is needed.
    """
    if name not in (None, *NAMES):
        raise UsageError(f"{name} is no regime of x86-64; there are {', '.join(NAMES)}")
    if name in ROOTS:
        return stage(register, name)
    try:
        return _linear(register)
    except MissingRegister as missing:
        wanted = [each for each in _NEEDED if each != "efer" or not _shows_long_mode(register)]
        absent = [each for each in wanted if optional(register, each) is None]
        raise (missing.of(absent) if absent else missing) from None


def _linear(register: ReadRegister) -> Regime:
    chosen, below = mode(register), second_stage(register)
    through = _may_be_a_guest(register) if below is None else below.notes
    if chosen is None:
        return PagingOff(bool(CR0(register("cr0")).PE), below, notes=through)
    cr3, cr4 = register("cr3"), CR4(register("cr4"))
    width, pat = optional(register, "maxphyaddr"), optional(register, "pat")
    controls, assumed = _controls(register, chosen)
    assumed += () if width is not None or chosen.entry_bytes != ENTRY_BYTES else (NO_WIDTH,)
    assumed += () if pat is not None else (NO_TYPES,)
    assumed += () if chosen.entry_bytes != ENTRY_BYTES or optional(register, "efer") is not None else (NO_EFER,)
    layout = root_register(register)
    root = layout.field("ROOT").of(cr3)
    return Linear(
        root=PA(root) if below is None else IPA(root),
        layout=EntryFormat(chosen, min(width or PHYSICAL_BITS, PHYSICAL_BITS), controls.nx, bool(cr4.PSE)),
        controls=controls,
        pat=PAT(AT_RESET if pat is None else pat),
        global_pages=bool(cr4.PGE),
        masking=_masking(cr3, cr4, chosen),
        below=below,
        # What both stages assume is said once.
        assumed=assumed if below is None else tuple(dict.fromkeys((*assumed, *below.assumed))),
        notes=(*((_NOT_MEMORY,) if chosen is PAE else ()), *through),
    )


def _may_be_a_guest(register: ReadRegister) -> tuple[str, ...]:
    """Return what is said where a guest may run whose second stage nobody knows: VMRUN wants SVME of a guest too."""
    return (_GUEST_PERHAPS,) if EFER.SVME.of(optional(register, "efer") or 0) else ()


_GUEST_PERHAPS: Final = (
    "efer.SVME is 1, in a hypervisor as in its guest: a guest's physical addresses go through nested tables, whose "
    "root no stub gives; say it: --with ncr3=0x..."
)
_NOT_MEMORY: Final = "the four entries of the first level were loaded with cr3: memory may have others by now"


def bare_regime(name: str) -> Regime:
    """Return a regime of that name in which a value alone is decoded, with as many levels as there can be and NX on.

    What an entry says does not depend on how many levels there are above it.
    """
    values = {
        "cr0": CR0(0).with_(PG=1, PE=1, WP=1),
        "cr3": 0,
        "cr4": CR4(0).with_(PAE=1, LA57=1, PGE=1),
        "efer": EFER(0).with_(LME=1, LMA=1, NXE=1),
    }
    values |= {NPT: {"ncr3": 0, "hcr4": values["cr4"], "hefer": values["efer"]}, EPT: {"eptp": _DEEPEST}}.get(name, {})
    return regime(written_down(values), name)


_DEEPEST: Final = int(EPTP(0).with_(PWL=4, MT=6))


def tells_fetches(regime: Regime) -> bool:
    """Return whether the error code of a page fault tells a fetch from a read: with NX, or SMEP."""
    return isinstance(regime, Linear) and (regime.controls.nx or regime.controls.smep)


def ranges(register: ReadRegister, name: str | None = None) -> tuple[Regime, ...]:
    """Return the ranges of a regime in the order of their addresses: the halves of canonical ones are two."""
    found = regime(register, name)
    if not isinstance(found, Linear) or not found.mode.is_long:
        return (found,)
    return replace(found, upper=False), replace(found, upper=True)


def _controls(register: ReadRegister, chosen: Mode) -> tuple[AccessControls, tuple[str, ...]]:
    cr0, cr4 = CR0(register("cr0")), CR4(register("cr4"))
    # 32-bit paging has no NX whatever EFER says.
    nx = chosen.entry_bytes == ENTRY_BYTES and bool(efer(register).NXE)
    keys: dict[str, int | None] = {"pkru": None, "pkrs": None}
    assumed: list[str] = []
    for holder, enabled in (("pkru", cr4.PKE), ("pkrs", cr4.PKS)):
        if enabled and chosen.is_long:
            known = optional(register, holder)
            keys[holder] = known or 0
            assumed += [] if known is not None else [NO_KEYS.format(holder)]
    assumed += [NO_FLAGS] if cr4.SMAP and optional(register, "eflags") is None else []
    found = AccessControls(
        write_protect=bool(cr0.WP),
        smep=bool(cr4.SMEP),
        smap=bool(cr4.SMAP),
        nx=nx,
        shadow_stacks=bool(cr4.CET and cr0.WP and chosen.is_long),
        user_keys=keys["pkru"],
        supervisor_keys=keys["pkrs"],
    )
    return found, tuple(assumed)


def _masking(cr3: int, cr4: CR4, chosen: Mode) -> Masking | None:
    if not chosen.is_long:
        return None
    root = CR3(cr3)
    user = 56 if root.LAM_U57 else 47 if root.LAM_U48 else None
    supervisor = chosen.input_bits - 1 if cr4.LAM_SUP else None
    return None if user is None and supervisor is None else Masking(user, supervisor)

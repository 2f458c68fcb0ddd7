"""From registers to regimes, by name: which stages translate, and how each is laid out.

Source: The RISC-V Privileged Architecture, "Supervisor-Level ISA", "Two-Stage Address Translation", "Memory Privilege
in mstatus Register", and of the H extension "Machine Status (mstatus and mstatush) Registers" for MPRV.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from gdbtools.arch.model import Access, AccessKind, Privilege, ReadRegister, Regime, optional
from gdbtools.arch.riscv.permissions.physical import Protection, protection
from gdbtools.arch.riscv.privilege_modes import VS, VU, M, S, U, mode
from gdbtools.arch.riscv.registers.catalog import WIDE
from gdbtools.arch.riscv.registers.status import MSTATUS64, PRIV, VIRT
from gdbtools.arch.riscv.registers.translation import HGATP32, HGATP64, SATP32, SATP64
from gdbtools.arch.riscv.tables.entries import EntryRules
from gdbtools.arch.riscv.tables.geometry import GUEST_SCHEMES, SCHEMES, Scheme
from gdbtools.arch.riscv.translation import controls
from gdbtools.arch.riscv.translation.bare import Untranslated
from gdbtools.arch.riscv.translation.controls import StageControls
from gdbtools.arch.riscv.translation.guest_stage import GuestStage
from gdbtools.arch.riscv.translation.pointer_masking import is_masked, pmlen
from gdbtools.arch.riscv.translation.virtual_stage import VirtualStage
from gdbtools.errors import Unavailable, UsageError

MACHINE, SUPERVISOR, GUEST, GUEST_STAGE = "m", "s", "vs", "g"
OF_MODE: Final[Mapping[Privilege, str]] = MappingProxyType(
    {M: MACHINE, S: SUPERVISOR, U: SUPERVISOR, VS: GUEST, VU: GUEST}
)
"""Which regime translates for a mode."""
_UNPROTECTED: Final = "pmpcfg, pmpaddr: not known, taken to grant everything"
_UNKNOWN_MODE: Final = (
    "whether the hart is in {}-mode or in {}-mode, a guest's, is not shown: priv is the same in both, and hgatp has a "
    "guest's tables; say it: --with virt=0 or --with virt=1"
)
_BARE_WITH_MORE: Final = "{}: its other fields are not 0, as Bare wants them; how that translates is not specified"


def privilege(register: ReadRegister) -> Privilege:
    """Return the mode that the hart is in; raise `Unavailable` where it may as well be a guest's.

    Where nobody says what V is, it is taken for 0 if no guest is set up: then hgatp leads to no tables.
    """
    nominal, virtual = PRIV(register("priv")), optional(register, "virt")
    if virtual is not None:
        return mode(nominal.prv, bool(VIRT(virtual).v))
    found = mode(nominal.prv, bool(nominal.v))
    if found in (U, S) and optional(register, "hgatp"):
        guests = mode(nominal.prv, True)
        raise Unavailable(_UNKNOWN_MODE.format(found.label, guests.label))
    return found


def current(register: ReadRegister) -> str:
    """Return the name of the regime that the hart is using; a source without `priv` is taken for a kernel's."""
    return SUPERVISOR if optional(register, "priv") is None else OF_MODE[privilege(register)]


def effective_mode(register: ReadRegister, bits: int, asking: Privilege, kind: AccessKind) -> Privilege:
    """Return as which mode's an access is translated and checked: MPRV has M-mode's loads and stores be MPP's."""
    status = MSTATUS64(optional(register, "mstatus") or 0)
    if asking != M or kind is AccessKind.EXECUTE or not status.MPRV:
        return asking
    return mode(status.MPP, bool(controls.upper_status(register, bits).MPV))


def ranges(register: ReadRegister, bits: int, name: str | None = None) -> tuple[Regime, ...]:
    """Return the ranges of a regime in the order of their addresses: the halves of virtual addresses are two."""
    found = regime(register, bits, name)
    if not isinstance(found, VirtualStage) or not found.scheme.is_canonical:
        return (found,)
    return replace(found, upper=False), replace(found, upper=True)


def regime(register: ReadRegister, bits: int, name: str | None = None) -> Regime:
    """Return the regime of that name (None: the one in force), both halves of its addresses as one.

    Raises `Unavailable` for a register that is needed, and for a MODE that is reserved.
    """
    wanted = name or current(register)
    if wanted not in BUILDERS:
        raise UsageError(f"{wanted} is no regime of RISC-V; there are {', '.join(BUILDERS)}")
    return BUILDERS[wanted](register, bits)


def met_by(regime: Regime, access: Access, register: ReadRegister, bits: int) -> Regime:
    """Return a regime as an access meets it: with the pointer masking of its mode, and of its kind."""
    if not isinstance(regime, VirtualStage | Untranslated):
        return regime
    effective = effective_mode(register, bits, access.privilege, access.kind)
    return replace(regime, pmlen=_pmlen(register, bits, effective, access.kind))


def _pmlen(register: ReadRegister, bits: int, effective: Privilege, kind: AccessKind = AccessKind.READ) -> int:
    # "When MXR is in effect at the effective privilege mode [...], pointer masking does not apply."
    if not is_masked(kind) or (effective != M and controls.access_of(register, effective in (VS, VU)).reads_executable):
        return 0
    return pmlen(register, bits, effective)


def _own_pmlen(register: ReadRegister, bits: int, modes: tuple[Privilege, ...]) -> int:
    """Return the pointer masking of the mode that the hart is in, if it is one of a regime; else of the highest."""
    try:
        own = privilege(register)
    except Unavailable:
        own = modes[-1]
    return _pmlen(register, bits, own if own in modes else modes[-1])


def _machine(register: ReadRegister, bits: int) -> Regime:
    guard = protection(register, bits)
    return Untranslated((M,), "priv", PRIV.prv, 3, bits, guard, pmlen(register, bits, M), None, _unprotected(guard))


def _supervisor(register: ReadRegister, bits: int) -> Regime:
    xlen = controls.supervisor_xlen(register, bits)
    return _virtual(register, bits, _satp(register, "satp", xlen), (U, S), controls.supervisor(register, bits), None)


def _guest(register: ReadRegister, bits: int) -> Regime:
    satp = _satp(register, "vsatp", controls.guest_xlen(register, bits))
    return _virtual(register, bits, satp, (VU, VS), controls.guest(register, bits), guest_stage(register, bits))


def _guest_stage(register: ReadRegister, bits: int) -> Regime:
    guard = protection(register, bits)
    field = (HGATP64 if bits == WIDE else HGATP32).MODE
    off = Untranslated((VU, VS), "hgatp", field, 0, bits, guard, assumed=_unprotected(guard), stage=2)
    return guest_stage(register, bits) or off


Builder = Callable[[ReadRegister, int], Regime]
BUILDERS: Final[Mapping[str, Builder]] = MappingProxyType(
    {SUPERVISOR: _supervisor, GUEST: _guest, GUEST_STAGE: _guest_stage, MACHINE: _machine}
)
"""Each regime by its name, from registers and MXLEN."""
NAMES: Final = tuple(BUILDERS)


def _satp(register: ReadRegister, holder: str, xlen: int) -> SATP64 | SATP32:
    return SATP64(register(holder)) if xlen == WIDE else SATP32(register(holder))


def _virtual(
    register: ReadRegister,
    bits: int,
    satp: SATP64 | SATP32,
    modes: tuple[Privilege, ...],
    decided: StageControls,
    below: GuestStage | None,
) -> Regime:
    guard, own_pmlen = protection(register, bits), _own_pmlen(register, bits, modes)
    holder = "vsatp" if modes[-1] == VS else "satp"
    through = below.notes if below is not None else ()
    if not satp.MODE:
        notes = (*([_BARE_WITH_MORE.format(holder)] if satp else []), *through)
        field, assumed = type(satp).MODE, _unprotected(guard)
        return Untranslated(modes, holder, field, 0, satp.width, guard, own_pmlen, below, assumed, notes)
    scheme = _scheme(SCHEMES[satp.width], holder, satp.MODE)
    return VirtualStage(
        holder=holder,
        satp=satp,
        scheme=scheme,
        rules=EntryRules(scheme.entry_bytes, decided.memory_types, decided.shadow_stacks),
        hardware_updates=decided.hardware_updates,
        modes=modes,
        status=decided.status,
        protection=guard,
        pmlen=own_pmlen,
        byte_order=decided.byte_order,
        below=below,
        assumed=(*decided.assumed, *_unprotected(guard)),
        notes=through,
    )


def guest_stage(register: ReadRegister, bits: int) -> GuestStage | None:
    """Return the G-stage; None where hgatp.MODE is Bare."""
    hgatp = HGATP64(register("hgatp")) if bits == WIDE else HGATP32(register("hgatp"))
    if not hgatp.MODE:
        return None
    scheme = _scheme(GUEST_SCHEMES[bits], "hgatp", hgatp.MODE)
    decided, guard = controls.supervisor(register, bits), protection(register, bits)
    return GuestStage(
        hgatp=hgatp,
        scheme=scheme,
        # The encoding of a shadow stack stays reserved in the G-stage: "Shadow Stack Memory Protection".
        rules=EntryRules(scheme.entry_bytes, decided.memory_types, False),
        hardware_updates=decided.hardware_updates,
        reads_executable=decided.status.reads_executable,
        protection=guard,
        byte_order=decided.byte_order,
        assumed=(*decided.assumed, *_unprotected(guard)),
        notes=() if hgatp.PPN % 4 == 0 else ("hgatp: the root is aligned to 16KB, so PPN[1:0] is ignored",),
    )


def _scheme(schemes: Mapping[int, Scheme], holder: str, chosen: int) -> Scheme:
    if chosen not in schemes:
        raise Unavailable(f"{holder}.MODE is {chosen}, which is reserved: how that translates is not known")
    return schemes[chosen]


def _unprotected(guard: Protection | None) -> tuple[str, ...]:
    return () if guard is not None else (_UNPROTECTED,)


def loaded(register: ReadRegister, bits: int) -> tuple[str, ...]:
    """Return the names of regimes that are not in force although satp, vsatp or hgatp lead to tables of theirs."""
    try:
        used = current(register)
    except Unavailable:
        used = ""
    holders = {SUPERVISOR: "satp", GUEST: "vsatp", GUEST_STAGE: "hgatp"}
    others = [name for name in holders if name != used and not (name == GUEST_STAGE and used == GUEST)]
    field = SATP64.MODE if bits == WIDE else SATP32.MODE
    return tuple(name for name in others if field.of(optional(register, holders[name]) or 0))

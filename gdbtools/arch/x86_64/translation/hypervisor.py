"""From what a hypervisor has in its VMCB or VMCS to the second stage: whose root is known, that one is in force.

Source: Intel SDM volume 3, "Extended-Page-Table Pointer (EPTP)", "VM-Execution Control Fields"; AMD64 APM volume 2,
"Nested Paging".
"""

from __future__ import annotations

from typing import Final

from gdbtools.addresses import PA
from gdbtools.arch.model import ReadRegister, optional
from gdbtools.arch.x86_64.registers.control import CR4, EFER
from gdbtools.arch.x86_64.registers.memory_types import AT_RESET, PAT
from gdbtools.arch.x86_64.registers.second_stage import (
    EPTP,
    NCR3,
    EPTCapabilities,
    SecondaryControls,
    TertiaryControls,
)
from gdbtools.arch.x86_64.tables.entries import EntryFormat
from gdbtools.arch.x86_64.tables.extended_entries import ExtendedFormat
from gdbtools.arch.x86_64.tables.geometry import LEVELS_4, LEVELS_5, PHYSICAL_BITS
from gdbtools.arch.x86_64.translation.extended import ExtendedTables
from gdbtools.arch.x86_64.translation.nested import NestedTables
from gdbtools.arch.x86_64.translation.second_stage import SecondStage
from gdbtools.errors import Unavailable, UsageError

NPT: Final = "npt"
EPT: Final = "ept"
ROOTS: Final = {NPT: "ncr3", EPT: "eptp"}
"""The register that has the root of each."""
_WALK_LENGTHS: Final = {3: LEVELS_4, 4: LEVELS_5}
NO_WIDTH: Final = f"maxphyaddr: {PHYSICAL_BITS}, so that no address bit counts as reserved"
_NO_HOST_MODE: Final = "hcr4: LA57=0, so that nested tables have 4 levels"
_NO_HOST_NX: Final = "hefer: NXE=1"
_NO_HOST_TYPES: Final = "the host's PAT: as at reset (WB, WT, UC-, UC)"
_ROOT_ALONE: Final = "eptp: 4 levels, no accessed and dirty flags; only the address of its root is given"
_NO_SECONDARY: Final = "secondary_controls: MBEC=0"
_NO_CAPABILITIES: Final = "ept_vpid_cap: execute-only pages and pages of 1GB are there"
_NOT_REPLAYED: Final = "eptp.SSS is 1: what supervisor shadow stacks need of EPT (bit 60) is shown, and not checked"
_NOT_VERIFIED: Final = "tertiary_controls.GPV is 1: what guest-paging verification (VGP) refuses is not replayed"


def second_stage(register: ReadRegister) -> SecondStage | None:
    """Return the stage below a guest's linear addresses: that whose root is known; None where neither is."""
    known = [name for name, holder in ROOTS.items() if optional(register, holder) is not None]
    if len(known) > 1:
        raise UsageError("both ncr3 and eptp are given, and a guest has one second stage; leave one out")
    return stage(register, known[0]) if known else None


def stage(register: ReadRegister, name: str) -> SecondStage:
    """Return the second stage of that name; raises `Unavailable` where its root is not known."""
    if optional(register, ROOTS[name]) is None:
        raise Unavailable(
            f"the root of {name} is not among the registers: it is in the hypervisor's "
            f"{'VMCB' if name == NPT else 'VMCS'}; give it: --with {ROOTS[name]}=0x..., or --regime {name} --root 0x..."
        )
    return _nested(register) if name == NPT else _extended(register)


def _width(register: ReadRegister) -> tuple[int, tuple[str, ...]]:
    width = optional(register, "maxphyaddr")
    return min(width or PHYSICAL_BITS, PHYSICAL_BITS), () if width is not None else (NO_WIDTH,)


def _nested(register: ReadRegister) -> NestedTables:
    cr4, efer = optional(register, "hcr4"), optional(register, "hefer")
    width, assumed = _width(register)
    assumed += () if cr4 is not None else (_NO_HOST_MODE,)
    assumed += () if efer is not None else (_NO_HOST_NX,)
    mode = LEVELS_5 if CR4.LA57.of(cr4 or 0) else LEVELS_4
    return NestedTables(
        root=PA(NCR3(register("ncr3")).ROOT),
        layout=EntryFormat(mode, width, efer is None or bool(EFER(efer).NXE), large_pages=True),
        pat=PAT(AT_RESET),
        assumed=(*assumed, _NO_HOST_TYPES),
    )


def _extended(register: ReadRegister) -> ExtendedTables:
    eptp = EPTP(register("eptp"))
    width, assumed = _width(register)
    secondary, capabilities = optional(register, "secondary_controls"), optional(register, "ept_vpid_cap")
    tertiary = TertiaryControls(optional(register, "tertiary_controls") or 0)
    if eptp == eptp.ROOT:
        eptp = eptp.with_(PWL=3, MT=6)
        assumed += (_ROOT_ALONE,)
    mode = _WALK_LENGTHS.get(eptp.PWL)
    if mode is None:
        raise Unavailable(
            f"eptp.PWL is {eptp.PWL}, a page walk of {eptp.PWL + 1} levels: it is 3 or 4; give the field of the VMCS"
        )
    assumed += () if secondary is not None else (_NO_SECONDARY,)
    assumed += () if capabilities is not None else (_NO_CAPABILITIES,)
    has = EPTCapabilities(capabilities or 0)
    layout = ExtendedFormat(
        physical_bits=width,
        mode_based=bool(SecondaryControls(secondary or 0).MBEC),
        execute_only=capabilities is None or bool(has.EXECUTE_ONLY),
        large_1g=capabilities is None or bool(has.PAGES_1G),
    )
    notes = tuple(said for said, on in ((_NOT_REPLAYED, eptp.SSS), (_NOT_VERIFIED, tertiary.GPV)) if on)
    return ExtendedTables(eptp, mode, layout, bool(tertiary.PW), bool(has.ADVANCED), assumed, notes)

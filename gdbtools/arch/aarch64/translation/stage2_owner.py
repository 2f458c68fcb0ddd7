"""Whose stage 2 the registers describe, where it is asked for by name.

HCR_EL2, VTCR_EL2 and VTTBR_EL2 are one guest's together only while that guest runs.  A hypervisor at EL2 has what it
loaded last; a host of its own (VHE: E2H and TGE; nVHE: VM clear) has its own HCR_EL2 beside the VTTBR_EL2 of a guest,
or none.  Source: DDI 0487, "HCR_EL2.VM", "HCR_EL2.TGE", "HCR_EL2.FWB"; Linux, arch/arm64/kvm/hyp: `__activate_traps`
and `__load_stage2` write what `__deactivate_traps` takes away again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gdbtools.addresses import Input
from gdbtools.arch.aarch64.exception_levels import LEVELS
from gdbtools.arch.aarch64.permissions.checks import ALL
from gdbtools.arch.aarch64.registers.features import features
from gdbtools.arch.aarch64.registers.hypervisor import HCR_EL2, VTTBR
from gdbtools.arch.aarch64.registers.processor_state import SPSR
from gdbtools.arch.aarch64.tables.geometry import PHYSICAL_BITS, WIDE_BITS
from gdbtools.arch.aarch64.translation.stage2 import Stage2
from gdbtools.arch.aarch64.translation.stage_off import StageOff
from gdbtools.arch.model import Attributes, ReadRegister, Refusal, Regime, Step, Walk, optional

FWB_UNKNOWN = (
    "HCR_EL2.FWB of the guest is not known, and with it how MemAttr is read: "
    "--with HCR_EL2.FWB=1, or --with HCR_EL2=0x80000001 (VM=1, FWB=0)"
)


@dataclass(frozen=True)
class Stage2Off(StageOff):
    """A stage 2 that is off: an IPA is a physical address (I_MBNVX), and all is granted (R_BBLJH).

    `why` says which registers say so.
    """

    why: str
    output_bits: int

    stage = 2

    @property
    def own_name(self) -> str:
        return f"stage 2 off ({self.why})"

    @property
    def parange(self) -> int:  # type: ignore[override]
        return next(code for code, bits in PHYSICAL_BITS.items() if bits == self.output_bits)

    def admit(self, address: Input) -> Refusal | None:
        return self.refuse_beyond(address)

    def attributes(self, steps: tuple[Step, ...], final: Walk | None = None) -> Attributes:  # noqa: ARG002
        return Attributes(
            memory="as stage 1 says",
            shareability="shareability too",
            rights=dict.fromkeys(LEVELS[:2], ALL),
            accessed=True,
            dirty=None,
            is_global=True,
            contiguous=False,
        )


def by_name(register: ReadRegister, table_base: str, build: Callable[[], Stage2]) -> Regime:
    """Return the stage 2 that the registers describe, with notes of what in them is another's; `Stage2Off` for none.

    `build` makes it of the registers as they are; `table_base` is the register with its root.
    """
    value, root = optional(register, "HCR_EL2"), optional(register, table_base)
    if root is None:
        return build()
    hcr, base = HCR_EL2(value or 0), VTTBR(root)
    why = foreign(hcr) if value is not None else "HCR_EL2 is not known"
    if not why:
        built = build()
        said = loaded(register, table_base)
        return replace(built, notes=(*built.notes, *([said] if said else [])))
    if not base.BADDR:
        return Stage2Off(f"{why}, {table_base} names no table", features(register).physical_bits or WIDE_BITS)
    built = build()
    if value is None:
        return built
    unknown = features(register).forced_write_back and not hcr.FWB
    notes = [f"{why}: HCR_EL2 is not that of the guest of {table_base} (VMID {base.VMID})"]
    notes += [FWB_UNKNOWN] if unknown else []
    forced = None if unknown else built.forced_write_back
    return replace(built, forced_write_back=forced, notes=(*built.notes, *notes))


def foreign(hcr: HCR_EL2) -> str:
    """Return what shows that HCR_EL2 is no guest's; empty where stage 2 is on by it."""
    if hcr.E2H and hcr.TGE:
        return "HCR_EL2.{E2H, TGE} are 1, as of a host"
    return "" if hcr.VM or hcr.DC else "HCR_EL2.VM is 0"


def left_out(register: ReadRegister, hcr: HCR_EL2) -> Sequence[str]:
    """Report a guest's stage 2 as left out of its stage 1: the CPU is above both, and HCR_EL2 is not its."""
    why = foreign(hcr)
    if not why or not has_tables(register) or not is_above(register):
        return ()
    vmid = VTTBR(register("VTTBR_EL2")).VMID
    return (
        f"{why}: stage 2 is left out, though VTTBR_EL2 names tables (VMID {vmid}); if these are the same "
        "guest's, an output is an IPA, and --with HCR_EL2=0x80000001 goes through both",
    )


def has_tables(register: ReadRegister) -> bool:
    """Return whether VTTBR_EL2 names tables."""
    base = optional(register, "VTTBR_EL2")
    return bool(base and VTTBR(base).BADDR)


def is_above(register: ReadRegister) -> bool:
    """Return whether the CPU is at EL2 or above: what guests' registers hold is then of the last one."""
    cpsr = optional(register, "cpsr")
    return cpsr is not None and SPSR(cpsr).el >= 2


def loaded(register: ReadRegister, table_base: str = "VTTBR_EL2") -> str:
    """Return that the registers are the last guest's that was loaded; empty in a guest, or where there is no root."""
    base = optional(register, table_base)
    if base is None or not is_above(register):
        return ""
    # Xen 4.20 loads an empty table by VMID 0 while no guest runs; pKVM has its own host under VMID 0.
    vmid = VTTBR(base).VMID or "0, which need not be a guest's"
    return f"the CPU is above its guests: {table_base} (VMID {vmid}) and HCR_EL2 are those of the last one loaded"

"""A guest of EL2 as a CPU's registers describe it: VTTBR_EL2, and what HCR_EL2 makes of its cache maintenance.

Source: DDI 0487, "VTTBR_EL2", "HCR_EL2.{VM, TSW, TVM, TRVM}", "CTR_EL0.DminLine", "VMPIDR_EL2"; what hypervisors do of
it: `gdbtools.arch.aarch64.instructions.set_way`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gdbtools.arch.aarch64.registers.hypervisor import HCR_EL2, VTTBR
from gdbtools.arch.aarch64.registers.identification import CTR_EL0, MPIDR
from gdbtools.arch.aarch64.translation import regimes
from gdbtools.arch.aarch64.translation.hypervisor_controls import hcr_of
from gdbtools.arch.aarch64.translation.stage2_owner import foreign, has_tables, is_above
from gdbtools.arch.guests import GuestRegisters, LoadedGuest, Trap
from gdbtools.arch.model import ReadRegister, optional
from gdbtools.bits import Field, FieldValue
from gdbtools.errors import Unavailable

_WORD_BYTES = 4
_EL1H, _AARCH32_SVC = 0b0101, 0b10011
"""PSTATE.M of a kernel, as SPSR_EL2 would have it."""
_MEANINGS: Mapping[Field, tuple[str, str]] = {
    HCR_EL2.TSW: (
        "its set/way maintenance acts on this CPU's caches alone, and nobody hears of it",
        "its set/way maintenance is trapped: the hypervisor cleans all of it by address",
    ),
    HCR_EL2.TVM: (
        "it may turn its caches on and off unseen: no set/way operation of its own is being answered",
        "it has used set/way: when its caches go on or off, all of it is cleaned once more",
    ),
    HCR_EL2.TRVM: (
        "it reads its own controls of virtual memory unseen",
        "its reads of the controls of virtual memory are trapped",
    ),
}


class A64Guests(GuestRegisters):
    """Guests of EL2: stage 2 of EL1&0."""

    identifier = "VMID"
    cleans_by_set_way = True

    def stage(self, register: ReadRegister) -> str:  # noqa: ARG002
        return regimes.STAGE2

    def loaded(self, register: ReadRegister) -> LoadedGuest | None:
        """Return the guest of VTTBR_EL2, which a CPU at EL2 has left there from the last one that it loaded."""
        if not has_tables(register):
            return None
        [regime] = regimes.regimes(register, regimes.STAGE2)
        vmid = VTTBR(register("VTTBR_EL2")).VMID
        virtual = optional(register, "VMPIDR_EL2")
        hcr, above = hcr_of(register), is_above(register)
        runs = not above and not foreign(hcr)
        caveat = "" if runs else _caveat(hcr, above)
        return LoadedGuest(regime, vmid, runs, caveat, None if virtual is None else MPIDR(virtual).affinity)

    def entered(self, register: ReadRegister) -> Mapping[str, int]:
        """Return PSTATE of the guest's kernel: what EL1's registers hold is what was loaded with VTTBR_EL2."""
        hcr = hcr_of(register)
        if why := foreign(hcr):
            raise Unavailable(
                f"{why}: nothing shows that EL1's registers are those of the guest of VTTBR_EL2, and not a host's; if "
                "they are, --with HCR_EL2=0x80000001 goes through both stages without --guest"
            )
        return {} if not is_above(register) else {"cpsr": _EL1H if hcr.RW else _AARCH32_SVC}

    def alone(self, register: ReadRegister) -> Mapping[str, int]:
        entered = self.entered(register)
        return {**entered, "HCR_EL2": int(HCR_EL2(0).with_(RW=hcr_of(register).RW)), "VTTBR_EL2": 0}

    def traps(self, register: ReadRegister) -> Sequence[Trap]:
        value = optional(register, "HCR_EL2")
        if value is None or foreign(word := HCR_EL2(value)):
            # Without a guest's HCR_EL2 nothing tells: a host has one of its own beside the guest's VTTBR_EL2.
            return ()
        return tuple(
            Trap("HCR_EL2", FieldValue(field, field.of(word)), meanings[field.of(word)])
            for field, meanings in _MEANINGS.items()
        )

    def line_bytes(self, register: ReadRegister) -> int | None:
        value = optional(register, "CTR_EL0")
        return None if value is None else _WORD_BYTES << CTR_EL0(value).DminLine


def _caveat(hcr: HCR_EL2, above: bool) -> str:
    if above:
        return "the CPU is at EL2: VTTBR_EL2 is that of the last guest that was loaded, not of one that runs"
    return f"{foreign(hcr)}: VTTBR_EL2 is what a guest has left there"

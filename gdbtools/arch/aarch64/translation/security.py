"""Which security state a level is in, and from which physical address spaces it may fetch instructions.

Source: DDI 0487, "Instruction execution": SCR_EL3.SIF, rules R_ZWRVD, I_WWBFB (Root), R_PKTDS (Realm EL2 and EL2&0)
and R_YMCSL (Realm stage 2); "SCR_EL3" for NS and NSE; rules R_GVZML, R_XTYPW, R_LYKFZ, R_WGRZN and I_CZPRF for what
NS and NSE of a leaf come to; AArch64.S1DirectBasePermissions.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from gdbtools.arch.aarch64.causes import VMSACause
from gdbtools.arch.aarch64.registers.hypervisor import SCR_EL3
from gdbtools.arch.aarch64.registers.identification import ID_AA64PFR0_EL1
from gdbtools.arch.aarch64.tables.descriptors import RootIndirectLeaf, RootLeaf, Stage1Leaf
from gdbtools.arch.arm.grants import Limit
from gdbtools.arch.model import ReadRegister, Step, optional

EL3: Final = 3


class SecurityState(enum.Enum):
    """Who a level is to the memory system."""

    NON_SECURE = enum.auto()
    SECURE = enum.auto()
    REALM = enum.auto()
    ROOT = enum.auto()
    """EL3 under FEAT_RME."""


def scr_el3(register: ReadRegister) -> SCR_EL3 | None:
    """SCR_EL3 of a CPU that has an EL3; None where there is none, or nobody knows."""
    pfr0, value = optional(register, "ID_AA64PFR0_EL1"), optional(register, "SCR_EL3")
    if value is None or (pfr0 is not None and not ID_AA64PFR0_EL1(pfr0).EL3):
        return None
    return SCR_EL3(value)


def security_state(register: ReadRegister, el: int) -> SecurityState:
    """Return the security state of a level; Non-secure where SCR_EL3 cannot be had."""
    if el == EL3:
        pfr0 = ID_AA64PFR0_EL1(optional(register, "ID_AA64PFR0_EL1") or 0)
        return SecurityState.ROOT if pfr0.RME else SecurityState.SECURE
    scr = scr_el3(register)
    if scr is None:
        return SecurityState.NON_SECURE
    if not scr.NS:
        return SecurityState.SECURE
    return SecurityState.REALM if scr.NSE else SecurityState.NON_SECURE


@dataclass(frozen=True)
class Fetches:
    """The rule of a regime for instruction fetches from address spaces that are not its own."""

    state: SecurityState
    el: int
    """The regime's privileged level."""
    secure_only: bool
    """SCR_EL3.SIF."""

    def refused(self, steps: tuple[Step, ...]) -> Limit | None:
        """Return what refuses to fetch through a stage 1 path that ends in a leaf."""
        leaf = steps[-1].entry.word
        assert isinstance(leaf, Stage1Leaf)
        if self.state is SecurityState.ROOT:  # R_ZWRVD
            return self._outside_root(steps[-1], leaf)
        if self.state is SecurityState.REALM and self.el > 1 and leaf.NS:  # R_PKTDS
            return Limit(VMSACause.FOREIGN_FETCH, Stage1Leaf.NS, leaf.NS, steps[-1])
        if self.state is SecurityState.SECURE and self.secure_only and _is_non_secure(steps):  # R_FNVTF
            return Limit(VMSACause.SECURE_FETCH, SCR_EL3.SIF, 1, register="SCR_EL3")
        return None

    def call_stack_allowed(self, steps: tuple[Step, ...]) -> bool:
        """Return whether the call stack's own instructions may use what a path leads to, whatever SIF says: R_CYSKB."""
        leaf = steps[-1].entry.word
        assert isinstance(leaf, Stage1Leaf)
        if self.state is SecurityState.ROOT:
            return self._outside_root(steps[-1], leaf) is None
        return self.state is not SecurityState.SECURE or not _is_non_secure(steps)

    @staticmethod
    def _outside_root(step: Step, leaf: Stage1Leaf) -> Limit | None:
        """Only NSE=1 with NS=0 is Root's own."""
        assert isinstance(leaf, RootLeaf | RootIndirectLeaf), "Root's leaves have NSE"
        if not leaf.NSE:
            return Limit(VMSACause.FOREIGN_FETCH, RootLeaf.NSE, 0, step)
        return Limit(VMSACause.FOREIGN_FETCH, Stage1Leaf.NS, 1, step) if leaf.NS else None


def _is_non_secure(steps: tuple[Step, ...]) -> bool:
    """Return whether a path of Secure state leads to Non-secure memory: by the leaf, or by a table above it.

    NSTable counts whatever TCR_ELx.HPDn says.
    """
    tables = (step.entry.word for step in steps[:-1])
    above = any(word.field("NSTable").of(word) for word in tables)
    return above or bool(Stage1Leaf.NS.of(steps[-1].entry.word))

"""The rules as QEMU has them: rules.py, but for what departures.py lists."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from tests.guests.riscv.departures import Known
from tests.guests.riscv.rules import MSTATUS_MXR, SSE, Implicit, Kind, R, Refused, Rules, Touch, W, Why, X

RESERVED = 0x7F << 54


@dataclass
class QemuRules(Rules):
    """The rules as one version of QEMU has them; `fired` is what it did otherwise since it was last emptied."""

    version: str = ""
    fired: set[Known] = field(default_factory=set)
    without: Known | None = None
    """A departure to leave out, so as to see what it makes of a case."""
    _late: Refused | None = None
    _by_pmp: bool = False
    _missing: bool = False

    def departs(self, known: Known) -> bool:
        if known.value.concerns(self.version, self.hardware.bits) and known is not self.without:
            self.fired.add(known)
            return True
        return False

    def access(self, touch: Touch) -> int:
        if touch.swap and self.departs(Known.AMO_LOADS):
            try:
                self._asked(replace(touch, kind=Kind.LOAD))
            except Refused as refused:
                implicit = Implicit.WRITE if refused.implicit and self.version == "11.1" else refused.implicit
                raise replace(refused, kind=Kind.STORE, implicit=implicit) from None
        if touch.swap and self.departs(Known.AMO_LOAD_CAUSE):
            self._asked(replace(touch, kind=Kind.LOAD))
        if touch.executable and self.departs(Known.HLVX_FETCH):
            touch = replace(touch, kind=Kind.FETCH)
        if touch.executable and self.departs(Known.HLVX_LOADS):
            touch = replace(touch, executable=False)
        return self._asked(touch)

    def _asked(self, touch: Touch) -> int:
        """Translate; M-mode's own accesses are reported otherwise."""
        own = touch.borrowed and touch.virtual
        self._late, self._by_pmp = None, False
        try:
            return self.translate(touch)
        except Refused as refused:
            if own and refused.why is Why.GUEST_PAGE:
                if touch.executable and self.departs(Known.HLVX_FETCH):
                    raise replace(refused, why=Why.PAGE) from None
                if touch.by_mprv and self.departs(Known.NO_GUEST_FAULT):
                    raise replace(refused, why=Why.ACCESS if self._by_pmp else Why.PAGE) from None
            if own and refused.why is Why.PAGE and self.departs(Known.SATP_DECIDES):
                raise replace(refused, why=Why.ACCESS) from None
            raise

    def _guest(self, gpa: int, kind: Kind, implicit: Implicit | None) -> int:
        if implicit and self.departs(Known.WRITE_BY_CAUSE):
            implicit = Implicit.WRITE if self.touch.kind is Kind.STORE else Implicit.READ
        known = Known.GUEST_TABLE if implicit else Known.GUEST_PAGE
        try:
            pa = super()._guest(self._as_understood(gpa), kind, implicit)
        except Refused as refused:
            told = implicit is None and self._missing and self.departs(Known.TABLE_TOLD)
            if refused.why is Why.ACCESS and not self.departs(known):
                raise replace(refused, gpa=gpa if told else 0) from None
            self._by_pmp = refused.why is Why.ACCESS and implicit is None
            load = implicit and self.departs(Known.LOAD_OF_TABLE)
            cause = Kind.LOAD if load else self.touch.kind
            raise Refused(Why.GUEST_PAGE, cause, gpa, implicit) from None
        if implicit is None and not self._allowed(pa, 4, kind) and self.departs(known):
            self._by_pmp = True
            raise Refused(Why.GUEST_PAGE, self.touch.kind, gpa)
        return pa

    def _as_understood(self, gpa: int) -> int:
        if self.departs(Known.SHORT_GPA):
            return gpa & 0xFFFFFFFF
        mode = self.registers["hgatp"] >> 60
        if self.hardware.bits == 64 and mode and self.departs(Known.SIGNED_GPA):
            top = 14 + 9 * (mode - 5)
            above = gpa >> (top - 1)
            if above == (1 << (65 - top)) - 1:
                return gpa & (1 << top) - 1
            return gpa if above == 0 else 1 << 63
        return gpa

    def _sum(self) -> bool:
        own = self.touch.virtual and self.touch.borrowed
        return (own and self.departs(Known.SUM_ALWAYS)) or super()._sum()

    def _mxr(self, name: str, implicit: bool) -> bool:
        if self.touch.virtual and self.departs(Known.MXR_SWAPPED):
            virtual = name == "hgatp" or not self.touch.borrowed
            return bool((self.registers["vsstatus"] if virtual else self.touch.mstatus) & MSTATUS_MXR)
        return super()._mxr(name, implicit and not self.departs(Known.MXR_OF_TABLES))

    def _shadow_stack(self, name: str, pte: int) -> bool:
        is_encoded = pte & (R | W | X) == W and name != "hgatp"
        if is_encoded and self.touch.borrowed and self.departs(Known.SHADOW_STACK_OWN):
            return False
        if is_encoded and self.touch.user and self.departs(Known.SHADOW_STACK_USER):
            return bool(self.registers["senvcfg"] & SSE)
        return super()._shadow_stack(name, pte)

    def _pmlen(self, touch: Touch) -> int:
        found = super()._pmlen(touch)
        if found or not touch.virtual or touch.borrowed or not self.departs(Known.MASKED_UNDER_MXR):
            return found
        return super()._pmlen(replace(touch, mstatus=0))

    def _walk(self, *asked: Any) -> int:
        found = super()._walk(*asked)
        late, self._late = self._late, None
        if late:
            raise late
        return found

    def _contiguous(self, level: int, ppn: int, address: int, refused: Refused) -> int:
        try:
            return super()._contiguous(level, ppn, address, refused)
        except Refused:
            if self.departs(Known.NAPOT_LATE) or self.departs(Known.NAPOT_AFTER_RIGHTS):
                self._late = refused
                return ppn
            raise

    def _protected(self, pa: int, size_bytes: int, kind: Kind) -> int:
        if pa >> 32 and self.departs(Known.SHORT_PA):
            pa &= 0xFFFFFFFF
        return super()._protected(pa, size_bytes, kind)

    def _fetched(self, name: str, at: int, size_bytes: int) -> None:
        self._missing = at not in self.hardware.memory and self._allowed(at, size_bytes, Kind.LOAD)
        if self._missing and self.departs(Known.TABLE_MISSING):
            raise Refused(Why.PAGE, self.touch.kind)
        super()._fetched(name, at, size_bytes)

    def _enabled(self, name: str, bit: int) -> bool:
        own = self.touch.borrowed and name == "vsatp"
        return super()._enabled("satp" if own and self.departs(Known.MENVCFG_ALONE) else name, bit)

    def _invalid(self, name: str, pte: int) -> bool:
        return super()._invalid(name, pte & ~RESERVED if self.departs(Known.RESERVED_BITS) else pte)

    def _reserved_type(self, name: str, pbmt: int) -> bool:
        if pbmt and self.departs(Known.TYPE_ENABLED):
            return False
        return super()._reserved_type(name, 1 if pbmt == 3 and self.departs(Known.TYPE_3) else pbmt)

    def _update(self, name: str, at: int, via: int, wanted: int, size_bytes: int, refused: Refused) -> None:
        if self._late is not None and self.departs(Known.NAPOT_AFTER_RIGHTS):
            raise self._late
        if self._updates(name) and self.departs(Known.UPDATE_UNCHECKED):
            self.entries[at] = wanted
        else:
            super()._update(name, at, via, wanted, size_bytes, refused)

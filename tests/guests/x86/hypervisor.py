"""The host's side of fixtures/guests/x86/nested: accesses of a guest by AMD's VMRUN, in each mode of paging."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.guests.x86.oracle import IDENTITY, LEVELS, MAILBOX, REGISTERS, Mailbox, Request
from tests.places import ROOT

IMAGE = ROOT / "fixtures/guests/x86/nested/nested.elf"
NCR3 = 0x130
"""Where the mailbox has nCR3, and behind it NXE of the host."""
NAMES = ("cr0", "cr3", "cr4", "efer")
EXCEPTION, NESTED_PAGE_FAULT, INVALID = 0x40, 0x400, (1 << 64) - 1
"""EXITCODE of an exception, to which its vector is added; of a nested page fault; and where the VMCB is none."""
NPT_IS_THERE = 1
NXE = 1 << 11


@dataclass(frozen=True)
class Exit:
    """A VM exit as the guest's hypervisor meets it; `value` is the guest's eax."""

    code: int
    info_1: int
    info_2: int
    rip: int
    value: int


class Hypervisor(Mailbox):
    """A running guest that runs guests; leave the `with` block and it is gone."""

    def __enter__(self) -> Hypervisor:
        self.come_up(["-cpu", "max,+svm,+npt"], IMAGE)
        features = self.word(MAILBOX + IDENTITY + 0x28)
        self.has_nested_paging = features != 0xFFFFFFFF and bool(features & NPT_IS_THERE)
        self.put(LEVELS, self.levels)
        return self

    def ask(self, registers: Mapping[str, int], requests: Sequence[Request], stub_va: int) -> list[Exit]:
        """Put a batch of requests to the guest that has these registers."""
        self.put(REGISTERS, *(registers[name] for name in NAMES))
        self.put(NCR3, registers.get("ncr3", 0), registers.get("hefer", 0) & NXE)
        return [Exit(*rest) for rest in self.answers(requests, stub_va)]

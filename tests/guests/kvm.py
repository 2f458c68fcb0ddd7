"""KVM in a real Linux under QEMU, with a virtual machine of ours: what it maps is told by the process that owns it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gdbtools.arch.aarch64.registers.hypervisor import HCR_EL2, VTTBR
from gdbtools.arch.aarch64.registers.processor_state import SPSR
from gdbtools.errors import Unavailable
from tests.guests.linux import RAM, LinuxGuest
from tests.guests.packages import kernel
from tests.places import ROOT

PROGRAM = ROOT / "fixtures/guests/kvm/kvm.elf"
RAM_IPA, TABLES = 0x8000_0000, 5
"""As fixtures/guests/kvm/kvm.h has it: the machine's RAM begins with a page of code and its tables."""
ROM_IPA = 0x9000_0000
PAGE_BYTES = 4096
_FRAME = (1 << 55) - 1
_PRESENT = 1 << 63
"""What a word of /proc/PID/pagemap has: Documentation/admin-guide/mm/pagemap.rst."""
_START = r": > /said; {program} > /said & until grep -q 'running\|refused' /said; do :; done; "
PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class MachinePage:
    """A page of the virtual machine: where its own tables have it, where its RAM has it, and where the host has it."""

    va: int
    ipa: int
    pa: int

    @property
    def word(self) -> int:
        """What the first word of it is: the machine wrote the page's address, or the process its number."""
        return (self.ipa - ROM_IPA) // PAGE_BYTES + 1 if self.read_only else self.va

    @property
    def read_only(self) -> bool:
        """Whether KVM was told that the machine may only read it."""
        return self.ipa >= ROM_IPA


@dataclass(frozen=True)
class HostMode:
    """How Linux has KVM: VHE where the CPU has it, nVHE elsewhere, or protected (pKVM)."""

    cpu: str
    append: str = ""

    def __str__(self) -> str:
        return f"{self.cpu}{'-protected' * bool(self.append)}"

    def guest(self) -> LinuxGuest:
        """Return the host, not booted yet; raises `Unavailable` when a part of it cannot be had."""
        image = kernel("6.1-4k")
        return LinuxGuest(image, self.cpu, virtualization=True, programs=(PROGRAM,), append=self.append)


class Kvm:
    """A host whose machine has touched all that it has, and runs for ever; `pages` is the process's own account."""

    def __init__(self, host: LinuxGuest) -> None:
        self.host = host
        *said, running = host.run(f"{_START.format(program='kvm')} cat /said").splitlines()
        if running != "running":
            raise Unavailable(f"the process on {host.cpu} said: {running}")
        lines = [[int(each, 16) for each in line.split()] for line in said]
        assert all(word & _PRESENT for _, _, word in lines), "the machine has touched them"
        self.pages = [MachinePage(va, ipa, (word & _FRAME) * PAGE_BYTES) for va, ipa, word in lines]

    @contextmanager
    def another(self) -> Iterator[int]:
        """Run one more such machine, of a process that is called `second`; gives that one's number."""
        pid = int(self.host.run(f"cp /bin/kvm /bin/second; {_START.format(program='second')} pidof second"))
        try:
            yield pid
        finally:
            self.host.run(f"kill -9 {pid}; while kill -0 {pid} 2>/dev/null; do :; done")

    @contextmanager
    def stopped(self, in_machine: bool) -> Iterator[Mapping[str, int]]:
        """Hold the host while its CPU is in the machine, or in the host's own kernel; gives the registers."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        self.host.stop()
        while where(registers := self.host.registers()) is not in_machine:
            self.host.cont()
            assert time.monotonic() < deadline, f"never seen in {'the machine' if in_machine else 'the host'}"
            time.sleep(0.01)
            self.host.stop()
        try:
            yield registers
        finally:
            self.host.cont()


def where(registers: Mapping[str, int]) -> bool | None:
    """Return whether a CPU is in the machine; None where it is in KVM's switch, which has the machine's registers."""
    el, hcr = SPSR(registers["cpsr"]).el, HCR_EL2(registers["HCR_EL2"])
    machines = bool(hcr.VM) and VTTBR(registers["VTTBR_EL2"]).VMID != 0
    if el == 1 and machines:
        return True
    return False if (el == 2 and hcr.TGE) or (el == 1 and not machines) else None


def as_source(host: LinuxGuest, registers: Mapping[str, int], folder: Path) -> Sequence[str]:
    """Return the options by which the commands read a stopped host's RAM, and these registers."""
    file = folder / "registers.json"
    file.write_text(json.dumps({name: hex(value) for name, value in registers.items()}))
    return ("-s", f"{host.gdbstub.parent / 'ram'}@{RAM:#x}", "--registers", str(file))

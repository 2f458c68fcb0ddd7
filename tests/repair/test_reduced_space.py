"""What cannot be borrowed in a reduced space says nothing of the guest: the kernel has it, and lies elsewhere."""

from __future__ import annotations

import pytest

from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.gadgets import Extent, Scope
from gdbtools.arch.model import Access, AccessKind
from gdbtools.commands.session import Session
from gdbtools.commands.tlbi import run as tlbi_run
from gdbtools.commands.tlbi import view as tlbi_view
from gdbtools.errors import Refused
from gdbtools.machine.layers import FixedRegisters
from gdbtools.machine.model import Cpu, Machine
from gdbtools.render.text import render
from gdbtools.repair import probe, tlb
from tests.isolated import CODE_PA, EL1H, KERNEL, KERNEL_PA, TRAMPOLINE, USER, Isolated
from tests.repair.test_find_gadget import DSB_ISH, ISB, VAE1IS_X7
from tests.tables import Tables

ARM = ARCHITECTURES["aarch64"]
READ = Access(AccessKind.READ, 1)
HERE = (Scope(Extent.ADDRESS, USER),)
CODE, TEXT = 0x8000_0000, 0x4800_0000


def machine(guest: Isolated, **registers: int) -> Machine:
    cpu = Cpu(0, FixedRegisters(guest.at_el0(**registers), "a test"))
    return Machine(ARM, guest, (cpu,), 0)  # type: ignore[arg-type]


def at_trampoline(guest: Isolated) -> Machine:
    return machine(guest, cpsr=EL1H, pc=TRAMPOLINE + 0x1C00)


def in_kernel(guest: Isolated) -> Machine:
    return machine(guest, **guest.in_kernel())


@pytest.fixture
def guest() -> Isolated:
    """A kernel that has all that maintenance takes."""
    guest = Isolated()
    guest.put(KERNEL_PA + 0x100, VAE1IS_X7, DSB_ISH)
    guest.put(KERNEL_PA + 0x108, ISB, 0)
    return guest


def test_in_the_kernel_its_own_instructions_are_borrowed(guest: Isolated) -> None:
    planned = tlb.plan(in_kernel(guest), HERE)
    assert {KERNEL + 0x100, KERNEL + 0x104} <= {loan.address for loan in planned.loans}
    assert planned.complete


def test_at_the_trampoline_it_is_the_reduced_space_that_has_no_invalidation(guest: Isolated) -> None:
    with pytest.raises(Refused) as refused:
        tlb.plan(at_trampoline(guest), HERE)
    said = "no TLB invalidation for this is in the reduced space in force; go on into the kernel and ask again"
    assert str(refused.value) == said


def test_a_trampoline_that_has_an_invalidation_and_no_barrier_is_refused_too(guest: Isolated) -> None:
    guest.put(CODE_PA + 0x2000, VAE1IS_X7, 0)
    with pytest.raises(Refused, match="no DSB, without which no TLB invalidation is complete, is in the reduced space"):
        tlb.plan(at_trampoline(guest), HERE)


def test_a_probe_there_says_so_too(guest: Isolated) -> None:
    with pytest.raises(Refused, match=r"no address translation \(AT\) is in the reduced space in force; go on into"):
        probe.plan(at_trampoline(guest), USER, READ, translation=True, overwrite=True, invalidate=False)


class Stepped:
    """A guest without a DSB: what is borrowed is stepped, and that is all."""

    def __init__(self) -> None:
        self.tables = Tables()
        self.tables.map(CODE, TEXT, AP=0b10)
        self.tables.write(TEXT, VAE1IS_X7.to_bytes(4, "little"))

    def ask(self, dry_run: bool = True) -> str:
        registers = self.tables.registers(VBAR_EL1=CODE, cpsr=EL1H)
        cpu = Cpu(0, FixedRegisters(registers, "a test"))
        session = Session(Machine(ARM, self.tables, (cpu,), 0))
        (answer,) = tlbi_run.run(session, tlbi_run.Options(what=HERE[0], dry_run=dry_run))
        return render(tlbi_view.view(answer))


def test_a_tlbi_without_a_dsb_is_not_called_an_invalidation() -> None:
    said = Stepped().ask()
    assert said.startswith("Would execute a TLBI for 0x400000 without a DSB: it may not be complete.\n")
    assert "nothing says that the invalidation is complete" in " ".join(said.split())


def test_done_it_is_not_called_one_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tlb, "perform", lambda *_: None)
    monkeypatch.setattr(Session, "live", None)
    assert Stepped().ask(dry_run=False).startswith("Executed a TLBI for 0x400000 without a DSB: ")

"""`undo --forget`: the way on where a table is no more, so that what was written there can never be taken back."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.aarch64.tables.descriptors import TwoLevelLeaf
from gdbtools.commands.session import Session
from gdbtools.commands.undo import run as undo_run
from gdbtools.commands.undo import view as undo_view
from gdbtools.commands.undo.run import Undone
from gdbtools.errors import Refused, UsageError
from gdbtools.machine.layers import FixedRegisters
from gdbtools.machine.model import Cpu, Machine
from gdbtools.render.text import render
from gdbtools.repair.change import Change
from tests.tables import Tables

ARM = ARCHITECTURES["aarch64"]
VA = 0x1234_5000
PAGE = 1 << 12


@dataclass
class Guest:
    """Three pages whose flags were set by three repairs, and a journal of that."""

    tables: Tables = field(default_factory=Tables)

    def __post_init__(self) -> None:
        self.at = [self.tables.map(VA + page * PAGE, 0x4200_0000 + page * PAGE, AF=0) for page in range(3)]
        cpu = Cpu(0, FixedRegisters(self.tables.registers(), "a test"))
        # Nothing is run, and no TLB maintained: what is there to be live is never asked.
        self.session = Session(Machine(ARM, self.tables, (cpu,), 0, self))  # type: ignore[arg-type]
        for at, what in zip(self.at, ("fixup", "pte", "clear-af"), strict=True):
            clear = TwoLevelLeaf(self.tables.memory[at])
            self.session.written.make(what, Change(at, clear, clear.with_(AF=1)), self.tables)

    def undo(self, count: int | None = None, **options: bool) -> list[Undone]:
        return [*undo_run.run(self.session, undo_run.Options(count=count, **options))]

    def free(self, page: int) -> None:
        """The guest does something else with that table."""
        self.tables.memory[self.at[page]] = 0x1122_3344

    @property
    def journal(self) -> list[str]:
        return [repair.what for repair in self.session.written.repairs]


def test_one_stale_repair_is_forgotten_and_the_others_can_be_taken_back() -> None:
    guest = Guest()
    guest.free(2)
    with pytest.raises(Refused, match="somebody changed it since"):
        guest.undo()
    before = dict(guest.tables.memory)
    (forgotten,) = guest.undo(forget=True)
    assert (forgotten.repair.what, forgotten.forgotten, forgotten.left) == ("clear-af", True, 2)
    assert guest.tables.memory == before, "nothing is written"
    assert [each.repair.what for each in guest.undo(2)] == ["pte", "fixup"]
    assert guest.journal == []


def test_the_refusal_names_the_way_on() -> None:
    guest = Guest()
    guest.free(2)
    with pytest.raises(Refused, match="nothing was taken back; `mmu undo --forget` drops `clear-af` from the journal"):
        guest.undo(all=True)


def test_the_refusal_of_an_older_repair_takes_the_newer_ones_back_first() -> None:
    guest = Guest()
    guest.free(0)
    with pytest.raises(Refused, match="`mmu undo 2` and then `mmu undo --forget` drops `fixup` from the journal"):
        guest.undo(all=True)
    guest.undo(2)
    guest.undo(forget=True)
    assert guest.journal == []


def test_a_number_of_repairs_or_all_are_forgotten_the_last_first() -> None:
    guest = Guest()
    assert [each.repair.what for each in guest.undo(2, forget=True)] == ["clear-af", "pte"]
    assert guest.journal == ["fixup"]
    assert [each.repair.what for each in guest.undo(all=True, forget=True)] == ["fixup"]
    with pytest.raises(Refused, match="nothing was written in this session that could be forgotten"):
        guest.undo(forget=True)
    with pytest.raises(UsageError, match="from 1 on"):
        Guest().undo(0, forget=True)


def test_a_dry_run_forgets_nothing() -> None:
    guest = Guest()
    (would,) = guest.undo(forget=True, dry_run=True)
    assert guest.journal == ["fixup", "pte", "clear-af"]
    assert (would.applied, would.left) == (False, 2)
    assert render(undo_view.view(would)).startswith("Would forget `clear-af`: 1 descriptor, which the guest keeps.")


def test_it_says_what_was_dropped() -> None:
    guest = Guest()
    (answer,) = guest.undo(forget=True)
    assert render(undo_view.view(answer)).splitlines() == [
        "Forgot `clear-af`: 1 descriptor, which the guest keeps.",
        "",
        "at PA       written             before",
        f"{guest.at[2]:#x}  0x0000000042002403  0x0000000042002003",
        "",
        "left  2 more to undo",
    ]
    assert undo_view.record(answer)["forgotten"] is True


def test_what_a_later_connection_writes_is_known_after_the_older_was_taken_back() -> None:
    guest = Guest()
    log = guest.session.written
    log.connected()
    guest.undo(3)
    clear = TwoLevelLeaf(guest.tables.memory[guest.at[0]])
    log.make("fixup", Change(guest.at[0], clear, clear.with_(AF=1)), guest.tables)
    assert log.last_change(guest.at[0]) is not None

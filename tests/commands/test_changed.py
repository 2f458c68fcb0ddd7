"""`fault` after a repair of this session: it names the command that changed the descriptor since the fault."""

from __future__ import annotations

from contextlib import AbstractContextManager

import pytest

from gdbtools.arch.aarch64.tables.descriptors import TwoLevelLeaf
from gdbtools.commands.fault import run as fault_run
from gdbtools.commands.fault import view as fault_view
from gdbtools.commands.fault.run import Answer
from gdbtools.commands.session import Session
from gdbtools.render.text import render
from gdbtools.repair.change import Change
from gdbtools.repair.service import Policy, Service
from tests.repair.test_service import AF, READ_ONLY, WRITE, World

READ_ONLY_WRITE = 0x9600_004F
"""A write to a page that grants none."""


class Asked(World):
    """A world with a session that asks about it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.session = Session(self.machine(0))


def ask(world: Asked, esr: int = WRITE) -> Answer:
    world.session.machine = world.machine(3, esr=esr)
    (answer,) = fault_run.run(world.session, fault_run.Options())
    return answer


def said(answer: Answer) -> str:
    return " ".join(render(fault_view.view(answer)).split())


@pytest.fixture
def world() -> Asked:
    """A write to a read-only page whose flag is clear, as copy on write has it."""
    world = Asked()
    world.tables.memory[world.at[3]] |= READ_ONLY
    return world


def served(world: Asked, command: str = "service") -> None:
    going_on: AbstractContextManager = world.session.written.going_on(command)
    with going_on as written:
        assert Service(Policy(), world.session.dirty, written).handle(world.machine(3, esr=WRITE)).goes_on


def test_the_journal_names_what_set_the_flag(world: Asked) -> None:
    before = int(world.tables.memory[world.at[3]])
    served(world)
    answer = ask(world)
    assert "the tables say permission fault, level 3" in said(answer)
    assert f"changed the level 3 descriptor at PA {world.at[3]:#x} was {before:#018x} before `mmu service`" in said(
        answer
    )
    assert "perhaps the tables changed since" not in said(answer)
    changed = fault_view.record(answer)["changed"]
    assert (changed["by"], int(changed["was"], 16)) == ("service", before)


def test_the_command_is_the_one_that_did_it(world: Asked) -> None:
    served(world, "fixup")
    assert "before `mmu fixup`, which refuses just this" in said(ask(world))


def test_what_this_session_did_not_do_is_not_laid_at_its_door(world: Asked) -> None:
    world.tables.memory[world.at[3]] |= AF
    answer = ask(world)
    assert "perhaps the tables changed since" in said(answer)
    assert "changed" not in fault_view.record(answer)


def test_what_explains_another_fault_is_not_named(world: Asked) -> None:
    """The flag was set by us, and the syndrome is of a translation fault."""
    served(world)
    answer = ask(world, esr=0x9600_0047)
    assert answer.changed is None
    assert "perhaps the tables changed since" in said(answer)


def test_what_was_seen_at_this_stop_and_is_otherwise_now_is_named_without_a_command(world: Asked) -> None:
    ask(world)
    world.tables.memory[world.at[3]] |= AF
    assert "earlier at this stop, which refuses just this" in said(ask(world))


def test_where_the_tables_permit_it_now_the_command_is_named_too() -> None:
    world = Asked()
    served(world)
    assert "but the tables permit it now: probably repaired by `mmu service`" in said(ask(world))


@pytest.mark.parametrize("looked", [False, True])
def test_a_fault_of_this_stop_that_undo_has_settled_is_laid_at_its_door_and_at_nobody_elses(looked: bool) -> None:
    world = Asked()
    at, log = world.at[3], world.session.written
    before = TwoLevelLeaf(world.tables.memory[at] | AF)
    after = TwoLevelLeaf(before | READ_ONLY)
    world.tables.memory[at] = before
    log.make("pte", Change(at, before, after), world.tables)
    log.moved_on()
    world.session.seen.moved_on()
    if looked:
        assert "the tables agree" in said(ask(world, esr=READ_ONLY_WRITE))
    world.tables.memory[at] = before
    log.took_back()
    answer = ask(world, esr=READ_ONLY_WRITE)
    assert "but the tables permit it now: probably repaired by `mmu undo`." in said(answer)
    assert f"descriptor at PA {at:#x} was {int(after):#018x} before `mmu undo`, which refuses just this" in said(answer)
    assert [(each.cause.name, each.weight.name) for each in answer.suspicions] == [("REPAIRED", "SHOWN")]

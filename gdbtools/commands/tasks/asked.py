"""`--task`: the machine as it is while a process runs, whichever command asks; and which process that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gdbtools import systems
from gdbtools.addresses import PA
from gdbtools.analysis.own_kernel import FoundKernel, own_kernel, place_of
from gdbtools.arch.model import Assumption, optional
from gdbtools.commands.session import OfTask, Session
from gdbtools.errors import Unavailable, UsageError
from gdbtools.machine.dumps.extents import data_of
from gdbtools.machine.layers import with_registers
from gdbtools.machine.model import Machine
from gdbtools.spelling import did_you_mean
from gdbtools.systems.tasks import Task

WHENCE = "what was asked with --task"
_SHOWN = 6


def kernel_of(session: Session) -> FoundKernel:
    """Return the kernel of a session's machine, which is looked for once and then kept for as long as it is there."""
    machine = session.machine
    found = own_kernel(machine, data_of(machine.memory), session.kept.kernel)
    session.kept.kernel = found
    return found


def named_task(tasks: Sequence[Task], text: str) -> Task:
    """Return the task of a number, or of a name that only one has; raise `UsageError` for none, and for several."""
    wanted = text.strip()
    found = [task for task in tasks if (str(task.number) == wanted if wanted.isdigit() else task.name == wanted)]
    if len(found) == 1:
        return found[0]
    if not found:
        more = did_you_mean(wanted, (task.name for task in tasks), "`tasks --all` lists those that there are")
        raise UsageError(f"there is no task {wanted or 'without a name'}; {more}")
    numbers = ", ".join(str(task.number) for task in found[:_SHOWN]) + (", ..." if len(found) > _SHOWN else "")
    raise UsageError(f"{len(found)} tasks are called {wanted}; write the number of one: {numbers}")


def root_of(kernel: FoundKernel, task: Task, machine: Machine) -> PA:
    """Return where the root of a process's tables is; raise `Unavailable` for a thread of the kernel's own."""
    if task.root is None:
        raise Unavailable(f"task {task.number}, {task.name}, is a thread of the kernel's own, without an address space")
    try:
        return place_of(kernel.regime, task.root, machine.memory.read)
    except Unavailable as missing:
        raise Unavailable(f"{missing}, where a task is said to have its root") from None


def for_task(session: Session, asked: OfTask) -> Session:
    """Return the session as it is while a task runs: with the registers that its kernel would load for it."""
    text = asked.task or ""
    other = next((name for name in ("root", "guest") if getattr(asked, name, None) is not None), None)
    if other is not None:
        raise UsageError(f"--task and --{other} each say whose tables are asked; leave one out")
    kernel = kernel_of(session)
    task = named_task(list(kernel.own.tasks()), text)
    machine = _with_registers_of(kernel, session.machine)
    root = root_of(kernel, task, machine)
    registers = systems.task_registers(machine.architecture, machine.register, root)
    said = (
        f"the tables are those of task {task.number}, {task.name}, by {kernel.own.title}'s own list: root PA {root:#x}"
    )
    there = with_registers(machine, registers, WHENCE)
    return replace(session, machine=replace(there, assumed=(*there.assumed, Assumption("task", said))))


def _with_registers_of(kernel: FoundKernel, machine: Machine) -> Machine:
    """Return the machine with what a kernel's notes imply where the source has no such register: a raw image."""
    lacking = {name: at for name, at in kernel.derived.values.items() if optional(machine.register, name) is None}
    if not lacking:
        return machine
    told = tuple(each for each in kernel.derived.assumed if each.about in lacking)
    return replace(with_registers(machine, lacking, "VMCOREINFO"), assumed=(*machine.assumed, *told))

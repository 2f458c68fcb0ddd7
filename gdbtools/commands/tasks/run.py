"""`tasks`: the processes of the guest's kernel, and the areas of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.addresses import PA
from gdbtools.commands.session import Session
from gdbtools.commands.tasks.asked import kernel_of, named_task, root_of
from gdbtools.errors import Unavailable, Unreadable, UsageError
from gdbtools.systems.tasks import MemoryArea, Task


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be asked of `tasks`, as `declared` has it."""

    task: Sequence[str] = ()
    all: bool = False


@dataclass(frozen=True)
class ListedTask:
    """A task, and where its root is in memory: None for one without an address space, or whose root is nowhere."""

    task: Task
    root: PA | None


@dataclass(frozen=True)
class TaskList:
    """The tasks of a kernel.  `left_out` counts its own threads, which were not asked for."""

    title: str
    evidence: tuple[str, ...]
    tasks: tuple[ListedTask, ...]
    left_out: int


@dataclass(frozen=True)
class TaskAreas:
    """The areas of a task's address space."""

    title: str
    listed: ListedTask
    areas: tuple[MemoryArea, ...]


def run(session: Session, options: Options) -> Sequence[TaskList | TaskAreas]:
    kernel = kernel_of(session)
    tasks = list(kernel.own.tasks())

    def listed(task: Task) -> ListedTask:
        try:
            return ListedTask(task, None if task.root is None else root_of(kernel, task, session.machine))
        except (Unavailable, Unreadable):
            return ListedTask(task, None)

    if options.task and options.all:
        raise UsageError("--all lists the kernel's own threads, and a task is named; leave one out")
    if options.task:
        chosen = [named_task(tasks, text) for text in options.task]
        roots = [root_of(kernel, task, session.machine) for task in chosen]
        return [
            TaskAreas(kernel.own.title, ListedTask(task, root), tuple(kernel.own.areas(task)))
            for task, root in zip(chosen, roots, strict=True)
        ]
    shown = [task for task in tasks if options.all or task.memory is not None]
    left_out = len(tasks) - len(shown)
    return [TaskList(kernel.own.title, kernel.evidence, tuple(map(listed, shown)), left_out)]

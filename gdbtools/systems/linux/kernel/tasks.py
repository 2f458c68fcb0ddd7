"""The list of a kernel's tasks: processes and its own threads.

Source: Linux, `include/linux/sched.h` (struct task_struct), `include/linux/mm_types.h` (struct mm_struct).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gdbtools.addresses import VA
from gdbtools.errors import Unavailable, Unreadable
from gdbtools.systems.linux.kernel.kernel import Kernel
from gdbtools.systems.linux.kernel.view import View
from gdbtools.systems.tasks import Task

_MOST_TASKS: Final = 1 << 20
_STATES: Final = ((0x1, "sleeping"), (0x2, "waiting for a device"), (0x4, "stopped"), (0x8, "traced"))
"""TASK_INTERRUPTIBLE, TASK_UNINTERRUPTIBLE, __TASK_STOPPED, __TASK_TRACED."""
_IDLE: Final = 0x402
"""TASK_IDLE: uninterruptible, but nothing that anybody waits for."""
_DEAD: Final = 0x30
"""EXIT_DEAD and EXIT_ZOMBIE, of `exit_state`."""


def tasks(kernel: Kernel) -> Iterator[Task]:
    """Yield every process and thread of the kernel's own; raise `Unavailable` where the list does not hold together.

    It does if each task is the one that the next leads back to, and the last leads to the first.
    """
    first = kernel.first_task
    at, seen = first, {int(first.at)}
    offset = first.place("tasks") - first.at
    while True:
        link = at.number("tasks.next")
        following = kernel.memory.view("task_struct", link - offset)
        if following.at == first.at:
            return
        if following.number("tasks.prev") != at.place("tasks"):
            raise Unavailable(f"the list of tasks is broken behind {at.at:#x}: what follows does not lead back")
        if following.at in seen or len(seen) > _MOST_TASKS:
            raise Unavailable(f"the list of tasks goes round at {following.at:#x}")
        seen.add(int(following.at))
        yield _task(following, kernel.page_bytes)
        at = following


def _task(task: View, page_bytes: int) -> Task:
    number, name = task.number("pid"), task.characters("comm")
    space = task.pointed("mm")
    return Task(
        number=number,
        name=name,
        at=task.at,
        parent=_parent(task),
        cpu=_cpu(task),
        state=_state(task),
        memory=None if space is None else space.at,
        root=None if space is None else VA(space.number("pgd")),
        size_bytes=0 if space is None else space.number("total_vm") * page_bytes,
    )


def _parent(task: View) -> int | None:
    try:
        parent = task.pointed("real_parent")
        return None if parent is None else parent.number("tgid")
    except (Unavailable, Unreadable):
        return None


def _cpu(task: View) -> int | None:
    """Return the CPU that a task is on or was on last."""
    for path in ("thread_info.cpu", "cpu"):
        if task.has(path):
            return task.number(path)
    return None


def _state(task: View) -> str:
    # It was `state` until 5.14.
    state = task.number("__state" if task.has("__state") else "state")
    if task.number("exit_state") & _DEAD:
        return "ended"
    if state == 0:
        return "running" if task.has("on_cpu") and task.number("on_cpu") else "ready"
    if state & _IDLE == _IDLE:
        return "idle"
    return next((name for bit, name in _STATES if state & bit), f"{state:#x}")

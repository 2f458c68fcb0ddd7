"""A process of Linux by its `struct mm_struct`: its number and its name, without symbols.

How far into a structure something is depends on the release and on how it was built.  So each step is one that leads
back: `mm->owner` to a task that has this mm; `group_leader` of that task to itself; `thread_pid` to a `struct pid` that
points into the task and has its number.  Where the name is, kthreadd tells: it has number 2 in every system, and its
name is known.

Source: Linux, `struct task_struct` in include/linux/sched.h, `struct mm_struct` in include/linux/mm_types.h, `struct
pid` in include/linux/pid.h, `rest_init` in init/main.c.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from gdbtools.systems.linux.kernel_memory import KERNEL, KernelMemory
from gdbtools.systems.structures import WORD_BYTES

_HALF: Final = 0xFFFF_FFFF
_MM_WORDS: Final = 256
_TASK_WORDS: Final = 2048
_PID_WORDS: Final = 24
_SIBLING: Final = -2
_PARENT: Final = -6
"""Words from `group_leader` back to `sibling` and `real_parent`."""
_NUMBERS: Final = (-8, -7)
"""Back to `pid` and `tgid`, with a stack's canary between them and `real_parent` or without one."""
_LINKS: Final = range(1, 12)
"""On to `thread_pid`."""
_INIT: Final = 1
_KTHREADD: Final = 2
_NAMED: Final = b"kthreadd\0"
_NAME_BYTES: Final = 16
_MOST_PARENTS: Final = 64


@dataclass(frozen=True, slots=True)
class Process:
    """A process: its number (of the process, not of a thread) and its name, empty where that is not shown."""

    number: int
    name: str

    def __str__(self) -> str:
        return f"{self.name} ({self.number})" if self.name else f"process {self.number}"


@dataclass(frozen=True, slots=True)
class _Task:
    """A leader of its group: `leader` is the word that points to itself, `numbers` that of its numbers."""

    address: int
    words: Sequence[int]
    leader: int
    numbers: int

    @property
    def number(self) -> int:
        return self.words[self.numbers] >> 32


def owner(memory: KernelMemory, mm: int) -> Process | None:
    """Return the process whose memory this is; None where no pointer in it leads to a task that leads back."""
    for word in dict.fromkeys(memory.words(mm, _MM_WORDS)):
        if word < KERNEL or word % WORD_BYTES:
            continue
        words = memory.words(word, _TASK_WORDS)
        # `mm` and `active_mm` stand side by side, and are the same of a process.
        if (mm, mm) in pairwise(words):
            task = next(_leading(memory, word, words), None)
            if task is not None:
                return Process(task.number, _name(memory, task))
    return None


def _leading(memory: KernelMemory, address: int, words: Sequence[int]) -> Iterator[_Task]:
    """Yield a task as the leader of its group, which has its number in its `struct pid`, too."""
    for at, word in enumerate(words):
        if word != address or at + _NUMBERS[0] < 0:
            continue
        for numbers in _NUMBERS:
            number, group = words[at + numbers] & _HALF, words[at + numbers] >> 32
            linked = any(
                _is_pid(memory.words(words[at + link], _PID_WORDS), number, address)
                for link in _LINKS
                if at + link < len(words)
            )
            if number == group and number and linked:
                yield _Task(address, words, at, at + numbers)


def _is_pid(words: Sequence[int], number: int, task: int) -> bool:
    """Return whether this is a `struct pid` of that number, which points into the task."""
    end = task + _TASK_WORDS * WORD_BYTES
    named = any(word & _HALF == number and of >= KERNEL for word, of in pairwise(words))
    return named and any(task < word < end for word in words)


def _name(memory: KernelMemory, task: _Task) -> str:
    """Return a task's name, at the place where kthreadd has its own; empty where kthreadd is not found."""
    known = _kthreadd(memory, task)
    if known is None:
        return ""
    whole = memory.data(known, _TASK_WORDS * WORD_BYTES)
    if whole.count(_NAMED) != 1:
        return ""
    name, ended, _ = memory.data(task.address + whole.index(_NAMED), _NAME_BYTES).partition(b"\0")
    text = name.decode(errors="replace")
    return text if ended and text.isprintable() else ""


def _kthreadd(memory: KernelMemory, task: _Task) -> int | None:
    """Return where kthreadd is: the sibling of init, which is the oldest parent of all."""
    for _ in range(_MOST_PARENTS):
        if task.number == _INIT:
            break
        parent = _at(memory, task.words[task.leader + _PARENT], task)
        if parent is None:
            return None
        task = parent
    for sibling in task.words[task.leader + _SIBLING : task.leader]:
        other = _at(memory, sibling - (task.leader + _SIBLING) * WORD_BYTES, task)
        if other is not None and other.number == _KTHREADD:
            return other.address
    return None


def _at(memory: KernelMemory, address: int, like: _Task) -> _Task | None:
    """Return the task there, or the leader of its group; None for what has no leader where `like` has it."""
    words = memory.words(address, _TASK_WORDS)
    if len(words) <= like.leader:
        return None
    leader = words[like.leader]
    led = words if leader == address else memory.words(leader, _TASK_WORDS)
    return (
        _Task(leader, led, like.leader, like.numbers) if len(led) > like.leader and led[like.leader] == leader else None
    )

"""How the answers of `tasks` look, and what is recorded of them."""

from __future__ import annotations

from collections.abc import Sequence

from gdbtools.commands.tasks.run import ListedTask, TaskAreas, TaskList
from gdbtools.printable import visible
from gdbtools.render.document import Document, Facts, Line, Role, Span, Table, Text, labelled
from gdbtools.render.json import JsonObject, hexadecimal
from gdbtools.systems.tasks import MemoryArea
from gdbtools.wording import amount, number_of


def view(answer: TaskList | TaskAreas) -> Document:
    return _areas(answer) if isinstance(answer, TaskAreas) else _tasks(answer)


def _tasks(answer: TaskList) -> Document:
    rest = ""
    if answer.left_out:
        rest = f"; {number_of(answer.left_out, 'thread', 'threads')} of the kernel's own besides (--all)"
    title = Line([Span(number_of(len(answer.tasks), "task"), Role.HEADING), f" of {visible(answer.title)}{rest}."])
    rows: list[Sequence[Text]] = [_row(each) for each in answer.tasks]
    table = Table(["pid", "name", "parent", "cpu", "state", "root PA", "size"], rows, frozenset((0, 2, 3, 6)))
    return Document([title, table, Facts([*labelled("evidence", answer.evidence)])])


def _row(each: ListedTask) -> list[Text]:
    task = each.task
    root = "-" if task.root is None else "unreadable" if each.root is None else f"{each.root:#x}"
    parent = "-" if task.parent is None else str(task.parent)
    size = "-" if task.memory is None else amount(task.size_bytes)
    cpu = "-" if task.cpu is None else str(task.cpu)
    return [str(task.number), visible(task.name), parent, cpu, task.state, root, size]


def _areas(answer: TaskAreas) -> Document:
    task = answer.listed.task
    said = f" of task {task.number}, {visible(task.name)}, of {visible(answer.title)}."
    title = Line([Span(number_of(len(answer.areas), "area"), Role.HEADING), said])
    rows: list[Sequence[Text]] = [
        [f"{each.first:#x}", f"{each.end - 1:#x}", each.rights, f"{each.offset_bytes:#x}", visible(each.what)]
        for each in answer.areas
    ]
    blocks = [Table(["first", "last", "rights", "offset", "what"], rows, frozenset((3,)))] if rows else []
    facts = [] if answer.listed.root is None else [("root", f"PA {answer.listed.root:#x}")]
    return Document([title, *blocks, Facts([*facts])])


def record(answer: TaskList | TaskAreas) -> JsonObject:
    if isinstance(answer, TaskAreas):
        areas = [_area_record(each) for each in answer.areas]
        return {"kernel": answer.title, "task": _task_record(answer.listed), "areas": areas}
    return {
        "kernel": answer.title,
        "evidence": list(answer.evidence),
        "tasks": [_task_record(each) for each in answer.tasks],
        "left_out": answer.left_out,
    }


def _task_record(each: ListedTask) -> JsonObject:
    task = each.task
    return {
        "pid": task.number,
        "name": task.name,
        "parent": task.parent,
        "cpu": task.cpu,
        "state": task.state,
        "root": None if each.root is None else hexadecimal(each.root),
        "size_bytes": task.size_bytes,
    }


def _area_record(each: MemoryArea) -> JsonObject:
    return {
        "first": hexadecimal(each.first),
        "last": hexadecimal(each.end - 1),
        "rights": each.rights,
        "offset": hexadecimal(each.offset_bytes),
        "what": each.what,
    }

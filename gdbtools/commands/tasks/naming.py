"""`--names`: what the guest's own kernel has at an address, and what it would make of what the tables refuse."""

from __future__ import annotations

from gdbtools.analysis.own_places import OwnPlace, OwnPlaces
from gdbtools.arch.model import Access, AccessKind, Fault, FaultKind
from gdbtools.commands.session import Session
from gdbtools.commands.tasks.asked import kernel_of
from gdbtools.printable import visible
from gdbtools.render.document import Text
from gdbtools.render.json import JsonObject, hexadecimal
from gdbtools.systems.tasks import MemoryArea, Task

_NO_PAGE = (FaultKind.TRANSLATION,)


def places_of(session: Session) -> OwnPlaces:
    """Return the names that the kernel of a session's machine has; raise `Unavailable` where it is not shown."""
    machine = session.machine
    return OwnPlaces(kernel_of(session), machine.architecture, machine.memory.read)


def place_rows(
    place: OwnPlace | None, refused: Fault | None = None, access: Access | None = None
) -> list[tuple[str, Text]]:
    """Return what is at an address, and what that makes of a refusal."""
    if place is None:
        return []
    rows: list[tuple[str, Text]] = [("in", _said(place))]
    expected = "" if refused is None else _expected(place, refused, None if access is None else access.kind)
    return [*rows, ("kernel", expected)] if expected else rows


def _said(place: OwnPlace) -> str:
    if place.region is not None:
        name = (
            place.region.name if place.mapped else f"{place.region.name}, of which the kernel's tables map nothing here"
        )
        return f"{name}: {visible(place.symbol)}" if place.symbol else name
    if place.of_kernel:
        return "the kernel's half, no region of which is known here"
    if place.task is None:
        return "these tables are those of no task that the kernel lists"
    whose = f"task {place.task.number}, {visible(place.task.name)}"
    if place.area is not None:
        return f"{_area(place.area)} of {whose}"
    if place.below is not None:
        return f"no area of {whose}; the next is {_area(place.below)} from {place.below.first:#x}"
    return f"no area of {whose}, and none follows"


def _area(area: MemoryArea) -> str:
    return f"{area.rights} {visible(area.what) or 'without a file'}"


def _expected(place: OwnPlace, refused: Fault, kind: AccessKind | None) -> str:
    """Return what the kernel would make of what the tables refuse, by its own areas."""
    if place.task is None:
        return ""
    if place.area is None:
        if place.below is not None and place.below.what == "[stack]":
            return "the access is outside every area; below a stack, it may be that the stack has outgrown its own"
        return "the access is outside every area: the kernel has nothing to bring in there"
    permits = None if kind is None else place.permits(kind)
    if permits is None:
        return ""
    if not permits:
        return f"its area does not permit this either ({place.area.rights}): the process asked for what it may not have"
    if refused.kind in _NO_PAGE:
        return f"its area permits this ({place.area.rights}): the page was not brought in yet, as demand paging has it"
    if kind is AccessKind.WRITE:
        why = "is to have a page of its own (copy-on-write)" if place.area.rights[-1] == "p" else "is to be seen"
        return f"its area permits this ({place.area.rights}): the first write {why}"
    return f"its area permits this ({place.area.rights}): the kernel has withheld it for a purpose of its own"


def place_record(place: OwnPlace) -> JsonObject:
    """Record what a kernel has at an address."""
    area = place.area
    return {
        "region": None if place.region is None else place.region.name,
        "symbol": place.symbol or None,
        "task": None if place.task is None else _task_record(place.task),
        "area": None
        if area is None
        else {
            "first": hexadecimal(area.first),
            "last": hexadecimal(area.end - 1),
            "rights": area.rights,
            "what": area.what,
        },
    }


def _task_record(task: Task) -> JsonObject:
    return {"pid": task.number, "name": task.name}

"""How the answers of `capture` look, and what is recorded of them."""

from __future__ import annotations

from gdbtools.commands.capture.run import Captured
from gdbtools.commands.spaces import CURRENT, isolation_record, limit_text
from gdbtools.render.document import Document, Facts, Line, Role, Span, Text
from gdbtools.render.json import JsonObject
from gdbtools.wording import number_of, size


def view(answer: Captured) -> Document:
    cpus = number_of(answer.cpus, "CPU")
    rows: list[tuple[str, Text]] = [
        ("size", f"{answer.size_bytes} bytes: {size(answer.memory_bytes)} of memory, {cpus}"),
        ("next", Span(f"gdbtools {'fault' if answer.explains else 'map'} -s {answer.path}", Role.COMMAND)),
    ]
    if answer.unreadable:
        rows.append(("missing", Span(f"{answer.unreadable} tables could not be read", Role.WARNING)))
    if answer.missing_bytes:
        rows.append(("missing", Span(f"{answer.missing_bytes} mapped bytes could not be read", Role.WARNING)))
    if answer.isolation is not None:
        rows.append(("kernel", _kernel_text(answer)))
    for regime in answer.loaded:
        left_out = Span(f"{regime.name}: its tables are not in the file; --tables all takes them", Role.WARNING)
        rows.append(("loaded", f"{regime.name}: its tables are in the file, too" if answer.whole else left_out))
    return Document([Line(["Wrote ", Span(answer.path, Role.GOOD), "."]), Facts(rows)])


def _kernel_text(answer: Captured) -> Text:
    """Return whether the kernel's tables are in the file, where the space in force does not have them."""
    found = answer.isolation
    assert found is not None, "it is the kernel's that are in question"
    if found.full is None or answer.space == CURRENT:
        left_out = "" if found.full is None else ", and only the current space was asked for"
        return Span(f"its tables are not in the file: {limit_text(found)}{left_out}", Role.WARNING)
    return f"its own tables are in the file, from PA {found.full.root:#x}: the space in force is a reduced one"


def record(answer: Captured) -> JsonObject:
    return {
        "path": answer.path,
        "size": answer.size_bytes,
        "memory": answer.memory_bytes,
        "cpus": answer.cpus,
        "unreadable_tables": answer.unreadable,
        "missing_bytes": answer.missing_bytes,
        "isolation": isolation_record(answer.isolation),
        "loaded": [regime.name for regime in answer.loaded] if answer.whole else [],
    }

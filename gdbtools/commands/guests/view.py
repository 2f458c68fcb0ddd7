"""How the answers of `guests` look, and what is recorded of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gdbtools.analysis.guests.census import Census
from gdbtools.analysis.guests.known import GuestOnCpu, KnownGuest
from gdbtools.commands.guests.run import CountedGuest, GuestList
from gdbtools.commands.stage2.view import cpu_record
from gdbtools.render.document import Block, Document, Facts, Line, Role, Span, Table, Text
from gdbtools.render.json import JsonObject, hexadecimal
from gdbtools.systems.kept_guests import KeptCpu
from gdbtools.wording import amount, number_of


def view(answer: GuestList) -> Document:
    found = [each.guest for each in answer.guests]
    if not found:
        return Document([Line([Span("No guest is known", Role.HEADING), "."]), Facts([*_facts(answer)])])
    running = [on.cpu.number for each in found for on in each.cpus if on.loaded.runs]
    said = f" {number_of(len(running), 'CPU')} runs one." if len(running) == 1 else f" {len(running)} CPUs run one."
    title = Line([Span(number_of(len(found), "guest"), Role.HEADING), ".", said if running else _none_seen(answer)])
    blocks: list[Block] = [title, _table(answer)]
    return Document([*blocks, Facts([*_facts(answer)])])


def _none_seen(answer: GuestList) -> str:
    """Return what is known of what runs, where nothing is seen to."""
    unknown = answer.unread or any(on.loaded.runs is None for each in answer.guests for on in each.guest.cpus)
    if not unknown:
        return " None runs now."
    return f" Whether {'it' if len(answer.guests) == 1 else 'any'} runs now is not known."


def _table(answer: GuestList) -> Table:
    named = any(each.guest.kept for each in answer.guests)
    rows: list[Sequence[Text]] = []
    for each in answer.guests:
        guest, regime = each.guest, each.census.regime
        row: list[Text] = [str(guest.number), "-" if guest.identifier is None else str(guest.identifier)]
        row += [(guest.kept and guest.kept.name) or "-"] if named else []
        row += [f"{regime.root:#x}", str((regime.last + 1).bit_length() - 1)]
        row += [_amount(each.census, memory=True), _amount(each.census, memory=False)]
        rows.append([*row, str(each.census.tables), _virtual(guest)])
    headers = ["guest", answer.identifier, *(["name"] if named else []), "root PA", "bits", "memory", "other", "tables"]
    right = frozenset(at for at, header in enumerate(headers) if header not in ("name", "root PA"))
    return Table([*headers, "virtual CPUs"], rows, right)


def _amount(found: Census, memory: bool) -> str:
    """Return how much leads to memory, or elsewhere; at least so much, where tables could not be read."""
    said = amount(found.bytes_of(memory))
    return said if not found.unread else f"{said}+" if found.leaves else "unreadable"


def _virtual(guest: KnownGuest) -> str:
    """Return which virtual CPU is where: what the hypervisor keeps of it, or what the CPUs' registers say."""
    if guest.kept is not None:
        return ", ".join(map(_virtual_cpu, guest.kept.cpus)) or "not known"
    return "not known"


def _virtual_cpu(each: KeptCpu) -> str:
    return f"{each.number} on {'no CPU' if each.processor is None else f'CPU {each.processor}'}"


def _facts(answer: GuestList) -> Iterator[tuple[str, Text]]:
    said = {on.cpu.number: _holds(each.guest, on) for each in answer.guests for on in each.guest.cpus}
    said |= {on.cpu.number: _empty(answer, on) for on in answer.empty}
    said |= dict.fromkeys(answer.idle, "holds none")
    said |= dict.fromkeys(answer.unread, "what it holds is not known")
    yield from ((f"CPU {number}", said[number]) for number in sorted(said))
    for each in answer.guests:
        yield from _shown(each.guest)
    limits = dict.fromkeys(text for each in answer.guests if each.guest.kept for text in each.guest.kept.limits)
    yield from (("note", text) for text in (*limits, *answer.limits))
    if answer.following:
        first, *others = (Span(each, Role.COMMAND) for each in answer.following)
        yield "next", [first, *(piece for each in others for piece in (", ", each))]


def _empty(answer: GuestList, on: GuestOnCpu) -> str:
    which = "" if on.loaded.identifier is None else f", {answer.identifier} {on.loaded.identifier}"
    return f"holds an empty second stage{which} at PA {on.loaded.regime.root:#x}: no guest's"


def _holds(guest: KnownGuest, on: GuestOnCpu) -> Text:
    virtual = on.loaded.virtual_cpu
    which = "" if virtual is None else f", as its virtual CPU of affinity {virtual:#x}"
    if on.loaded.runs:
        return f"runs guest {guest.number}{which}"
    return [f"holds guest {guest.number}{which}; ", Span(on.loaded.caveat, Role.WARNING)]


def _shown(guest: KnownGuest) -> Iterator[tuple[str, Text]]:
    name = f"guest {guest.number}"
    said = guest.kept.evidence if guest.kept else ()
    said += ("its root was found in memory, by what it looks like: no register has it",) if guest.searched else ()
    for at, text in enumerate(said):
        yield name if not at else "", text


def record(answer: GuestList) -> JsonObject:
    return {
        "identifier": answer.identifier,
        "guests": [_guest_record(each) for each in answer.guests],
        "empty": [cpu_record(on) for on in answer.empty],
        "cpus_without": list(answer.idle),
        "cpus_unread": list(answer.unread),
        "notes": list(answer.limits),
    }


def _guest_record(each: CountedGuest) -> JsonObject:
    guest, regime, kept = each.guest, each.census.regime, each.guest.kept
    return {
        "number": guest.number,
        "identifier": guest.identifier,
        "name": (kept and kept.name) or None,
        "root": hexadecimal(regime.root),
        "regime": regime.name,
        "input_bits": (regime.last + 1).bit_length() - 1,
        "levels": [level.number for level in regime.levels],
        "memory": each.census.bytes_of(memory=True),
        "other": each.census.bytes_of(memory=False),
        "tables": each.census.tables,
        "cpus": [cpu_record(on) for on in guest.cpus],
        "virtual_cpus": [{"number": one.number, "processor": one.processor} for one in kept.cpus] if kept else [],
        "searched": guest.searched,
        "evidence": list(kept.evidence) if kept else [],
        "limits": list(kept.limits) if kept else [],
    }

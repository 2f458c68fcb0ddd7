"""How an answer of `find-roots` looks, and what is recorded of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gdbtools.addresses import IPA, PA
from gdbtools.analysis.roots.choice import apart
from gdbtools.analysis.roots.evidence import RootEvidence, Sign
from gdbtools.analysis.roots.holders import register_of
from gdbtools.analysis.roots.reading import FoundRoot
from gdbtools.analysis.roots.search import Ranking
from gdbtools.analysis.roots.table_survey import Survey
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.isolation import Isolation
from gdbtools.arch.model import Derived
from gdbtools.arch.table_heuristics import Owner
from gdbtools.render.document import Block, Document, Facts, Line, Role, Span, Table, Text, labelled
from gdbtools.render.json import JsonObject, hexadecimal, optional_hexadecimal
from gdbtools.wording import amount, size

ROWS = 12
"""How many roots are shown unless all are asked for."""
REASONS = 6
_IN_THE_TABLE = (Sign.LEAVES, Sign.IN_MEMORY, Sign.ADJOINING)
"""What says less than the table above does."""
OWNERS: Mapping[Owner, str] = {
    Owner.KERNEL: "kernel",
    Owner.USER: "process",
    Owner.HYPERVISOR: "hypervisor",
    Owner.VIRTUAL_MACHINE: "virtual machine",
}
"""What a root looks like, from the leaves below it."""


@dataclass(frozen=True, slots=True)
class LinuxNotes:
    """A Linux kernel's VMCOREINFO: where it is, of which release, the root that it names (None: `why` it does not).

    Where it is in the memory of a virtual machine that has other addresses, `ipa` is what it names, `machine` the root
    of that machine's second stage, and `root` where that leads.
    """

    pa: PA
    release: str
    root: int | None
    why: str = ""
    ipa: IPA | None = None
    machine: int | None = None


@dataclass(frozen=True)
class Roots:
    """What was found, what was chosen of it, and the registers that would have that in use.

    `interrupted` says that not all was looked at; `reduced` is what is known of the full space where the one in force
    is a reduced one.
    """

    architecture: Architecture
    survey: Survey
    ranking: Ranking
    chosen: tuple[FoundRoot, ...]
    registers: Derived
    linux: tuple[LinuxNotes, ...]
    reduced: Isolation | None
    interrupted: bool
    everything: bool
    source: str
    written: str
    guest: str = ""
    """Which guest's memory was searched, by its own addresses; empty where it was the machine's."""

    def levels(self, found: FoundRoot) -> tuple[int, ...]:
        """Return the levels of a root's walk, in the architecture's own numbers."""
        return tuple(level.number for level in self.architecture.table_heuristics.regime(found.place).levels)


def view(answer: Roots) -> Document:
    blocks: list[Block] = [Line(_headline(answer))]
    found = answer.ranking.found
    shown = [each for row, each in enumerate(found) if answer.everything or row < ROWS or each in answer.chosen]
    if shown:
        blocks.append(_table(answer, shown))
    more = len(answer.ranking.found) - len(shown)
    if more:
        blocks.append(Line(f"and {more} more, which less speaks for: --all lists them"))
    for each in answer.chosen:
        blocks.append(Facts([*_reasons(answer, each)]))
    blocks.append(Facts([*_rest(answer)]))
    return Document(blocks)


def _headline(answer: Roots) -> Text:
    if not answer.ranking.found:
        return Span("Nothing here looks like a root table.", Role.WARNING)
    sure = any(each.likely for each in answer.chosen)
    words: list[str | Span] = [Span("Most likely: " if sure else "Perhaps: ", Role.HEADING)]
    for number, each in enumerate(answer.chosen):
        place = each.place
        words += [", " if number else "", f"{place.register} = ", Span(f"{place.root:#x}", Role.GOOD)]
    sizes = {f" ({size(each.place.form.table_bytes)} granule, {each.place.input_bits} bits)" for each in answer.chosen}
    return [*words, sizes.pop() if len(sizes) == 1 else "", "."]


def _table(answer: Roots, shown: Sequence[FoundRoot]) -> Table:
    headers = (
        "root at" if answer.guest else "root PA",
        "register",
        "granule",
        "bits",
        "levels",
        "leaves",
        "map",
        "like a",
    )
    rows = []
    for each in shown:
        place, levels = each.place, answer.levels(each)
        role = Role.GOOD if each in answer.chosen else Role.PLAIN
        row: list[Text] = [Span(f"{place.root:#x}", role), place.register, size(place.form.table_bytes)]
        row += [str(place.input_bits), f"{levels[0]}..{levels[-1]}", str(each.tree.leaves)]
        row += [amount(each.tree.mapped_bytes), _like(each)]
        rows.append(row)
    return Table(headers, rows, frozenset((2, 3, 4, 5, 6)))


def _like(each: FoundRoot) -> Text:
    if each.full is not None:
        return f"reduced root of {each.full:#x}"
    if any(one.sign is Sign.IDENTITY and one.count == one.total for one in each.evidence):
        return f"{OWNERS[each.owner]}, VA = PA"
    return OWNERS[each.owner]


def _reasons(answer: Roots, each: FoundRoot) -> Iterator[tuple[str, Text]]:
    """Yield what speaks most for a root, and all that speaks against it."""
    told = sorted(each.evidence, key=lambda one: (not one.sign.tells, -one.weight))
    name = f"{each.place.root:#x}"
    for one in [one for one in told if one.weight > 0 and one.sign not in _IN_THE_TABLE][:REASONS]:
        yield name, _said(answer, each, one)
        name = ""
    for one in told:
        if one.weight < 0:
            yield name, Span(_said(answer, each, one), Role.WARNING)
            name = ""


def _said(answer: Roots, each: FoundRoot, one: RootEvidence) -> str:
    count, total = one.count, one.total
    named = next((linux for linux in answer.linux if linux.root == each.place.root), None)
    words = {
        Sign.HELD: f"{each.place.register} holds it",
        Sign.PROVEN: f"the vectors' own code puts it into {each.place.register}, for the kernel's space",
        Sign.NAMED: f"Linux {named.release} names it, in VMCOREINFO at PA {named.pa:#x}" if named else "it is named",
        Sign.POINTERS: f"it maps {count} of {total} pages of the upper half that memory points into",
        Sign.VECTORS: f"it maps exception vectors, to be executed above {answer.architecture.privileges[0].label}",
        Sign.RUNNING: f"a CPU's pc may be executed ({count} of {total} in its range)",
        Sign.STACK: "that CPU's sp may be written",
        Sign.LOST: "it does not map the pc of a CPU that should run in it",
        Sign.OWN_TABLES: f"it maps its own tables, to be written: {count} of {total}",
        Sign.OTHER_ROOTS: f"it maps the other roots, to be written: {count} of {total}",
        Sign.SAME_UPPER: f"its upper half is the same as that of {count} of {total} other roots",
        Sign.TWO_FACES: _two_faces(each, count),
        Sign.AMID: "it stands among other data",
        Sign.SAME_SIZE: "it has as many levels and bits as the kernel's",
        Sign.REFERENCED: "an entry of another table leads to it",
        Sign.IDENTITY: f"{count} of {total} leaves lead to their own address",
        Sign.TABLES: f"{count} further tables hang together below it",
        Sign.LEAVES: f"{count} leaves make sense",
        Sign.IN_MEMORY: f"{'only ' if one.weight < 0 else ''}{count} of {total} leaves lead to memory",
        Sign.MEMORY: f"it maps {amount(count)} of {amount(total)} of memory",
        Sign.ADJOINING: f"{count} of {total} leaves go on where the one before ends",
        Sign.ONE_PLACE: f"{count} of {total} leaves lead to one and the same place",
        Sign.ENDLESS: "its tables are met over and over",
    }
    return words[one.sign]


def _two_faces(each: FoundRoot, leaves: int) -> str:
    if each.reduced is not None:
        return f"{each.reduced:#x} is its reduced root, for user mode: all {leaves} leaves there lead where its own do"
    return f"it is a reduced root: all {leaves} leaves lead where those of {each.full or 0:#x}, the full one, do"


def _rest(answer: Roots) -> Iterator[tuple[str, Text]]:
    survey, ranking = answer.survey, answer.ranking
    taken = {each.place.register for each in answer.chosen}
    for each in ranking.dismissed:
        why = next(_said(answer, each, one) for one in each.evidence if one.sign in (Sign.ONE_PLACE, Sign.ENDLESS))
        yield "dismissed", Span(f"{each.place.root:#x}: {why}", Role.WARNING)
    for each in ranking.found:
        if each.likely and each.place.register not in taken and (others := apart(each, answer.chosen)):
            with_what = ", ".join(f"{other.place.register} = {other.place.root:#x}" for other in others)
            yield "not chosen", f"{each.place.register} = {each.place.root:#x}: another guest's than {with_what}"
    yield from _limit(answer)
    for linux in answer.linux:
        if linux.root is None:
            yield "VMCOREINFO", Span(f"at PA {linux.pa:#x}, Linux {linux.release}: {linux.why}", Role.WARNING)
        elif not any(each.place.root == linux.root for each in answer.chosen):
            yield "VMCOREINFO", f"at PA {linux.pa:#x}, Linux {linux.release}: names {_named(linux)}"
    looked = f"{amount(survey.examined_bytes)}: {len(survey.tables)} pages like tables, {ranking.candidates} candidates"
    yield "looked at", looked
    if answer.interrupted:
        left = amount(survey.total_bytes - survey.examined_bytes)
        yield "not looked at", Span(f"{left}: interrupted", Role.WARNING)
    if survey.full:
        yield "", Span("too much looks like tables: give a range of physical addresses", Role.WARNING)
    if survey.unreadable_bytes:
        yield "unreadable", Span(amount(survey.unreadable_bytes), Role.WARNING)
    if ranking.unexamined:
        yield "not examined", Span(f"{ranking.unexamined} candidates, the smallest", Role.WARNING)
    yield from labelled("assumed", (each.text for each in answer.registers.assumed))
    yield from _next(answer)


def _limit(answer: Roots) -> Iterator[tuple[str, Text]]:
    """Yield that the kernel is not in what was chosen, where a register leads to a reduced space."""
    found = answer.reduced
    if found is None or not any(each.place.root == found.reduced.root for each in answer.chosen):
        return
    name = register_of(found.reduced)
    said = f"{name} leads to a reduced space, without the kernel"
    full = found.full.root if found.full is not None else None
    if full is None or not any(each.place.root == full for each in answer.ranking.found):
        yield "limited", Span(said, Role.WARNING)
        return
    yield (
        "limited",
        [Span(f"{said}; ", Role.WARNING), Span(f"--root {full:#x}", Role.COMMAND), " chooses its full root"],
    )


def _named(linux: LinuxNotes) -> str:
    if linux.ipa is None:
        return f"{linux.root:#x}"
    return f"IPA {linux.ipa:#x}, which is PA {linux.root:#x} to the virtual machine at {linux.machine:#x}"


def _next(answer: Roots) -> Iterator[tuple[str, Text]]:
    if answer.guest:
        yield "guest", f"all of this is in the memory of guest {answer.guest}, by its own addresses"
    elif answer.written:
        yield "wrote", Span(answer.written, Role.GOOD)
        yield "next", Span(f"gdbtools map -s {answer.source} --registers {answer.written}", Role.COMMAND)
        others = dict.fromkeys(each.place.regime for each in answer.chosen[1:])
        others.pop(answer.chosen[0].place.regime, None)
        for name in others:
            yield "", Span(f"... --regime {name}", Role.COMMAND)
    elif answer.chosen:
        yield "next", [Span("--write registers.json", Role.COMMAND), ", and then --registers registers.json"]


def record(answer: Roots) -> JsonObject:
    survey, ranking = answer.survey, answer.ranking
    return {
        "roots": [_root_record(answer, each) for each in ranking.found],
        "dismissed": [_root_record(answer, each) for each in ranking.dismissed],
        "chosen": [hexadecimal(each.place.root) for each in answer.chosen],
        "registers": {name: hexadecimal(value) for name, value in answer.registers.values.items()},
        "assumed": [each.text for each in answer.registers.assumed],
        "written": answer.written or None,
        **({"guest": answer.guest} if answer.guest else {}),
        "vmcoreinfo": [_linux_record(linux) for linux in answer.linux],
        "total": survey.total_bytes,
        "examined": survey.examined_bytes,
        "unreadable": survey.unreadable_bytes,
        "interrupted": answer.interrupted,
        "too_many_tables": survey.full,
        "candidates": ranking.candidates,
        "unexamined": ranking.unexamined,
    }


def _linux_record(linux: LinuxNotes) -> JsonObject:
    record: JsonObject = {
        "address": hexadecimal(linux.pa),
        "release": linux.release,
        "root": optional_hexadecimal(linux.root),
        "why": linux.why or None,
    }
    if linux.ipa is None or linux.machine is None:
        return record
    return record | {"ipa": hexadecimal(linux.ipa), "virtual_machine": hexadecimal(linux.machine)}


def _root_record(answer: Roots, each: FoundRoot) -> JsonObject:
    place = each.place
    return {
        "root": hexadecimal(place.root),
        "register": place.register,
        "regime": place.regime,
        "granule": place.form.table_bytes,
        "input_bits": place.input_bits,
        "levels": list(answer.levels(each)),
        "first": hexadecimal(place.first),
        "owner": each.owner.label,
        "tables": each.tree.tables,
        "leaves": each.tree.leaves,
        "mapped": each.tree.mapped_bytes,
        "likely": each.likely,
        "score": each.score,
        **({} if each.reduced is None else {"reduced": hexadecimal(each.reduced)}),
        **({} if each.full is None else {"full": hexadecimal(each.full)}),
        "evidence": [
            {"sign": one.sign.label, "count": one.count, "of": one.total, "weight": one.weight} for one in each.evidence
        ],
    }

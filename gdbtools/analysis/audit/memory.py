"""Rules of what is mapped: one memory has one type, memory is memory, and tables are written where they are kept."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations

from gdbtools.analysis.audit.findings import Checked, Finding, RootedRun
from gdbtools.analysis.audit.joined import same_places
from gdbtools.analysis.audit.rules import BEYOND_MEMORY, MISMATCHED_ATTRIBUTES, WRITABLE_TABLE
from gdbtools.analysis.audit.surveyed import AuditedTable, Surveyed, is_in_force
from gdbtools.analysis.physical_segments import Segments, outside, shared
from gdbtools.arch.model import Attributes
from gdbtools.wording import number_of, size


def mismatched_attributes(found: Surveyed) -> Checked:
    """The type that less is mapped with is taken for the odd one."""
    by_type: dict[tuple[str, str], list[RootedRun]] = {}
    for each in found.in_force:
        by_type.setdefault(_type(each.run.attributes), []).append(each)
    findings: list[Finding] = []
    rarest = sorted(by_type, key=lambda each: sum(one.run.size_bytes for one in by_type[each]))
    for one, other in combinations(rarest, 2):
        for first, size_bytes, mine, theirs in same_places(shared(by_type[one], by_type[other])):
            what = "memory types" if one[0] != other[0] else "shareabilities"
            said = f"{size(size_bytes)} of memory at PA {first:#x} are mapped with two {what}: {_differing(one, other)}"
            also = found.evidence.also(theirs, theirs.address_of(first))
            place = mine.address_of(first), size_bytes
            part = 0 if one[0] != other[0] else 1

            def holds(attributes: Attributes, part: int = part, own: tuple[str, str] = one) -> bool:
                return _type(attributes)[part] == own[part]

            findings.append(found.evidence.finding(MISMATCHED_ATTRIBUTES, said, mine, *place, (also,), holds, what))
    leaves = sum(each.run.leaves for runs in by_type.values() for each in runs)
    return Checked(MISMATCHED_ATTRIBUTES, leaves, tuple(findings))


def _type(attributes: Attributes) -> tuple[str, str]:
    return attributes.memory, attributes.shareability


def _differing(one: tuple[str, str], other: tuple[str, str]) -> str:
    return " and ".join(sorted({one[0], other[0]} if one[0] != other[0] else {one[1], other[1]}))


def beyond_memory(found: Surveyed) -> Checked:
    if found.memory is None:
        return Checked(BEYOND_MEMORY, 0, (), unasked="the source does not say where all of the machine's memory is")
    asked = [each for each in (*found.mapped, *found.second) if is_in_force(each.run) and not each.range.is_kept]
    asked = [each for each in asked if not each.run.attributes.device]
    beyond = [*outside(asked, found.memory)]
    sure_bytes = sum(end - first for first, end, each in beyond if not each.run.attributes.physical_type)
    there_bytes = sum(each.end - each.first for each in Segments(asked).parts) - sum(end - at for at, end, _ in beyond)
    if sure_bytes > there_bytes:
        return Checked(BEYOND_MEMORY, 0, (), unasked="most of what is mapped is not in this source: it has only a part")
    findings = [
        found.evidence.finding(
            BEYOND_MEMORY,
            f"{size(end - first)} mapped as {each.run.attributes.memory} lead to PA {first:#x}, where no memory is",
            each,
            each.address_of(first),
            end - first,
        )
        for first, end, each in beyond
        if not each.run.attributes.physical_type
    ]
    open_bytes = sum(end - first for first, end, each in beyond if each.run.attributes.physical_type)
    explained = (f"{size(open_bytes)} beyond memory, whose type the tables leave to the physical memory",)
    leaves = sum(each.run.leaves for each in asked)
    return Checked(BEYOND_MEMORY, leaves, tuple(findings), explained if open_bytes else ())


def writable_table(found: Surveyed) -> Checked:
    """A kernel writes its tables by the linear map, those of its image where they lie, a hypervisor its guests'."""
    first_stage = {pa: each for each in found.tables if not each.range.is_second for pa, _ in each.page.parts}
    tables = sorted(first_stage.items(), key=lambda table: table[0])
    places = [pa for pa, _ in tables]
    explained = Counter[str]()
    findings: list[Finding] = []
    examined = 0
    for each in found.in_force:
        who = [level for level, rights in each.run.attributes.rights.items() if rights.write]
        if not who:
            continue
        examined += each.run.leaves
        first, end = each.reach
        wrong: list[tuple[int, AuditedTable]] = []
        for pa, table in tables[bisect_left(places, first) : bisect_left(places, end)]:
            why = _kept_so(found, each, table)
            if why:
                explained[why] += 1
            else:
                wrong.append((pa, table))
        findings += _tables_written(found, each, wrong)
    words = tuple(f"{number_of(count, 'table')} {why}" for why, count in sorted(explained.items()))
    return Checked(WRITABLE_TABLE, examined, tuple(findings), words)


def _kept_so(found: Surveyed, where: RootedRun, table: AuditedTable) -> str:
    """Return in words why a table may be written there; empty where nothing says so."""
    rights = where.run.attributes.rights
    levels = found.architecture.privileges_of
    mine, theirs = max(levels(where.regime)), max(levels(table.range.regime))
    if mine < theirs or any(level.is_user and rights[level].write for level in rights):
        return ""
    if mine > theirs:
        return "of a guest's own are writable for its hypervisor"
    if where.distance in found.linear_bases:
        return "are writable by the linear map, where kernels write them"
    return "are writable where they lie in the kernel's image" if where.distance in found.kernel_at else ""


def _tables_written(found: Surveyed, where: RootedRun, wrong: Sequence[tuple[int, AuditedTable]]) -> Iterator[Finding]:
    """Yield what is to be said of the tables that one run has writable: one finding, at the first of them."""
    if not wrong:
        return
    pa, table = wrong[0]
    who = " and ".join(level.label for level, rights in sorted(where.run.attributes.rights.items()) if rights.write)
    level = table.page.level.number
    more = f", and {number_of(len(wrong) - 1, 'further table')}" if len(wrong) > 1 else ""
    levels = found.architecture.privileges_of
    mine, theirs = max(levels(where.regime)), max(levels(table.range.regime))
    why = f"of {theirs.label}, which is above it" if mine < theirs else "by neither linear map nor kernel image"
    said = f"{who} may write the level {level} table at PA {pa:#x}{more}, {why}"
    size_bytes = wrong[-1][0] + table.page.parts[0][1] - pa
    place = where.address_of(pa)
    root = f"a root that leads to it: {table.range.regime.root:#x} ({table.range.regime.root_register})"
    yield found.evidence.finding(WRITABLE_TABLE, said, where, place, size_bytes, (root,), _written)


def _written(attributes: Attributes) -> bool:
    return any(rights.write for rights in attributes.rights.values())

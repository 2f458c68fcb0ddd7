"""`find-roots`: which tables in physical memory are roots, with no register to go by, and registers that say so."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gdbtools.analysis.roots.choice import choose
from gdbtools.analysis.roots.evidence import Sign, Standing, merged, outputs, overlap
from gdbtools.analysis.roots.reading import Found
from gdbtools.analysis.roots.search import Ranking, Search
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import Derived, Mapped, Privilege, Read, Regime
from gdbtools.arch.table_heuristics import Owner
from gdbtools.arch.walk import walk
from gdbtools.commands.files import write_whole
from gdbtools.commands.found_roots import Linux, Roots, record, view
from gdbtools.commands.model import Implementation
from gdbtools.commands.session import Session
from gdbtools.errors import Unavailable, Unreadable, UsageError
from gdbtools.machine.dumps import vmcoreinfo
from gdbtools.machine.dumps.extents import data_of, memory_of
from gdbtools.machine.model import Cpu, FixedRegisters, Machine, Overridden
from gdbtools.systems import registers_from_notes

Told = tuple[Linux, "int | None", "Derived | None"]
"""What a kernel wrote of itself, of how many bits the root is that it names, and registers."""


def run(session: Session, options: Namespace) -> Sequence[Roots]:
    machine = session.machine
    architecture, memory = machine.architecture, machine.memory
    # Registers before memory: a live source switches modes between the two.
    cpus = [_standing(machine, cpu) for cpu in machine.cpus]
    # What was assumed says whose registers it is of by its first word; a root that nobody read is no evidence.
    unread = {text.partition("=")[0].partition(":")[0] for text in machine.assumed}
    regimes = [each for each in _regimes(architecture, machine) if _register(each) not in unread]
    held = {root: _register(each) for each in regimes if (root := _root(each, memory.read)) is not None}
    wanted = memory_of(memory, options.range)
    search = Search(architecture, memory.read, wanted, data_of(memory, options.range), cpus)
    interrupted = _look(search)
    level = max(
        (cpu.level for cpu in cpus if cpu.level is not None and not cpu.alone), default=machine.architecture.supervisor
    )
    linux = [_linux(machine, note.pa, note.text, level) for note in search.surveyed.notes]
    ranking = _rank(search, linux, held)
    placed = [(_in_machine(each, ranking.found), bits, derived) for each, bits, derived in linux]
    if placed != linux:
        linux = placed
        ranking = _rank(search, linux, held)
    for root in options.root:
        if not any(each.place.root == root for each in ranking.found):
            raise UsageError(f"{root:#x} is none of the roots that were found; leave --root out to see them")
    chosen = choose(ranking.found, options.root)
    registers = _registers(architecture, chosen, [derived for _, _, derived in linux if derived is not None])
    if options.write is not None and chosen:
        session.make_sure()
        _write(Path(options.write), registers)
    return (
        Roots(
            architecture=architecture,
            survey=search.surveyed,
            ranking=ranking,
            chosen=chosen,
            registers=registers,
            linux=tuple(each for each, _, _ in linux),
            held=held,
            interrupted=interrupted,
            everything=options.all,
            source=_source(options),
            written=options.write if options.write is not None and chosen else "",
        ),
    )


def _rank(search: Search, linux: Sequence[Told], held: Mapping[int, str]) -> Ranking:
    """Rank what was seen, with what kernels name and registers hold."""
    named = {each.root: bits for each, bits, _ in linux if each.root is not None}
    signs = {**dict.fromkeys(named, Sign.NAMED), **dict.fromkeys(held, Sign.HELD)}
    return search.rank(signs, {root: bits for root, bits in named.items() if bits is not None})


def _in_machine(linux: Linux, found: Sequence[Found]) -> Linux:
    """Return it with its root where it is in physical memory: what a kernel names is an address of its machine's."""
    for each in found:
        runs = each.tree.runs if each.owner is Owner.VIRTUAL_MACHINE and each.likely else ()
        if linux.root is None or not overlap((linux.pa, linux.pa + 1), merged(map(outputs, runs))):
            continue
        run = each.tree.at(linux.root)
        if run is None or run.output is None:
            why = f"it names IPA {linux.root:#x}, where its virtual machine, at {each.place.root:#x}, has nothing"
            return replace(linux, root=None, why=why)
        pa = run.output + run.offset_of(linux.root)
        return linux if pa == linux.root else replace(linux, root=pa, ipa=linux.root, machine=each.place.root)
    return linux


def _look(search: Search) -> bool:
    """Look at all of memory, or as much as the user has patience for; says whether that was not all."""
    try:
        for _ in search.look():
            pass
    except KeyboardInterrupt:
        return True
    return False


def _standing(machine: Machine, cpu: Cpu) -> Standing:
    architecture = machine.architecture

    def known(name: str) -> int | None:
        try:
            return cpu.registers.read(name)
        except Unavailable:
            return None

    try:
        level = architecture.privilege(cpu.registers.read)
    except Unavailable:
        level = None
    try:
        levels = architecture.privileges_of(architecture.regimes(cpu.registers.read)[0])
    except Unavailable:
        levels = ()
    alone = len(levels) == 1 and level == levels[0]
    return Standing(cpu.number, level, known(architecture.pc), known(architecture.table_heuristics.stack), alone)


def _regimes(architecture: Architecture, machine: Machine) -> Iterator[Regime]:
    """Give every stage with tables that a CPU of the source is using, or has loaded."""
    for cpu in machine.cpus:
        read = cpu.registers.read
        try:
            found = [*architecture.regimes(read)]
            found += [each for name in architecture.loaded(read) for each in architecture.regimes(read, name)]
        except Unavailable:
            continue
        for regime in found:
            yield from (stage for stage in (regime, regime.below) if stage is not None and stage.levels)


def _root(regime: Regime, read: Read) -> int | None:
    """Return where a root is in physical memory; None where the stage below has nothing there."""
    if regime.below is None:
        return regime.root
    try:
        found = walk(regime.below, regime.root, read)
    except Unreadable:
        return None
    outcome = (found.kept or found).outcome
    return outcome.address if isinstance(outcome, Mapped) else None


def _register(regime: Regime) -> str:
    return regime.name.partition(" through ")[0].rpartition(", ")[2]


def _linux(machine: Machine, pa: int, text: bytes, level: Privilege) -> Told:
    """Give what a kernel's VMCOREINFO says: the root that it names, of how many bits, and registers."""
    info = vmcoreinfo.parse(text)
    release = info.get("OSRELEASE", "of unknown release")
    try:
        derived = registers_from_notes(machine.architecture, info, level)
        registers = Overridden(machine.cpu.registers, FixedRegisters(derived.values, "VMCOREINFO"))
        upper = machine.architecture.regimes(registers.read, derived.regime)[-1]
    except Unavailable as why:
        return Linux(pa, release, None, str(why)), None, None
    bits = (upper.last - upper.first).bit_length()
    return Linux(pa, release, upper.root), bits, derived


def _registers(architecture: Architecture, chosen: Sequence[Found], said: Sequence[Derived]) -> Derived:
    """Give the registers that hold the chosen roots, with what a kernel says besides of one of them."""
    if not chosen:
        return Derived({}, ())
    ours = architecture.table_heuristics.registers([each.place for each in chosen])
    values: dict[str, int] = dict(ours.values)
    assumed = list(ours.assumed)
    for derived in said:
        if any(ours.values.get(name) == value and value for name, value in derived.values.items()):
            more = {name: value for name, value in derived.values.items() if name not in values}
            values |= more
            assumed += [text for text in derived.assumed if text.partition("=")[0].partition(":")[0] in more]
    return Derived(values, tuple(assumed))


def _write(path: Path, registers: Derived) -> None:
    """Write a file for `--registers`: names to hex strings, and in words what was assumed."""
    values: Mapping[str, object] = {name: f"{value:#x}" for name, value in registers.values.items()}
    write_whole(path, (json.dumps({**values, "assumed": list(registers.assumed)}, indent=2) + "\n").encode())


def _source(options: Namespace) -> str:
    given = getattr(options, "source", None) or "SOURCE"
    return given if isinstance(given, str) else " -s ".join(given)


IMPLEMENTATION = Implementation(run=run, view=view, record=record, finding=lambda answer: not answer.ranking.found)

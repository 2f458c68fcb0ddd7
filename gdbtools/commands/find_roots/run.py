"""`find-roots`: which tables in physical memory are roots, with no register to go by, and registers that say so."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gdbtools.addresses import IPA, PA
from gdbtools.analysis.isolation import isolation
from gdbtools.analysis.roots.choice import choose
from gdbtools.analysis.roots.evidence import Sign, Standing, merged, outputs, overlap
from gdbtools.analysis.roots.holders import Holder, holder, register_of
from gdbtools.analysis.roots.reading import FoundRoot
from gdbtools.analysis.roots.search import Ranking, Search
from gdbtools.arch.isolation import Isolation
from gdbtools.arch.model import Derived, Privilege, Read, Regime
from gdbtools.arch.table_heuristics import Owner
from gdbtools.commands.find_roots.view import LinuxNotes, Roots
from gdbtools.commands.find_roots.written_registers import as_held, registers, write
from gdbtools.commands.session import Session
from gdbtools.commands.spaces import in_use
from gdbtools.errors import Unavailable, UsageError
from gdbtools.machine.dumps.extents import data_of, memory_of
from gdbtools.machine.layers import FixedRegisters, Overridden
from gdbtools.machine.model import Cpu, Machine
from gdbtools.systems import registers_from_notes, vmcoreinfo
from gdbtools.systems.contradicted import contradicted

Told = tuple[LinuxNotes, "int | None", "Derived | None"]
"""What a kernel wrote of itself, of how many bits the root is that it names, and registers."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be asked of `find-roots`, as `declared` has it."""

    range: tuple[PA, int] | None = None
    write: str | None = None
    root: Sequence[PA] = ()
    all: bool = False
    guest: str | None = None


def run(session: Session, options: Options) -> Sequence[Roots]:
    machine = session.machine
    if options.guest is not None:
        from gdbtools.commands.guests.asked import guest_alone  # only such a question needs it

        if options.write is not None:
            raise UsageError("--write is for registers of the machine, and --guest finds a guest's; leave one out")
        machine = guest_alone(machine, options.guest)
    architecture, memory = machine.architecture, machine.memory
    # Registers before memory: a live source switches modes between the two.
    cpus = [_standing(machine, cpu) for cpu in machine.cpus]
    # A root that nobody read is no evidence.
    unread = {each.about for each in machine.assumed}
    regimes = [each for _, each in in_use(machine) if each.levels and register_of(each) not in unread]
    reduced = _reduced(machine, unread)
    holders = _holders(regimes, reduced, memory.read)
    wanted = memory_of(memory, options.range)
    search = Search(architecture, memory.read, wanted, data_of(memory, options.range), cpus)
    interrupted = _look(search)
    level = max(
        (cpu.level for cpu in cpus if cpu.level is not None and not cpu.alone), default=machine.architecture.supervisor
    )
    linux = [_linux(machine, note.pa, note.text, level) for note in search.surveyed.notes]
    ranking = _rank(search, linux, holders)
    placed = [_checked(machine, (_in_machine(each, ranking.found), bits, told)) for each, bits, told in linux]
    if placed != linux:
        linux = placed
        ranking = _rank(search, linux, holders)
    for root in options.root:
        if not any(each.place.root == root for each in ranking.found):
            raise UsageError(f"{root:#x} is none of the roots that were found; leave --root out to see them")
    chosen = choose(ranking.found, options.root)
    derived = registers(architecture, chosen, [each for _, _, each in linux if each is not None])
    settled = as_held(machine, chosen, derived, {each.register for each in holders}, unread)
    if options.write is not None and chosen:
        session.make_sure()
        write(Path(options.write), settled)
    return (
        Roots(
            architecture=architecture,
            survey=search.surveyed,
            ranking=ranking,
            chosen=chosen,
            registers=settled,
            linux=tuple(each for each, _, _ in linux),
            reduced=reduced,
            interrupted=interrupted,
            everything=options.all,
            source=session.called,
            guest=options.guest or "",
            written=options.write if options.write is not None and chosen else "",
        ),
    )


def _rank(search: Search, linux: Sequence[Told], holders: Sequence[Holder]) -> Ranking:
    """Rank what was seen, with what kernels name and registers hold."""
    named = {each.root: bits for each, bits, _ in linux if each.root is not None}
    sizes = {root: bits for root, bits in named.items() if bits is not None}
    return search.rank(dict.fromkeys(named, Sign.NAMED), sizes, holders)


def _reduced(machine: Machine, unread: Collection[str]) -> Isolation | None:
    """Return what is known of the full space, where the one in force is a reduced one that somebody has read."""
    found = isolation(machine.architecture, machine.register, machine.memory.read)
    return None if found is None or register_of(found.reduced) in unread else found


def _holders(regimes: Iterable[Regime], reduced: Isolation | None, read: Read) -> tuple[Holder, ...]:
    found = [holder(each, read) for each in regimes]
    if reduced is not None and reduced.full is not None:
        found.append(holder(reduced.full, read, proven=True))
    return tuple(dict.fromkeys(each for each in found if each is not None))


def _in_machine(linux: LinuxNotes, found: Sequence[FoundRoot]) -> LinuxNotes:
    """Return it with its root where it is in physical memory: what a kernel names is an address of its machine's."""
    for each in found:
        runs = each.tree.runs if each.owner is Owner.VIRTUAL_MACHINE and each.likely else ()
        if linux.root is None or not overlap((linux.pa, linux.pa + 1), merged(map(outputs, runs))):
            continue
        named = IPA(linux.root)
        run = each.tree.at(named)
        if run is None or run.output is None:
            why = f"it names IPA {linux.root:#x}, where its virtual machine, at {each.place.root:#x}, has nothing"
            return replace(linux, root=None, why=why)
        pa = PA(run.output + run.offset_of(named))
        return linux if pa == linux.root else replace(linux, root=pa, ipa=named, machine=each.place.root)
    return linux


def _checked(machine: Machine, told: Told) -> Told:
    """Return what a kernel wrote without its root where the tables there lead elsewhere than it says itself."""
    linux, _, derived = told
    if linux.root is None or linux.ipa is not None or derived is None:
        return told
    wrong = contradicted(machine.architecture, derived, machine.cpu.registers.read, machine.memory.read)
    return (replace(linux, root=None, why=f"is not believed: {wrong}"), None, None) if wrong else told


def _look(search: Search) -> bool:
    """Look at all of memory, or as much as the user has patience for; says whether that was not all."""
    try:
        search.look_through()
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


def _linux(machine: Machine, pa: PA, text: bytes, level: Privilege) -> Told:
    """Return what a kernel's VMCOREINFO says: the root that it names, of how many bits, and registers."""
    info = vmcoreinfo.parse(text)
    release = info.get("OSRELEASE", "of unknown release")
    try:
        derived = registers_from_notes(machine.architecture, info, level)
        registers = Overridden(machine.cpu.registers, FixedRegisters(derived.values, "VMCOREINFO"))
        upper = machine.architecture.regimes(registers.read, derived.regime)[-1]
    except Unavailable as why:
        return LinuxNotes(pa, release, None, str(why)), None, None
    bits = upper.levels[0].high + 1 if upper.levels else None
    return LinuxNotes(pa, release, upper.root), bits, derived


def finding(answer: Roots) -> bool:
    """Return whether an answer is a finding: exit status 1."""
    return not answer.ranking.found

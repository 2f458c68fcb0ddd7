"""How suspicions are shown and recorded: each cause with what speaks for it, and the test that tells it from others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

from gdbtools.analysis.faults.spurious_model import Pending, SeenChange, SpuriousCause, Suspicion, Weight
from gdbtools.analysis.faults.writer import Writer
from gdbtools.arch.instruction_effects import Effect, EffectWords
from gdbtools.render.document import OR, Text
from gdbtools.render.json import JsonObject, hexadecimal, optional_hexadecimal
from gdbtools.wording import name_of

_BRIEFLY = {
    SpuriousCause.OTHER_EXCEPTION: "an older exception",
    SpuriousCause.CACHED_INVALID: "the invalid entry that a TLB kept",
    SpuriousCause.STALE_LEAF: "a stale TLB entry",
    SpuriousCause.STALE_TABLE: "a stale table in the {table_cache}",
    SpuriousCause.RIGHT_RAISED: "a TLB entry from before a right was raised",
}
_AT_LENGTH = {
    SpuriousCause.OTHER_EXCEPTION: "this is an older exception, settled since",
    SpuriousCause.REPAIRED: "the tables were repaired after the fault",
    SpuriousCause.CACHED_INVALID: "a TLB cached the entry while it was invalid",
    SpuriousCause.STALE_LEAF: "a TLB kept an older leaf",
    SpuriousCause.FENCED_ELSEWHERE: "another CPU wrote it, and its {invalidate} was for its own TLB alone",
    SpuriousCause.STALE_TABLE: "a {table_cache} kept an older table on the way",
    SpuriousCause.UNHOOKED: "a table was out of the tree for a moment, and is hooked in again",
    SpuriousCause.RIGHT_RAISED: "a TLB kept the entry from before a right was raised, and no {invalidate} is owed",
    SpuriousCause.MISSING_BARRIER: "the table was written without {barriers}",
}
_TESTS = {
    SpuriousCause.OTHER_EXCEPTION: "Catch the next one with `mmu catch`",
    SpuriousCause.REPAIRED: "Go on, and it faults no more",
    SpuriousCause.CACHED_INVALID: "Go on, and it faults again, until {cure}",
    SpuriousCause.STALE_LEAF: "Go on, and it faults again, until {cure}",
    SpuriousCause.FENCED_ELSEWHERE: "Go on, and it faults again on this CPU, on the writer's never",
    SpuriousCause.STALE_TABLE: "Go on, and it faults again, until {cure}",
    SpuriousCause.MISSING_BARRIER: "Go on, and it faults no more; look at the writer",
    SpuriousCause.UNHOOKED: "Go on, and it faults no more",
    SpuriousCause.RIGHT_RAISED: "Go on, and it faults no more",
}
"""What tells each cause from the others."""
_ONCE = "Go on, and it faults no more"
"""The same of what a fault has a TLB forget by itself."""
_KEPT = (
    SpuriousCause.RIGHT_RAISED,
    SpuriousCause.STALE_LEAF,
    SpuriousCause.STALE_TABLE,
    SpuriousCause.FENCED_ELSEWHERE,
)
"""What a TLB kept: of these the first says why a fault has it forgotten."""


def briefly(suspected: Sequence[Suspicion], words: EffectWords) -> str:
    """Return the name of the first cause for the sentence, with how likely it is.

    What a TLB kept of an entry that nobody saw before, invalid or with fewer rights, nothing tells apart.
    """
    first, *others = suspected
    brief = _BRIEFLY.get(first.cause)
    said = brief.format(table_cache=words.table_cache) if brief else _SPECIALLY[first.cause](first, words)
    same = [each.cause for each in others if each.weight is first.weight]
    if first.cause is SpuriousCause.CACHED_INVALID and SpuriousCause.STALE_LEAF in same:
        said += ", or an older one"
    return f"{'probably' if first.weight >= Weight.LIKELY else 'perhaps'} {said}"


def _repaired_by(suspicion: Suspicion, words: EffectWords) -> str:  # noqa: ARG001 (as the others)
    cpus, change = _cpus(suspicion.witnesses), suspicion.change
    if change and change.by:
        return f"repaired {f'for {cpus} ' if cpus else ''}by `mmu {change.by}`"
    return f"repaired by {cpus or _cpus(suspicion.near) or _wrote(suspicion) or 'another CPU'}"


def _wrote(suspicion: Suspicion) -> str:
    """Return the CPU that wrote the descriptor, as it was seen to or as its code shows; empty where neither does."""
    write = suspicion.change.write if suspicion.change is not None else None
    number = write.cpu if write is not None else suspicion.remote.number if suspicion.remote is not None else None
    return "" if number is None else _cpus((number,))


def _unhooked(suspicion: Suspicion, words: EffectWords) -> str:  # noqa: ARG001 (as the others)
    who = _wrote(suspicion)
    return f"a window in which {f'{who} had a table' if who else 'a table was'} unhooked"


def _missing(suspicion: Suspicion, words: EffectWords) -> str:
    writer = suspicion.writer
    if writer is None or writer.synchronized:
        return f"a missing {words.either}"
    return f"a missing {words.synchronize if writer.waited else words.wait}"


def _elsewhere(suspicion: Suspicion, words: EffectWords) -> str:
    writer = _wrote(suspicion) or "another CPU"
    return f"{_article(words.invalidate)} for {writer} alone"


def _article(name: str) -> str:
    """Return a name with its article, as it is spoken: the first letter by itself where a consonant follows."""
    spelled = name[0] in "fhlmnrsx" and name[1] not in "aeiou"
    return f"{'an' if name[0] in 'aeiou' or spelled else 'a'} {name}"


_SPECIALLY = {
    SpuriousCause.REPAIRED: _repaired_by,
    SpuriousCause.MISSING_BARRIER: _missing,
    SpuriousCause.FENCED_ELSEWHERE: _elsewhere,
    SpuriousCause.UNHOOKED: _unhooked,
}


def suspicion_rows(
    suspected: Sequence[Suspicion], address: int, words: EffectWords, forgets: str = ""
) -> list[tuple[str, Text]]:
    """Return a row for each: the first is what to think of first, `unlikely` what something speaks against.

    `address` is that of the translation in question, of the stage that refused; `forgets` is how a fault has a TLB
    forget it, empty where it does not (`Exceptions.fault_forgets`).
    """
    rows: list[tuple[str, Text]] = []
    before = ""
    kept = next((each for each in suspected if each.cause in _KEPT and each.weight is not Weight.UNLIKELY), None)
    for number, each in enumerate(suspected):
        wrote = _writer_text(each.cause, each.writer, words) if each.writer else ""
        said = _sentences(each, address, words, bool(wrote) and wrote == before, bool(forgets))
        why = f": {forgets}" if forgets and each is kept else ""
        rows.append((_label(number, each), said + why))
        before = wrote
    return rows


def _label(number: int, suspicion: Suspicion) -> str:
    if suspicion.weight is Weight.UNLIKELY:
        return "unlikely"
    return OR if number else "probably" if suspicion.weight >= Weight.LIKELY else "perhaps"


def _sentences(suspicion: Suspicion, address: int, words: EffectWords, as_above: bool, forgets: bool) -> str:
    """Return a cause, what speaks for or against it, and the test; what is unlikely need not be tested.

    `as_above` says that the row before has what the code wrote.
    """
    because = "; ".join(_because(replace(suspicion, writer=None) if as_above else suspicion, words))
    because = f"as above; {because}" if as_above and because else "as above" if as_above else because
    named = {**asdict(words), "barriers": words.barriers}
    said = f"{_AT_LENGTH[suspicion.cause].format(**named)}{because and f': {because}'}"
    if suspicion.cause is SpuriousCause.CACHED_INVALID and suspicion.writer is None:
        said += f", and no {words.invalidate} of it followed on this CPU" if not because else ""
    if suspicion.weight is Weight.UNLIKELY:
        return said
    test = _ONCE if forgets and suspicion.cause in _KEPT else _TESTS[suspicion.cause]
    return f"{said}. {test.format(cure=_cure(suspicion, address, words))}"


def _cure(suspicion: Suspicion, address: int, words: EffectWords) -> str:
    """Return what has a TLB forget what it kept: where an address is of leaves alone, all for a table."""
    if words.by_hand:
        return words.by_hand.format(f"{address:#x}")
    writer = suspicion.writer
    of_table = suspicion.cause is SpuriousCause.STALE_TABLE or (writer is not None and not writer.step.is_leaf)
    command = "mmu tlbi" if words.of_leaves and of_table else f"mmu tlbi {address:#x}"
    return f"`{command} --regime {words.regime}`" if words.regime else f"`{command}`"


def _because(suspicion: Suspicion, words: EffectWords) -> list[str]:
    """Return what speaks for a cause, or against it."""
    found = []
    if suspicion.witnesses:
        found.append(f"{_cpus(suspicion.witnesses)} had the same fault in the same page")
    if suspicion.near:
        found.append(f"the last fault of {_cpus(suspicion.near)} was in the same page")
    if suspicion.change:
        found.append(change_text(suspicion.change))
    if suspicion.alone:
        found.append("there is only one CPU")
    if suspicion.writer:
        found.append(_writer_text(suspicion.cause, suspicion.writer, words))
    if suspicion.remote:
        wrote = _writer_text(suspicion.cause, suspicion.remote.writer, words)
        found.append(f"on {_cpus((suspicion.remote.number,))} {wrote}")
    if suspicion.pending is not None:
        found.append(_pending_text(suspicion.pending))
    if suspicion.levels:
        fault, now = suspicion.levels
        found.append(f"the fault is of level {fault}, and level {now} maps it now")
    return found


def _cpus(numbers: Sequence[int]) -> str:
    said = ", ".join(str(number) for number in numbers)
    return f"CPU{'s' if len(numbers) > 1 else ''} {said}" if numbers else ""


def _pending_text(pending: Pending) -> str:
    """Return what a CPU has been told and not heard yet: that it is to invalidate may be among it."""
    cpu, vectors = _cpus((pending.cpu,)), ", ".join(f"{vector:#x}" for vector in pending.vectors)
    if not vectors:
        return f"nothing that others sent is pending for {cpu}: it has not been told, or has heard it"
    which = f"interrupts {vectors} are" if len(pending.vectors) > 1 else f"interrupt {vectors} is"
    return f"{cpu} has not acknowledged: {which} pending"


def change_text(change: SeenChange) -> str:
    """Return what a descriptor was that explained the fault, and when, or before which command of ours."""
    seen = change.seen
    when = "earlier at this stop" if change.here else f"when CPU {seen.cpu} stopped"
    said = f"the level {seen.level} descriptor at PA {seen.pa:#x} was {seen.value:#018x}"
    if change.write is not None:
        return (
            f"{said}, which refuses just this, until CPU {change.write.cpu} wrote it just before {change.write.pc:#x}"
        )
    return f"{said} {f'before `mmu {change.by}`' if change.by else when}, which refuses just this"


def _writer_text(cause: SpuriousCause, writer: Writer, words: EffectWords) -> str:
    place, level = writer.store.address, writer.step.level.number
    store = f"the {writer.store.text} at {place:#x} wrote the level {level} descriptor"
    if cause in (SpuriousCause.REPAIRED, SpuriousCause.UNHOOKED):
        return f"{store}{' out and in again' if writer.twice else ''}"
    apart = words.wait != words.invalidate or not writer.invalidations
    if cause is SpuriousCause.MISSING_BARRIER and (apart or writer.synchronized):
        lacks = words.synchronize if writer.waited else words.wait
        came = words.barriers if writer.synchronized else f"no {lacks}"
        return f"{store}, and {came} came after it"
    if not writer.invalidations:
        return f"{store}, and no {words.invalidate} came after it"
    reached = next((each for each in writer.invalidations if writer.reached_by(each)), None)
    last = reached or writer.invalidations[0]
    return f"{store}, and then {last.text} at {last.address:#x} {_scope_text(writer, last)}"


def _scope_text(writer: Writer, invalidation: Effect) -> str:
    """Return what an invalidation did for the descriptor that was written, or what it was about instead."""
    if writer.reached_by(invalidation):
        return "covered it"
    if invalidation.instead:
        return invalidation.instead
    named = "something else" if invalidation.target is None else f"{invalidation.target:#x}"
    if invalidation.reaches and invalidation.leaves_only:
        return f"named {named}: with an address it is about leaves alone"
    return f"named {named}"


def suspicion_record(suspicion: Suspicion) -> JsonObject:
    change, writer, remote = suspicion.change, suspicion.writer, suspicion.remote
    found: JsonObject = {
        "cause": name_of(suspicion.cause),
        "weight": name_of(suspicion.weight),
        "cpus": list(suspicion.witnesses),
        "changed": None if change is None else change_record(change),
        "written": None if writer is None else _writer_record(writer),
        "levels": None if suspicion.levels is None else list(suspicion.levels),
    }
    found |= {"near": list(suspicion.near)} if suspicion.near else {}
    found |= {} if suspicion.pending is None else {"pending": [hexadecimal(each) for each in suspicion.pending.vectors]}
    if remote is not None:
        found["remote"] = {"cpu": remote.number, "written": _writer_record(remote.writer)}
    return found


def change_record(change: SeenChange) -> JsonObject:
    seen, write = change.seen, change.write
    found: JsonObject = {
        "descriptor_address": hexadecimal(seen.pa),
        "level": seen.level,
        "was": hexadecimal(seen.value),
        "seen_by_cpu": seen.cpu,
        "at_this_stop": change.here,
        "by": change.by or None,
    }
    return found if write is None else {**found, "written_by": {"cpu": write.cpu, "pc": hexadecimal(write.pc)}}


def _writer_record(writer: Writer) -> JsonObject:
    return {
        "store": hexadecimal(writer.store.address),
        "descriptor_address": hexadecimal(writer.step.pa),
        "waited": writer.waited,
        "synchronized": writer.synchronized,
        "invalidations": [
            {
                "address": hexadecimal(each.address),
                "instruction": each.text,
                "names": optional_hexadecimal(each.target),
                "reaches": each.reaches,
                **({"instead": each.instead} if each.instead else {}),
            }
            for each in writer.invalidations
        ],
    }

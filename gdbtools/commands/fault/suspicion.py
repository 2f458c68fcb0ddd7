"""How suspicions are shown and recorded: each cause with what speaks for it, and the test that tells it from others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from gdbtools.analysis.faults.spurious_causes import SeenChange, SpuriousCause, Suspicion, Weight
from gdbtools.analysis.faults.writer import Writer
from gdbtools.arch.instruction_effects import EffectWords
from gdbtools.render.document import Text
from gdbtools.render.json import JsonObject, hexadecimal, optional_hexadecimal
from gdbtools.wording import name_of

_BRIEFLY = {
    SpuriousCause.OTHER_EXCEPTION: "an older exception",
    SpuriousCause.CACHED_INVALID: "the invalid entry that a TLB kept",
    SpuriousCause.STALE_LEAF: "a stale TLB entry",
    SpuriousCause.STALE_TABLE: "a stale table in the TLB",
}
_AT_LENGTH = {
    SpuriousCause.OTHER_EXCEPTION: "this is an older exception, settled since",
    SpuriousCause.REPAIRED: "the tables were repaired after the fault",
    SpuriousCause.CACHED_INVALID: "the entry was invalid when a TLB cached it, and no {invalidate} followed here",
    SpuriousCause.STALE_LEAF: "a TLB kept an older leaf",
    SpuriousCause.FENCED_ELSEWHERE: "another CPU wrote it, and its {invalidate} was for its own TLB alone",
    SpuriousCause.STALE_TABLE: "a TLB kept an older table on the way",
    SpuriousCause.MISSING_BARRIER: "the table was written without {barriers}",
}
_TESTS = {
    SpuriousCause.OTHER_EXCEPTION: "Catch the next one with `mmu catch`",
    SpuriousCause.REPAIRED: "Go on, and it faults no more",
    SpuriousCause.CACHED_INVALID: "Go on, and it faults again, until `mmu tlbi {address:#x}`",
    SpuriousCause.STALE_LEAF: "Go on, and it faults again, until `mmu tlbi {address:#x}`",
    SpuriousCause.FENCED_ELSEWHERE: "Go on, and it faults again on this CPU, on the writer's never",
    SpuriousCause.STALE_TABLE: "Go on, and it faults again, until `mmu tlbi {address:#x}`",
    SpuriousCause.MISSING_BARRIER: "Go on, and it faults no more; look at the writer",
}
"""What tells each cause from the others."""


def briefly(suspicion: Suspicion, words: EffectWords) -> str:
    """Return the name of a cause for the sentence, with how likely it is."""
    said = _BRIEFLY.get(suspicion.cause) or _SPECIALLY[suspicion.cause](suspicion, words)
    return f"{'probably' if suspicion.weight >= Weight.LIKELY else 'perhaps'} {said}"


def _repaired_by(suspicion: Suspicion, words: EffectWords) -> str:  # noqa: ARG001 (as the others)
    cpus, change = _cpus(suspicion.witnesses), suspicion.change
    if change and change.by:
        return f"repaired {f'for {cpus} ' if cpus else ''}by `mmu {change.by}`"
    return f"repaired by {cpus or 'another CPU'}"


def _missing(suspicion: Suspicion, words: EffectWords) -> str:
    writer = suspicion.writer
    if writer is None or writer.synchronized:
        return f"a missing {words.either}"
    return f"a missing {words.synchronize if writer.waited else words.wait}"


def _elsewhere(suspicion: Suspicion, words: EffectWords) -> str:
    writer = "another CPU" if suspicion.remote is None else _cpus((suspicion.remote.number,))
    return f"{_article(words.invalidate)} for {writer} alone"


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


_SPECIALLY = {
    SpuriousCause.REPAIRED: _repaired_by,
    SpuriousCause.MISSING_BARRIER: _missing,
    SpuriousCause.FENCED_ELSEWHERE: _elsewhere,
}


def suspicion_rows(suspected: Sequence[Suspicion], address: int, words: EffectWords) -> list[tuple[str, Text]]:
    """Return a row for each: the first is what to think of first, `unlikely` what something speaks against."""
    return [(_label(number, each), _sentences(each, address, words)) for number, each in enumerate(suspected)]


def _label(number: int, suspicion: Suspicion) -> str:
    if suspicion.weight is Weight.UNLIKELY:
        return "unlikely"
    return "or" if number else "probably" if suspicion.weight >= Weight.LIKELY else "perhaps"


def _sentences(suspicion: Suspicion, address: int, words: EffectWords) -> str:
    """Return a cause, what speaks for or against it, and the test; what is unlikely need not be tested."""
    because = "; ".join(_because(suspicion, words))
    named = {**asdict(words), "barriers": words.barriers}
    said = f"{_AT_LENGTH[suspicion.cause].format(**named)}{because and f': {because}'}"
    if suspicion.weight is Weight.UNLIKELY:
        return said
    return f"{said}. {_TESTS[suspicion.cause].format(address=address)}"


def _because(suspicion: Suspicion, words: EffectWords) -> list[str]:
    """Return what speaks for a cause, or against it."""
    found = []
    if suspicion.witnesses:
        found.append(f"{_cpus(suspicion.witnesses)} had the same fault in the same page")
    if suspicion.change:
        found.append(change_text(suspicion.change))
    if suspicion.alone:
        found.append("there is only one CPU")
    if suspicion.writer:
        found.append(_writer_text(suspicion.cause, suspicion.writer, words))
    if suspicion.remote:
        wrote = _writer_text(suspicion.cause, suspicion.remote.writer, words)
        found.append(f"on {_cpus((suspicion.remote.number,))} {wrote}")
    if suspicion.levels:
        fault, now = suspicion.levels
        found.append(f"the fault is of level {fault}, and level {now} maps it now")
    return found


def _cpus(numbers: Sequence[int]) -> str:
    said = ", ".join(str(number) for number in numbers)
    return f"CPU{'s' if len(numbers) > 1 else ''} {said}" if numbers else ""


def change_text(change: SeenChange) -> str:
    """Return what a descriptor was that explained the fault, and when, or before which command of ours."""
    seen = change.seen
    when = "earlier at this stop" if change.here else f"when CPU {seen.cpu} stopped"
    said = f"the level {seen.level} descriptor at PA {seen.pa:#x} was {seen.value:#018x}"
    return f"{said} {f'before `mmu {change.by}`' if change.by else when}, which refuses just this"


def _writer_text(cause: SpuriousCause, writer: Writer, words: EffectWords) -> str:
    place, level = writer.store.address, writer.step.level.number
    store = f"the {writer.store.text} at {place:#x} wrote the level {level} descriptor"
    if cause is SpuriousCause.MISSING_BARRIER:
        lacks = words.synchronize if writer.waited else words.wait
        came = words.barriers if writer.synchronized else f"no {lacks}"
        return f"{store}, and {came} came after it"
    if not writer.invalidations:
        return f"{store}, and no {words.invalidate} came after it"
    reached = next((each for each in writer.invalidations if each.reaches), None)
    if reached is not None:
        return f"{store}, and then {reached.text} at {reached.address:#x} covered it"
    last = writer.invalidations[0]
    named = "something else" if last.target is None else f"{last.target:#x}"
    return f"{store}, and then {last.text} at {last.address:#x} named {named}"


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
    if remote is not None:
        found["remote"] = {"cpu": remote.number, "written": _writer_record(remote.writer)}
    return found


def change_record(change: SeenChange) -> JsonObject:
    seen = change.seen
    return {
        "descriptor_address": hexadecimal(seen.pa),
        "level": seen.level,
        "was": hexadecimal(seen.value),
        "seen_by_cpu": seen.cpu,
        "at_this_stop": change.here,
        "by": change.by or None,
    }


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
            }
            for each in writer.invalidations
        ],
    }

"""What a fault of the second stage comes of, in words: what the guest has at the address, and who says so."""

from __future__ import annotations

from dataclasses import dataclass

from gdbtools.addresses import PA
from gdbtools.analysis.devices.second_stage_cause import (
    KeptTrees,
    SecondStageCause,
    SecondStageRefusal,
    of_diagnosis,
)
from gdbtools.analysis.devices.tree_owner import TreeOwner
from gdbtools.analysis.faults.diagnosis import Diagnosis
from gdbtools.commands.guests.memory import machine_memory
from gdbtools.errors import Unavailable, Unreadable
from gdbtools.machine.model import Machine
from gdbtools.render.document import Text, labelled
from gdbtools.render.json import JsonObject, hexadecimal
from gdbtools.wording import number_of, size


@dataclass(frozen=True)
class SecondStageAnswer:
    """Why the second stage refused; `machine_has` is what answers at the physical address of the same number.

    It is empty for nothing, None where nobody can be asked, or nobody needs to be.
    """

    refusal: SecondStageRefusal
    machine_has: str | None = None


def second_stage(machine: Machine, diagnosis: Diagnosis, kept: KeptTrees) -> SecondStageAnswer | None:
    """Return what a fault of the second stage comes of, where its tables agree; None for others."""
    try:
        found = of_diagnosis(diagnosis, machine_memory(machine), kept)
    except (Unavailable, Unreadable):
        return None
    if found is None:
        return None
    unsaid = found.cause in (SecondStageCause.NOT_KNOWN, SecondStageCause.NOTHING)
    has = machine.live.backing(PA(found.ipa)) if unsaid and machine.live is not None else None
    return SecondStageAnswer(found, has)


def at_address(found: SecondStageAnswer | None, label: str) -> str:
    """Return what the guest has at the address, to be put behind why its entry refuses; empty where nobody says."""
    if found is None or found.refusal.tree is None:
        return ""
    refusal, whose = found.refusal, found.refusal.tree.whose
    at, is_guests = f"{label} {refusal.ipa:#x}", whose.owner is TreeOwner.GUEST
    tree = "the guest's device tree" if is_guests else "a device tree that is not shown to be the guest's"
    if refusal.cause is SecondStageCause.DEVICE and refusal.region is not None:
        device = f"the guest's device {refusal.region.name}" if is_guests else f"{refusal.region.name} by {tree}"
        return f", and {at} is {device}: left to be emulated"
    if refusal.cause is SecondStageCause.NEVER_POPULATED:
        return f", and {at} is memory by {tree}: never populated, or taken away"
    return f", and {tree} has nothing at {at}"


def second_stage_rows(found: SecondStageAnswer | None, label: str, has_transfer: bool) -> list[tuple[str, Text]]:
    """Return who says what is at the address, and what else is known of it."""
    if found is None:
        return []
    refusal, rows = found.refusal, list[tuple[str, Text]]()
    if refusal.cause is SecondStageCause.DEVICE and not has_transfer:
        rows.append(("emulation", "the syndrome tells neither register nor size: the instruction has to be decoded"))
    if refusal.tree is not None:
        tree = refusal.tree
        devices, memory = len(tree.map.devices), sum(each.size_bytes for each in tree.map.memory)
        said = f"{number_of(devices, 'device region')} and {size(memory)} of memory"
        place = f"at {label} {tree.ipa:#x}, PA {tree.pa:#x}: {said}"
        rows += labelled("device tree", (place, tree.whose.why))
    elif refusal.why_unknown:
        rows.append(("device tree", refusal.why_unknown))
    if found.machine_has is not None:
        rows.append(("machine", _machine_text(found, label)))
    return rows


def _machine_text(found: SecondStageAnswer, label: str) -> str:
    """Return what QEMU has at the physical address of that number, and whether the guest's numbers are such."""
    refusal = found.refusal
    has = f"QEMU has {found.machine_has or 'nothing'} at PA {refusal.ipa:#x}"
    if not refusal.identity_bytes:
        return f"{has}, which is another address: nothing that is mapped for this guest has its {label} as PA"
    share = f"{size(refusal.identity_bytes)} of the {size(refusal.mapped_bytes)} mapped for this guest"
    return f"{has}, and so it is meant where {label} and PA are the same, as they are in {share}"


def second_stage_record(found: SecondStageAnswer) -> JsonObject:
    refusal = found.refusal
    region, tree = refusal.region, refusal.tree
    record: JsonObject = {"cause": refusal.cause.label, "ipa": hexadecimal(refusal.ipa)}
    if region is not None:
        record["region"] = {
            "path": region.path,
            "compatible": list(region.compatible),
            "first": hexadecimal(region.first),
            "last": hexadecimal(region.last),
        }
    if tree is not None:
        record["device_tree"] = {
            "ipa": hexadecimal(tree.ipa),
            "pa": hexadecimal(tree.pa),
            "whose": tree.whose.owner.label,
            "why": tree.whose.why,
        }
    record |= {"why_unknown": refusal.why_unknown} if refusal.why_unknown else {}
    record |= {} if found.machine_has is None else {"machine_has": found.machine_has}
    return record

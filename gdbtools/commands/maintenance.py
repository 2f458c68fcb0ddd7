"""How a change of live descriptors is to be made, and how borrowed TLB maintenance is shown: shared by what repairs."""

from __future__ import annotations

from typing import Final

from gdbtools.arch.gadgets import Extent, Need, Scope
from gdbtools.arch.hardware_flags import ControlChange
from gdbtools.errors import Refused, UsageError
from gdbtools.render.document import Role, Span, Text
from gdbtools.render.json import JsonObject, hexadecimal
from gdbtools.repair.find_gadget import Loan
from gdbtools.repair.log import CpuControl, Repair, Way
from gdbtools.repair.tlb import Invalidation
from gdbtools.wording import name_of

OUTSIDE = "mmu tlbi --outside"
"""What has TLBs forget where the CPU that is stopped may not, or not those of the others."""
UNDO: Final[tuple[str, Text]] = ("undo", "`mmu undo` puts it back")
"""How what was written is taken back."""


def _an(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def need_text(need: Need, invalidation: str) -> str:
    """Return what a change needs in a few words; `invalidation` is the architecture's name for one."""
    return {
        Need.NOTHING: "safe in place",
        Need.INVALIDATION: f"safe in place, and seen after {_an(invalidation)}",
        Need.BREAK: "needs break-before-make",
    }[need]


def way_of(wants_break: bool, live: bool, tlbi: bool) -> Way:
    """Return the way that `--break`, `--live` and `--tlbi` ask for."""
    if wants_break and live:
        raise UsageError("--break and --live exclude each other")
    if wants_break:
        return Way.BREAK
    return Way.INVALIDATE if tlbi else Way.WRITE


def check_way(need: Need, way: Way, live: bool, why: str) -> None:
    """Refuse to write in place what needs break-before-make, unless `--live` says so."""
    if need is Need.BREAK and way is not Way.BREAK and not live:
        raise Refused(f"a live entry may not change {why} in place; say --break, or --live to write it all the same")


def loan_text(loan: Loan) -> str:
    return f"{loan.use.text} at {loan.address:#x}"


def _scope_text(scope: Scope, identifier: str) -> str:
    if scope.extent is Extent.ALL:
        return "everything of this regime"
    return f"{identifier} {scope.value}" if scope.extent is Extent.ADDRESS_SPACE else f"{scope.value:#x}"


def scopes_text(planned: Invalidation) -> str:
    scopes = planned.scopes
    shown = ", ".join(_scope_text(scope, planned.identifier) for scope in scopes[:4])
    return shown + (f" and {len(scopes) - 4} more" if len(scopes) > 4 else "")


def borrowed_rows(planned: Invalidation, done: bool) -> list[tuple[str, Text]]:
    """Show which of the guest's instructions are stepped, and what that does not do."""
    shown = [loan_text(loan) for loan in planned.loans]
    if len(planned.invalidations) > 1:
        shown = [loan_text(loan) for loan in (*planned.before, planned.invalidations[0], *planned.after)]
        shown.insert(len(planned.before) + 1, f"and for {len(planned.invalidations) - 1} more addresses")
    rows: list[tuple[str, Text]] = [("borrowed" if done else "would borrow", ", ".join(shown))]
    if planned.wider:
        wide = Span("the guest has none for this alone: all of the regime is invalidated", Role.WARNING)
        rows.append(("note", wide))
    if planned.lacking:
        said = f"the guest has no {' and no '.join(planned.lacking)}: done without"
        unsure = "" if planned.complete else ", so nothing says that the invalidation is complete"
        rows.append(("note", said if planned.complete else Span(said + unsure, Role.WARNING)))
    for said in dict.fromkeys(loan.use.leaves for loan in planned.invalidations if loan.use.leaves):
        rows.append(("left", Span(said, Role.WARNING)))
    if planned.local:
        why = "the guest has only an invalidation that is not broadcast"
        said = f"other CPUs keep what their TLBs hold: {why}; `{OUTSIDE}` empties theirs too"
        rows.append(("warning", Span(said, Role.WARNING)))
    return rows


def tlb_rows(
    way: Way, need: Need, planned: Invalidation | None, done: bool, lent_here: bool | None
) -> list[tuple[str, Text]]:
    """Show what becomes of the TLB; `lent_here` says whether what the CPU may do where it stands is enough for it.

    It is None where there is no guest.
    """
    if planned is not None:
        invalidated = "invalidated" if planned.complete else f"{planned.name} without a {planned.unfinished}"
        how = "break-before-make" if way is Way.BREAK else f"{invalidated} after the write"
        return [("TLB", f"{how}: {scopes_text(planned)}"), *borrowed_rows(planned, done)]
    if need is Need.NOTHING:
        return [("TLB", "no maintenance is needed")]
    if lent_here is None:
        return [("TLB", Span("a running guest's may go on with the old", Role.WARNING))]
    how = "--tlbi, or `mmu tlbi` afterwards" if lent_here else f"`{OUTSIDE}` afterwards"
    return [("TLB", Span(f"may go on with the old: {how}", Role.WARNING))]


def invalidation_record(planned: Invalidation | None) -> JsonObject | None:
    if planned is None:
        return None
    return {
        "scopes": [
            {"extent": name_of(each.extent), "value": None if each.extent is Extent.ALL else hexadecimal(each.value)}
            for each in planned.scopes
        ],
        "borrowed": [loan_record(loan) for loan in planned.loans],
        "wider": planned.wider,
        "local": planned.local,
        "lacking": list(planned.lacking),
    }


def loan_record(loan: Loan) -> JsonObject:
    registers = {name: hexadecimal(value) for name, value in loan.use.registers.items()}
    return {"address": hexadecimal(loan.address), "instruction": loan.use.text, "registers": registers}


def repair_record(repair: Repair) -> JsonObject:
    return {
        "what": repair.what,
        "way": name_of(repair.way),
        "changes": [
            {
                "descriptor_address": hexadecimal(each.pa),
                "before": hexadecimal(each.before),
                "after": hexadecimal(each.after),
            }
            for each in repair.changes
        ],
        **({"controls": [control_record(each) for each in repair.controls]} if repair.controls else {}),
    }


def fields_text(change: ControlChange) -> str:
    """Return each field of a control register that differs, as it is and as it shall be."""
    return ", ".join(f"{before.field.name} {before.value} -> {after.value}" for before, after in change.fields)


def control_record(control: CpuControl) -> JsonObject:
    change = control.change
    return {
        "cpu": control.cpu,
        "register": change.register,
        "before": hexadecimal(change.before),
        "after": hexadecimal(change.after),
    }

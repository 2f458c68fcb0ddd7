"""Both numbers of a frame in answers: the machine's, and a paravirtual guest's own."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gdbtools import systems
from gdbtools.arch.model import Mapped, Walk
from gdbtools.errors import Unavailable, Unreadable
from gdbtools.machine.layers import Patched, with_registers
from gdbtools.machine.model import Machine, PhysicalMemory
from gdbtools.render.document import Block, Line, Role, Span, Table, Text, labelled
from gdbtools.render.json import JsonObject, hexadecimal, optional_hexadecimal
from gdbtools.systems.guest_frames import GuestFault, GuestFrames, NumberedFrame
from gdbtools.wording import name_of


@dataclass(frozen=True)
class WalkFrames:
    """The frames on the way of a walk, each with what it is there: a table of which level, or the page."""

    guest: GuestFrames
    frames: tuple[tuple[str, NumberedFrame], ...]


def guest_of(machine: Machine) -> GuestFrames | None:
    """Return the paravirtual guest whose tables are in force, if there is one and all of it is found."""
    try:
        return systems.guest_frames(machine.architecture, machine.register, machine.memory.read)
    except (Unavailable, Unreadable):
        return None


def guest_wanted(machine: Machine) -> GuestFrames:
    """Return the same; raise `Unavailable` with the reason where there is none."""
    try:
        found = systems.guest_frames(machine.architecture, machine.register, machine.memory.read)
    except Unreadable as missing:
        raise Unavailable(f"a hypervisor's tables are needed that cannot be read: {missing}") from None
    if found is None:
        raise Unavailable(
            "the tables in force are no paravirtual guest's: no hypervisor's table of frames is in them; leave "
            "--space pv out"
        )
    return found


def passed_on(machine: Machine, guest: GuestFrames | None) -> tuple[Machine, GuestFault | None]:
    """Return the machine as if its processor had taken the fault that a hypervisor has just passed on to its guest."""
    try:
        found = None if guest is None else guest.passed_on()
    except (Unavailable, Unreadable):
        return machine, None
    if found is None:
        return machine, None
    memory: PhysicalMemory = machine.memory
    for pa, data in found.memory:
        memory = Patched(memory, pa, data)
    taken = with_registers(machine, found.registers, "what a hypervisor has passed on")
    return replace(taken, memory=memory), found


def frames_on(walk: Walk, guest: GuestFrames | None) -> WalkFrames | None:
    """Return both numbers of every frame that a walk of a guest's address met.

    None where there is no guest, and where a dump does not have what the hypervisor says of one of them.
    """
    if guest is None or not any(first <= walk.input <= last for first, last in guest.ranges):
        return None
    try:
        return _numbered(walk, guest)
    except (Unavailable, Unreadable):
        return None


def _numbered(walk: Walk, guest: GuestFrames) -> WalkFrames:
    found = [(f"level {step.level.number} table", guest.of(step.pa >> guest.page_bits)) for step in walk.steps]
    target = walk.outcome if isinstance(walk.outcome, Mapped) else walk.destination
    if target is not None:
        found.append(("output", guest.of(target.address >> guest.page_bits)))
    return WalkFrames(guest, tuple(found))


def frame_blocks(found: WalkFrames | None) -> list[Block]:
    """Show the frames of a walk."""
    if found is None:
        return []
    rows = [
        (what, f"{frame.machine:#x}", pseudo_text(frame), frame.use, mark_text(frame)) for what, frame in found.frames
    ]
    title = Line([Span("Frames", Role.HEADING), f" of {found.guest.title}:"])
    columns = ("of", "machine", "pseudo-physical", "used as", "is")
    return [title, Table(columns, rows, frozenset((1, 2)))]


def pseudo_text(frame: NumberedFrame) -> str:
    return "-" if frame.pseudo is None else f"{frame.pseudo:#x}"


def mark_text(frame: NumberedFrame) -> Text:
    """Return whose a frame is, and what shows it where it is not the guest's own."""
    role = Role.PLAIN if frame.mark.is_explained else Role.BAD
    said = f": {frame.said}" if frame.said else ""
    return [Span(frame.mark.value, role), said]


def guest_rows(guest: GuestFrames | None) -> list[tuple[str, Text]]:
    """Return whose guest it is, and how far the tables of frames go."""
    if guest is None:
        return []
    return [("guest", guest.title), *labelled("frames", guest.limits)]


def guest_evidence(guest: GuestFrames | None) -> list[tuple[str, Text]]:
    """Return the same, with what shows it."""
    if guest is None:
        return []
    shown = labelled("shown by", guest.evidence)
    title, *limits = guest_rows(guest)
    return [title, *shown, *limits]


def frame_record(frame: NumberedFrame) -> JsonObject:
    return {
        "machine_frame": hexadecimal(frame.machine),
        "guest_frame": optional_hexadecimal(frame.pseudo),
        "mark": name_of(frame.mark),
        "use": frame.use or None,
        "why": frame.said or None,
    }


def walk_frames_record(found: WalkFrames | None) -> JsonObject | None:
    if found is None:
        return None
    return {
        **guest_record(found.guest),
        "frames": [{"of": what, **frame_record(frame)} for what, frame in found.frames],
    }


def guest_record(guest: GuestFrames) -> JsonObject:
    return {"guest": guest.title, "evidence": list(guest.evidence), "limits": list(guest.limits)}

"""Whose rights are asked about: a level of privilege by its name, or as Arm's users have always written it."""

from __future__ import annotations

from collections.abc import Sequence

from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import Access, AccessKind, Privilege, Regime
from gdbtools.errors import UsageError


def privilege_asked(architecture: Architecture, name: str | None, number: str | None = None) -> Privilege | None:
    """Return the level of privilege that is asked for, None where nobody says.

    `name` is `--privilege`'s, in any case; `number` is `--el`'s.  Raises `UsageError` for one that there is not.
    """
    if name is not None and number is not None:
        raise UsageError("--privilege and --el are the same question; leave one out")
    levels = architecture.privileges
    if name is not None:
        found = next((each for each in levels if each.label.lower() == name.lower()), None)
        if found is None:
            raise UsageError(
                f"{name!r} is no level of privilege of {architecture.identity.title}; {_there_are(levels)}"
            )
        return found
    if number is None:
        return None
    found = next((each for each in levels if each.record == {"el": int(number)}), None)
    if found is None:
        raise UsageError(f"{architecture.identity.title} has no exception levels; say --privilege {any_of(levels)}")
    return found


def check_runs_in(architecture: Architecture, asked: Privilege, regime: Regime, by_number: bool = False) -> None:
    """Raise `UsageError` for a level of privilege that does not run in a regime; `by_number` is how it was asked."""
    levels = architecture.privileges_of(regime)
    if asked not in levels:
        how = f"--el {' or '.join(str(int(each)) for each in levels)}" if by_number else f"--privilege {any_of(levels)}"
        raise UsageError(f"{asked.label} does not run in {regime.name}; say {how}")


def check_kind(architecture: Architecture, access: Access) -> None:
    """Raise `UsageError` for a kind of access that nothing makes: of code by a right to execute, of a shadow stack."""
    if access.kind.is_shadow_stack and not architecture.tells_shadow_stacks:
        title = architecture.identity.title
        raise UsageError(f"{title} has no shadow-stack accesses that are told from others here; ask for read or write")
    if access.kind is AccessKind.READ_EXECUTABLE and access.privilege not in architecture.reads_code:
        raise UsageError(_no_reading_of_code(architecture, access.privilege))


def _no_reading_of_code(architecture: Architecture, asking: Privilege) -> str:
    if not architecture.reads_code:
        return f"{architecture.identity.title} has no load that needs the right to execute; ask for --access read"
    names = " or ".join(each.label for each in architecture.reads_code)
    first = architecture.reads_code[0].label.lower()
    only = f"only what is translated as {names} reads code by a right to execute, not {asking.label}"
    return f"{only}; say --privilege {first}"


def any_of(levels: Sequence[Privilege]) -> str:
    return " or ".join(each.label for each in levels)


def _there_are(levels: Sequence[Privilege]) -> str:
    *most, last = [each.label for each in levels]
    return f"there are {', '.join(most)} and {last}" if most else f"there is {last}"

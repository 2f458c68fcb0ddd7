"""docs/commands.md, from the declarations that every face derives from: `python -m tests.reference write`."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from gdbtools.cli import SHARED
from gdbtools.commands import COMMANDS
from gdbtools.commands.model import Argument, Command
from gdbtools.commands.parser import parser_for, summary_usage
from gdbtools.repl import PROMPTS
from tests.places import ROOT

PAGE = ROOT / "docs/commands.md"

FINDINGS: Final[Mapping[str, str]] = {
    "walk": "an address is not mapped, or the access that was asked about is refused",
    "map": "with `--expect-none` something fits; or a contiguous run is not uniform",
    "rmap": "mappings of one page have two memory types or shareabilities, or a virtual address leads nowhere",
    "audit": "a rule is broken, and the baseline does not have it",
    "fault": "the last exception is a fault",
    "explain": "there is a crash in the text",
    "probe": "hardware and tables do not agree",
    "find-roots": "nothing looks like a root",
    "diff": "something differs",
    "report": "a fault is on the page, or a walk that is refused",
}
"""What exit status 1 says; of every other command it is never returned."""

EXAMPLES: Final[Mapping[str, Sequence[tuple[str, str]]]] = {
    "status": (("gdbtools status -s crash.core", "what is this file, and is its MMU on?"),),
    "regs": (
        ("mmu regs tcr", "every field of TCR_EL1, and what it means"),
        ("gdbtools regs TCR_EL1=0x200803519", "the same of a value from a log"),
    ),
    "syndrome": (
        ("gdbtools esr 0x9600004b", "an Arm syndrome, from a log"),
        ("gdbtools scause 0xf", "a RISC-V cause"),
        ("gdbtools esr 0x1c08006 --class 0x24", "an ISS alone, of a guest's Data Abort"),
    ),
    "walk": (
        ("mmu walk $pc $sp", "in GDB, by its own expressions"),
        ("gdbtools walk -s crash.core '$FAR_EL1' --access write --privilege EL0", "may a user write there?"),
        ("gdbtools walk -s crash.core 0x1000 --with TCR_EL1.HPD0=1", "and if hierarchical permissions were off?"),
        ("mmu walk 0xffff800008010000 --guest 1", "a guest's address, from a stop in its hypervisor"),
        ("mmu walk 0x400000 --task bash", "a process's own tables, and the file that is there"),
    ),
    "map": (
        ("gdbtools map -s crash.core --perm wx --expect-none", "exit status 1: something may be written and executed"),
        ("mmu map --physical 0x4180c000,+0x1000", "who maps this page?"),
    ),
    "rmap": (
        ("mmu rmap 0x4180c000", "every address that leads to this page"),
        ("gdbtools rmap -s crash.core --virtual '$pc' --roots", "and who else maps this code?"),
    ),
    "tables": (
        ("mmu tables", "how many there are, how full, and which stand out"),
        ("gdbtools tables -s crash.core --orphans", "and pages of tables that nothing leads to any more"),
    ),
    "tasks": (
        ("mmu tasks", "every process, and the root of its tables"),
        ("gdbtools tasks -s crash.elf bash", "the areas of one, with their files"),
    ),
    "guests": (("gdbtools guests -s xen.core", "which there are, and which CPU holds which"),),
    "stage2": (
        ("mmu stage2", "how the guest is mapped, and what cleaning it costs"),
        ("gdbtools p2m -s xen.core --guest 1 --measure", "of another guest, and how long that took"),
    ),
    "audit": (
        ("mmu audit", "every rule, of everything that a CPU uses or has loaded"),
        ("gdbtools audit -s crash.core --rule writable-executable --json", "one rule, with every finding"),
        ("gdbtools audit -s crash.core --write-baseline known.json", "what is known from now on"),
        (
            "gdbtools audit -s later.core --baseline known.json --format sarif -o audit.sarif",
            "what is new, for CI",
        ),
        ("gdbtools audit --rules", "each rule, what it means, and whose it is"),
    ),
    "fault": (
        ("mmu fault", "at a vector entry, or anywhere: of the last exception"),
        ("gdbtools fault -s crash.core --json", "for a script: `verdict`, `predicted.deciding`"),
    ),
    "explain": (
        ("gdbtools explain console.txt", "every crash in it, each with its verdict"),
        ("gdbtools explain -", "in what is piped to it, by `journalctl -k |`"),
        ("gdbtools explain console.txt --record 2 --elf vmlinux", "the second alone, with the kernel's symbols"),
    ),
    "catch": (
        ("mmu catch access-flag", "every set of vectors that the guest uses"),
        ("mmu catch any --regime stage2", "the hypervisor's own faults, at EL2's vectors"),
    ),
    "fixup": (
        ("mmu fixup --resume", "set the flag, and return to the instruction"),
        ("gdbtools fixup -s crash.core --dry-run", "what would be written"),
    ),
    "service": (
        ("mmu service --count 1000 --log faults.jsonl", "1000 repairs, a JSON object each"),
        ("mmu service --kinds access-flag --kinds dirty", "and writes to what is clean"),
    ),
    "hardware-af": (
        ("mmu hardware-af on --dry-run", "what would be written, on which CPU"),
        ("mmu hardware-af on", "no page faults for its access flag from then on"),
    ),
    "trace": (("gdbtools trace faults.jsonl --perfetto out.json", "a track for each CPU"),),
    "watch": (("mmu watch 0x600000000000 --go-on", "tell each change, and let the guest run"),),
    "who": (("mmu who 0x600000000000", "back to the last change"), ("mmu who --to 143829", "and forward again")),
    "working-set": (("mmu working-set 0x49b7000,0x4d75000 --interval 1 --samples 3", "a heap, three times a second"),),
    "pte": (
        ("mmu pte 0x10000000 AF=1 --dry-run", "the plan, and which field may change in place"),
        ("gdbtools pte 0x00687fff84000703", "decode a descriptor from a log"),
    ),
    "clear-af": (("mmu clear-af 0x600000000000,+64K --tlbi", "whatever touches it next faults"),),
    "tlbi": (("mmu tlbi 0x10000000", "one address"), ("mmu tlbi asid=3", "one address space"), ("mmu tlbi", "all")),
    "probe": (("mmu probe 0x10000000 --tlbi", "is it a stale TLB entry? ask, invalidate, ask again"),),
    "undo": (("mmu undo", "the last repair"), ("mmu undo --all --dry-run", "what would be taken back")),
    "capture": (("mmu capture crash.core --with-code", "tables, registers, and the code around pc"),),
    "redact": (("gdbtools redact public.core -s crash.core", "no memory but the tables"),),
    "find-roots": (
        (
            "gdbtools find-roots -s ram.bin@0x40000000 --arch aarch64 --write registers.json",
            "an image without registers",
        ),
    ),
    "diff": (
        ("gdbtools diff before.core after.core --ignore af", "two files, and not what was merely used"),
        ("mmu diff before.core", "the guest, since then"),
    ),
    "report": (("gdbtools report -s crash.core -o report.html", "one page, to send"),),
}

HEAD = """\
# Commands

Made from the commands' declarations by `make docs`: the same data that `gdbtools COMMAND --help` and `help mmu COMMAND`
show. `mmu COMMAND` asks inside GDB, `gdbtools COMMAND -s SOURCE` asks of a file ([formats.md](formats.md)), and at the
[prompt](prompt.md) it is `COMMAND` alone.
"""


def page() -> str:
    """Return the whole page."""
    parts = [HEAD, "\n".join(_table()), *map(section, COMMANDS.values()), _shared(), _programs()]
    return "\n".join(parts)


def _table() -> Iterator[str]:
    yield from ("| command | what it does | live | on a file |", "|---|---|---|---|")
    for command in COMMANDS.values():
        offline = "" if command.live_only else "`gdbtools`"
        link = f"[`{escaped(summary_usage(command))}`](#{command.name})"
        yield f"| {link} | {escaped(command.summary)} | `mmu` | {offline} |"
    yield ""


def section(command: Command) -> str:
    """Return what the page has of one command."""
    parser = parser_for(command, "", columns=80)
    usage = (parser.usage or "").strip()
    lines = [f"## {command.name}", "", f"{command.summary}.", "", "```", usage, "```", "", *prose(command.description)]
    effects = list(_effects(command))
    lines += [f"- {effect}" for effect in effects]
    lines += [""] if effects else []
    rows = list(_arguments(command, command.arguments))
    lines += ["| argument | |", "|---|---|", *rows, ""] if rows else []
    examples = EXAMPLES[command.name]
    width = max(len(line) for line, _ in examples)
    return "\n".join([*lines, "```", *(f"{line:{width}}    # {why}" for line, why in examples), "```", ""])


def prose(text: str) -> Iterator[str]:
    """Yield a description as Markdown: what is laid out by hand stays so."""
    for paragraph in text.split("\n\n"):
        lines = paragraph.splitlines()
        by_hand = any(line.startswith(" ") for line in lines)
        yield from ["```", *lines, "```"] if by_hand else textwrap.wrap(" ".join(lines), 120, break_on_hyphens=False)
        yield ""


def _effects(command: Command) -> Iterator[str]:
    if command.live_only:
        yield "**Live only**: it needs a guest that runs."
    acts = [
        said
        for does, said in (
            (command.changes_guest, "changes the guest"),
            (command.runs_guest, "lets it run" if command.changes_guest else "lets the guest run"),
            (command.sets_breakpoints, "sets breakpoints"),
        )
        if does
    ]
    files = [f"`{argument.name if argument.is_option else argument.name.upper()}`" for argument in written(command)]
    acts += [f"writes the file of {' and of '.join(files)}"] if files else []
    if acts:
        yield f"**It {', '.join(acts)}**{_looking(command)}."
    else:
        yield "It only looks."
    if command.name in FINDINGS:
        yield f"Exit status 1: {FINDINGS[command.name]}."


def _looking(command: Command) -> str:
    """Return how it is kept from acting."""
    dry = any(argument.name == "--dry-run" for argument in command.arguments)
    only = "" if command.live_only else ", which is all that a file allows"
    return f"; with `--dry-run` it shows the plan{only}" if dry else ""


def written(command: Command) -> list[Argument]:
    """Return the arguments that name a file which is written."""
    return [argument for argument in command.arguments if argument.writes]


def _arguments(command: Command, arguments: Sequence[Argument]) -> Iterator[str]:
    """Yield a row for each argument, as the parser has it."""
    parser = parser_for(command, "", arguments if arguments is SHARED else (), columns=80)
    wanted = {argument.key for argument in arguments}
    for action in parser._actions:
        if action.dest in wanted:
            names = ", ".join(action.option_strings)
            choices = "|".join(map(str, action.choices)) if action.choices and not action.metavar else ""
            takes = "" if action.nargs == 0 else action.metavar or choices
            shown = " ".join(filter(None, (names, str(takes))))
            yield f"| `{escaped(shown)}` | {escaped(action.help or '')} |"


def _shared() -> str:
    rows = _arguments(COMMANDS["status"], SHARED)
    said = "## Every command\n\nHas these besides; inside GDB and at a prompt only those of the answer's form.\n"
    return "\n".join([said, "| option | |", "|---|---|", *rows, ""])


def _programs() -> str:
    rows = [f"| `gdbtools {name}` | {escaped(said)} |" for name, said in PROMPTS.items()]
    said = "## The prompt\n\nWith options of their own: `gdbtools run --help`, and [prompt.md](prompt.md).\n"
    return "\n".join([said, "| | |", "|---|---|", *rows, ""])


def escaped(text: str) -> str:
    """Return text for a cell of a table."""
    return text.replace("|", "\\|")


if __name__ == "__main__":
    if sys.argv[1:] != ["write"]:
        sys.exit("usage: python -m tests.reference write")
    PAGE.write_text(page())

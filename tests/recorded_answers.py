"""The JSON that every command says offline of every capture here, as digests: `python -m tests.recorded_answers`.

A rebuilding that is to change no answer is held to them; what is meant to change an answer records them again
(`record`), and the change is seen in the file.  `write FOLDER` writes the answers themselves: two folders of two
checkouts are compared by diff -r.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import random
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gdbtools.cli import main as answer
from tests.machine.test_answers import mutated
from tests.places import ROOT

RECORDED = ROOT / "tests/recorded_answers.txt"
CAPTURES = "fixtures/captures"
MUTATED, SEED = 40, 14
OF_EVERY_SOURCE = """
status
regs
regs --all
esr
fault
fault --with SCTLR_EL1.WXN=1
walk $pc $FAR_EL1 $ELR_EL1 0 0x1000 0xffff000000000000 0xffffffffffffffff
walk $pc $FAR_EL1 --access read
walk $pc $FAR_EL1 --access write --el 0
walk $pc $FAR_EL1 --access execute --el 1
walk $FAR_EL1 --access read --el 1 --unprivileged
walk $FAR_EL1 --regime el2
walk $FAR_EL1 --regime stage2
walk $FAR_EL1 --space kernel
walk $FAR_EL1 --with TCR_EL1.HPD0=1 --with SCTLR_EL1.M=1
walk $FAR_EL1 --pte $FAR_EL1.AF=1
map
map --areas
map --perm wx --expect-none
map --perm r-x --el0
map --unaccessed --limit 5
map --dirty
map --type device
map --size 2m
map --physical 0x40000000,+1M
map --regime el2
map --regime stage2
map 0x0-0x1000000 --el1
rmap --virtual $pc $FAR_EL1
rmap 0x40000000 0x4180c000
tables
tables --regime stage2
tasks
guests
stage2
audit
fixup --dry-run
fixup --resume --dry-run
clear-af $FAR_EL1 --dry-run
pte $FAR_EL1 AF=1 --dry-run
pte $FAR_EL1 AF=0 --dry-run
pte $FAR_EL1 descriptor=0 --dry-run
find-roots
find-roots --all
diff fixtures/captures/access-flag.core
report 0x1000
redact /dev/null
capture /dev/null
""".strip().splitlines()
OF_NONE = """
walk 0
status
regs TCR_EL1=0x200803519
regs TCR_EL1=0x200803519 SCTLR_EL1=30d0198d ESR_EL2=96000046
regs HCR_EL2=0x80000001 VTCR_EL2=0x80023558
pte 0x00687fff84000703
pte 0x40000000000713 --level 3 --granule 64k
pte 0x400007ff --stage 2 --level 2
pte 0x60000040000701 --regime el2
esr 0x1c08006 --class 0x24
diff fixtures/captures/osv-1131.core fixtures/captures/access-flag.core
diff fixtures/captures/linux-6.1.core fixtures/captures/linux-6.1.core
""".strip().splitlines()
SYNDROMES = 600


def sources(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield each source: what it is called here, and its path."""
    for path in sorted((ROOT / CAPTURES).rglob("*.core")):
        name = str(path.relative_to(ROOT))
        yield name, name
    for number, core in zip(range(MUTATED), mutated(random.Random(SEED)), strict=False):
        path = folder / f"mutated-{number}.core"
        path.write_bytes(core)
        yield path.name, str(path)


def syndromes() -> Iterator[str]:
    """Yield syndromes of every class, with what is specific to the instruction at random."""
    draw = random.Random(SEED)
    for number in range(SYNDROMES):
        yield f"esr {number % 64 << 26 | draw.getrandbits(26):#x}"


def asked(words: Sequence[str]) -> str:
    """Return the exit status of a command line, and what it prints: JSON, or its error."""
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        try:
            status = answer([*words, "--json"])
        except SystemExit as ended:
            status = int(ended.code or 0)
    return f"{status}\n{out.getvalue()}{errors.getvalue()}"


def answers(only: str = "") -> Iterator[tuple[str, str]]:
    """Yield every command line here, with its answer; `only` is the beginning of a source's name."""
    before = Path.cwd()
    os.chdir(ROOT)
    try:
        with tempfile.TemporaryDirectory() as folder:
            if not only:
                for line in (*OF_NONE, *syndromes()):
                    yield line, asked(shlex.split(line))
            for name, path in sources(Path(folder)):
                if name.startswith(only):
                    for line in OF_EVERY_SOURCE:
                        yield f"{line} -s {name}", asked([*shlex.split(line), "-s", path]).replace(path, name)
    finally:
        os.chdir(before)


def digest(text: str) -> str:
    """Return an answer's exit status, size and digest."""
    return f"{text[0]} {len(text):08} {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def recorded() -> Mapping[str, str]:
    """Return the digest that was recorded of each command line."""
    pairs = (line.partition("  ") for line in RECORDED.read_text().splitlines())
    return {line: said for said, _, line in pairs}


def main(arguments: Sequence[str]) -> None:
    """Record the answers, or write them to a folder, a file each."""
    if arguments == ["record"]:
        RECORDED.write_text("".join(f"{digest(text)}  {line}\n" for line, text in answers()))
    elif len(arguments) == 2 and arguments[0] == "write":
        for number, (line, text) in enumerate(answers()):
            place = Path(arguments[1])
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{number:04}").write_text(f"{line}\n{text}")
    else:
        sys.exit("say: record, or write FOLDER")


if __name__ == "__main__":
    main(sys.argv[1:])

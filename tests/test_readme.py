"""README says what is true: its command table is derived from the declarations, its transcript from the fixture."""

from __future__ import annotations

from gdbtools.analysis.faults.diagnosis import Verdict
from gdbtools.cli import main
from gdbtools.commands import COMMANDS
from gdbtools.commands.parser import summary_usage
from tests.places import ROOT

README = (ROOT / "README.md").read_text()


def command_table() -> str:
    rows = ["| command | what it does | live | on a dump |", "|---|---|---|---|"]
    for command in COMMANDS.values():
        words = summary_usage(command).replace("|", "\\|")
        offline = "" if command.live_only else "`gdbtools`"
        rows.append(f"| `{words}` | {command.summary} | `mmu` | {offline} |")
    return "\n".join(rows)


def test_the_command_table_is_the_declarations() -> None:
    assert command_table() in README, f"README.md should hold this table:\n{command_table()}"


def test_the_transcript_of_the_fault_is_what_the_command_prints(capsys) -> None:
    guest = ROOT / "fixtures/guests/access_flag/access_flag.elf"
    assert main(["fault", "-s", str(ROOT / "fixtures/captures/access-flag.core"), "--elf", str(guest)]) == 1
    printed = capsys.readouterr().out.strip()
    # What comes next is said where there is a guest to do it to.
    shown = README.replace("\nnext          mmu fixup --resume\n", "\n", 1)
    assert printed in shown, "the README's transcript of `mmu fault` is not what it prints now"


def test_the_transcript_of_a_syndrome_is_what_the_command_prints(capsys) -> None:
    assert main(["esr", "0x62141c7c"]) == 0
    printed = capsys.readouterr().out.partition("\nbits ")[0].strip()
    assert printed in README, "the README's transcript of `gdbtools esr` is not what it prints now"


def test_the_readme_names_the_two_commands() -> None:
    assert "make demo" in README
    assert "make test" in README


def test_the_verdicts_are_those_of_json() -> None:
    _, _, section = README.partition("\n## The verdicts\n")
    table = section.partition("\n| verdict |")[2].partition("\n\n")[0].splitlines()[2:]
    said = [line.split(" | ")[1] for line in table]
    assert said == [f"`{verdict.label}`" for verdict in Verdict]

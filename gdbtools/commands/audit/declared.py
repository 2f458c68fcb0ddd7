"""What may be asked of `audit`, and how."""

from __future__ import annotations

from gdbtools.commands.arguments import AUDIT_FORMS, AUDITED
from gdbtools.commands.model import Argument, Command, Kind, loaded

AUDIT = Command(
    name="audit",
    summary="Look for mappings that no system should have",
    description=(
        "Hold everything that is mapped against rules, and list what breaks one: the entry, its value, the field that\n"
        "decides, and the command that looks closer. Looked at is every regime that a CPU uses or has loaded, the\n"
        "kernel's too where the space in force is a reduced one; of a paravirtual guest, all of its spaces. A rule\n"
        "that cannot be asked of a source says why; exit status 3: there was nothing to check."
    ),
    arguments=(
        Argument(
            "--rule",
            "ask this rule alone; may be given again (default: all)",
            Kind.CHOICE,
            AUDITED,
            many="*",
            metavar="RULE",
            listed_by="--rules",
        ),
        Argument(
            "--ignore",
            "leave this rule out; may be given again",
            Kind.CHOICE,
            AUDITED,
            many="*",
            metavar="RULE",
            listed_by="--rules",
        ),
        Argument("--baseline", "tell only what this file does not have, and what of it is gone", Kind.FILE, reads=True),
        Argument(
            "--write-baseline",
            "write what is found to this file, for --baseline; of rules that are not asked it keeps what it has",
            Kind.FILE,
            writes=True,
        ),
        Argument("--format", "write them as SARIF 2.1.0, or as messages of a workflow", Kind.CHOICE, AUDIT_FORMS),
        Argument("--roots", "look through every root that find-roots lists, too", Kind.FLAG),
        Argument("--counts", "show of how much each rule was asked, and what it found", Kind.FLAG),
        Argument("--rules", "list every rule, what it means and whose it is; needs no source", Kind.FLAG),
        Argument("--pages", "list each part of the linear map that ought to be read-only", Kind.FLAG),
    ),
    implementation=loaded("audit"),
    may_be_sourceless=True,
    decodes=False,
)

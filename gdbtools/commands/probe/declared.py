"""What may be asked of `probe`, and how."""

from __future__ import annotations

from gdbtools.commands.arguments import ADDRESS, PRIVILEGE, REGIMES, REGIMES_OF
from gdbtools.commands.model import Argument, Command, Kind, loaded

PROBE = Command(
    name="probe",
    summary="Ask the hardware to access an address, and compare with the tables",
    description=(
        "Borrow one of the guest's own loads (and, for a write, a store that writes the same byte back) or an AT\n"
        "instruction, point it at ADDRESS, step it on this CPU only, put every register back, and compare. What a TLB\n"
        "still holds shows. With --tlbi, invalidate ADDRESS by the guest's own instruction and ask once more. An\n"
        "access that faults overwrites the registers of the last exception for good: refused where the guest may\n"
        "still need them."
    ),
    arguments=(
        ADDRESS,
        Argument(
            "--access",
            "what to try (default: read; read-code: a load that needs the right to execute, as HLVX)",
            Kind.CHOICE,
            ("read", "write", "read-code"),
        ),
        Argument(
            "--regime",
            "as whom, where this CPU accesses memory as another: a hypervisor of RISC-V as its guest (vs)",
            Kind.CHOICE,
            REGIMES,
            metavar="REGIME",
            groups=REGIMES_OF,
        ),
        PRIVILEGE,
        Argument(
            "--by", "by a load (and store), or by an AT instruction (default: access)", Kind.CHOICE, ("access", "at")
        ),
        Argument("--unprivileged", "as the user is checked: by a load or store of that kind, or by AT", Kind.FLAG),
        Argument("--tlbi", "then invalidate the address in the TLBs and ask again", Kind.FLAG),
        Argument("--overwrite", "nobody needs the registers of the last exception any more", Kind.FLAG),
    ),
    implementation=loaded("probe"),
    live_only=True,
    changes_guest=True,
)

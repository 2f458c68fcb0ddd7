"""What changes a live guest, or waits for one: declared here, implemented in a file each."""

from __future__ import annotations

from dataclasses import replace

from gdbtools.commands.declared.shared import (
    ADDRESS,
    BREAK,
    CAUGHT,
    DRY_RUN,
    GRANULES,
    INVALIDATE,
    LEVEL,
    LIVE,
    RANGE,
    REGIME,
    SERVICED,
    SPACE,
)
from gdbtools.commands.model import Argument, Command, Implementation, Kind


def _catch() -> Implementation:
    from gdbtools.commands.catch import IMPLEMENTATION

    return IMPLEMENTATION


CATCH = Command(
    name="catch",
    summary="Stop on access-flag, translation, permission or any MMU faults",
    description=(
        "Set hardware breakpoints on the synchronous entries of the exception vectors (current EL with SP_EL0 and\n"
        "with SP_ELx, lower EL in AArch64 and in AArch32) that stop only for MMU faults of this kind.\n"
        "Every set of vectors that the guest uses has them: of this CPU and the others, of the kernel and of the\n"
        "trampoline where it hides from its processes (page-table isolation), and each VBAR_EL1 that a later stop\n"
        "meets. `info breakpoints` shows them, `delete` removes them."
    ),
    arguments=(
        Argument("kind", "the faults to stop on", Kind.CHOICE, CAUGHT),
        replace(
            REGIME,
            help="only faults of this regime, at the vectors of the level that takes them: stage2, at EL2's, while the "
            "CPU is in a guest (default: what the vectors in force take)",
        ),
    ),
    implementation=_catch,
    live_only=True,
    sets_breakpoints=True,
)


def _fixup() -> Implementation:
    from gdbtools.commands.fixup import IMPLEMENTATION

    return IMPLEMENTATION


FIXUP = Command(
    name="fixup",
    summary="Repair the current access-flag fault",
    description=(
        "Set the access flag in the leaf that faulted and, for a true write and by the convention of `set mmu-dirty`,\n"
        "record that it is dirty: plan, compare, write, read back. With --resume, return to the faulting instruction\n"
        "through an eret that the guest itself has."
    ),
    arguments=(
        Argument("--resume", "return to the faulting instruction afterwards", Kind.FLAG),
        DRY_RUN,
    ),
    implementation=_fixup,
    changes_guest=True,
)


def _service() -> Implementation:
    from gdbtools.commands.service import IMPLEMENTATION

    return IMPLEMENTATION


SERVICE = Command(
    name="service",
    summary="Repair access-flag faults and go on, until something else happens",
    description=(
        "Run the guest; at each access-flag fault set the flag and return to the faulting instruction. Every other\n"
        "exception is the guest's own and runs on unseen. Ends at any other stop, at Ctrl-C, or after --count faults,\n"
        "with a table of what was repaired.\n"
        "\n"
        "dirty is a write to a leaf that is clean: DBM=1 and AP[2]=1. --around takes from the guest the knowledge\n"
        "that the neighbours have not been accessed; they are counted apart."
    ),
    arguments=(
        Argument("--kinds", "what to repair (default: access-flag); may be given again", Kind.CHOICE, SERVICED, "*"),
        Argument("--count", "end after this many repairs", Kind.NUMBER),
        Argument("--around", "also set the access flag of up to this many neighbours in the same table", Kind.NUMBER),
        Argument("--log", "write one JSON object a fault to this file", Kind.FILE, writes=True),
    ),
    implementation=_service,
    live_only=True,
    changes_guest=True,
    runs_guest=True,
)


def _watch() -> Implementation:
    from gdbtools.commands.watch import IMPLEMENTATION

    return IMPLEMENTATION


WATCH = Command(
    name="watch",
    summary="Stop when a mapping's descriptor changes, and say who changed it",
    description=(
        "Set hardware watchpoints on the descriptor that translates an address, through the virtual addresses at\n"
        "which this CPU's tables map it. Each change is printed: the fields that differ, the value before and after,\n"
        "and the writer's frames. What gdbtools itself writes is no change of the guest's, and stops nothing.\n"
        "`info breakpoints` shows the watchpoints, `delete` removes them."
    ),
    arguments=(
        Argument("address", "the virtual address whose mapping is watched", Kind.ADDRESS),
        LEVEL,
        Argument("--go-on", "print each change and let the guest run on", Kind.FLAG),
        replace(SPACE, help="whose mapping (default: the kernel's, of an address that is in a reduced range now)"),
    ),
    implementation=_watch,
    live_only=True,
    sets_breakpoints=True,
)


def _who() -> Implementation:
    from gdbtools.commands.who import IMPLEMENTATION

    return IMPLEMENTATION


WHO = Command(
    name="who",
    summary="Run a recorded guest backwards to who changed a mapping last",
    description=(
        "Where QEMU replays a recording, go back to the last instruction that changed the descriptor of an address,\n"
        "and stay there, before it: `bt`, `info registers` and `mmu fault` are of that moment. `continue` goes on\n"
        "from there, and --to returns. Writes that leave it as it is are passed over. What no store to the\n"
        "descriptor's addresses has changed (hardware's own table walk, a device) is found by cutting the recording\n"
        "into parts. Ctrl-C returns to where it began.\n"
        "\n"
        "Record: qemu-img create -f qcow2 SNAPSHOTS 1G\n"
        "        qemu-system-aarch64 ...\n"
        "          -icount shift=auto,rr=record,rrfile=RECORDING,rrsnapshot=start\n"
        "          -drive file=SNAPSHOTS,if=none,id=snapshots\n"
        "Replay: the same with rr=replay -S -s, and in GDB run to where it is wrong."
    ),
    arguments=(
        Argument("address", "the virtual address whose mapping was changed", Kind.ADDRESS, many="?"),
        LEVEL,
        Argument("--to", "go to this instruction of the recording instead", Kind.NUMBER, metavar="INSTRUCTION"),
    ),
    implementation=_who,
    live_only=True,
    changes_guest=True,
    runs_guest=True,
)


def _working_set() -> Implementation:
    from gdbtools.commands.working_set import IMPLEMENTATION

    return IMPLEMENTATION


WORKING_SET = Command(
    name="working-set",
    summary="Let the guest run, and show what of a range it touches",
    description=(
        "Clear the access flags of a range, let the guest run for a while, and show what was touched: how much, where\n"
        "and when, and, where software sets the flags, first by which access. Then every flag is as if nobody had\n"
        "cleared it. Ends early at Ctrl-C and at any other stop, and shows what there is.\n"
        "\n"
        "Touches show by their faults where hardware does not set the flags (TCR_ELx.HA=0): they are served, as\n"
        "`mmu service` does, and the guest's own handler is not asked. Where hardware sets them the flags are read;\n"
        "--by flags does so where the guest's own handler sets them. Do not ask for the faults of what a kernel's\n"
        "exception entry touches before it has saved ELR and SPSR: vectors and current stacks are left out, others\n"
        "cannot be known."
    ),
    arguments=(
        RANGE,
        Argument("--interval", "how many seconds each sample lasts (default: 1)", Kind.SECONDS),
        Argument("--samples", "how many samples are made (default: 1)", Kind.NUMBER),
        Argument("--by", "how touches show (default: what TCR_ELx.HA makes fit)", Kind.CHOICE, ("faults", "flags")),
        Argument("--everywhere", "also repair access-flag faults outside the range, as `mmu service` does", Kind.FLAG),
        Argument("--leave", "leave the flags clear of what was not touched", Kind.FLAG),
        REGIME,
    ),
    implementation=_working_set,
    live_only=True,
    changes_guest=True,
    runs_guest=True,
)


def _pte() -> Implementation:
    from gdbtools.commands.pte import IMPLEMENTATION

    return IMPLEMENTATION


PTE = Command(
    name="pte",
    summary="Change fields of the descriptor that translates an address, or decode a value",
    description=(
        "pte ADDRESS FIELD=VALUE... changes the guest; pte VALUE, without FIELD=VALUE, decodes a descriptor and reads\n"
        "and changes nothing, with a guest or without.\n"
        "\n"
        "Change any field of the last descriptor on the way of ADDRESS (or of the one at --level), by name: AF=1,\n"
        "OutputAddress=0x40400000; or all of it by descriptor=0x...: plan, compare, write, read back. Says of each\n"
        "field whether a live entry may change it in place; what needs break-before-make is refused without --break,\n"
        "or --live. `mmu undo` takes it back in the same way.\n"
        "\n"
        "VALUE is hexadecimal, as a log prints it, and is decoded for every level where it may stand, or for --level;\n"
        "with a granule of 4KB and for stage 1 of EL1&0, unless --granule, --stage or --regime say otherwise."
    ),
    arguments=(
        Argument(
            "address",
            "the virtual address whose descriptor is to change; or a descriptor's value, to decode",
            Kind.ADDRESS,
            alone=Kind.WORD,
            metavar="ADDRESS|VALUE",
        ),
        Argument("change", "what is to be otherwise: a field and its new value", Kind.FIELD_CHANGE, many="*"),
        LEVEL,
        Argument("--granule", "of a value: the translation granule (default: 4k)", Kind.CHOICE, GRANULES),
        Argument("--stage", "of a value: whose descriptor it is (default: 1)", Kind.CHOICE, ("1", "2")),
        INVALIDATE,
        BREAK,
        LIVE,
        DRY_RUN,
        REGIME,
    ),
    implementation=_pte,
    sourceless=lambda options: not options.change,
    changes_guest=True,
)


def _clear_af() -> Implementation:
    from gdbtools.commands.clear_af import IMPLEMENTATION

    return IMPLEMENTATION


CLEAR_AF = Command(
    name="clear-af",
    summary="Clear the access flags of a range",
    description=(
        "Clear the access flag of every leaf that maps any of RANGE, in whole leaves: all are made or none. The next\n"
        "access to each faults, or has hardware set it again; `mmu map --unaccessed` lists what has not been touched.\n"
        "What a TLB holds is not seen until it is invalidated: --tlbi. `mmu undo` takes all of it back."
    ),
    arguments=(
        RANGE,
        INVALIDATE,
        DRY_RUN,
        REGIME,
    ),
    implementation=_clear_af,
    changes_guest=True,
)


def _tlbi() -> Implementation:
    from gdbtools.commands.tlbi import IMPLEMENTATION

    return IMPLEMENTATION


TLBI = Command(
    name="tlbi",
    summary="Invalidate an address, an ASID or everything in the TLB",
    description=(
        "Borrow the guest's own DSB, TLBI and ISB: find them in what this CPU may execute, put the operand into the\n"
        "register that the instruction names, step that one instruction on this CPU only, and put every register\n"
        "back. One that is broadcast reaches the TLBs of the other CPUs. Is refused where the guest has none."
    ),
    arguments=(
        Argument("what", "what is to be invalidated (default: all)", Kind.SCOPE, many="?"),
        DRY_RUN,
    ),
    implementation=_tlbi,
    live_only=True,
    changes_guest=True,
)


def _probe() -> Implementation:
    from gdbtools.commands.probe import IMPLEMENTATION

    return IMPLEMENTATION


PROBE = Command(
    name="probe",
    summary="Ask the hardware to access an address, and compare with the tables",
    description=(
        "Borrow one of the guest's own loads (and, for a write, a store that writes the same byte back) or an AT\n"
        "instruction, point it at ADDRESS, step it on this CPU only, put every register back, and compare. What a TLB\n"
        "still holds shows. With --tlbi, invalidate ADDRESS by the guest's own TLBI and ask once more. An access that\n"
        "faults overwrites ESR, FAR, ELR and SPSR for good: refused where the guest may still need them."
    ),
    arguments=(
        ADDRESS,
        Argument("--access", "what to try (default: read)", Kind.CHOICE, ("read", "write")),
        Argument(
            "--by", "by a load (and store), or by an AT instruction (default: access)", Kind.CHOICE, ("access", "at")
        ),
        Argument("--unprivileged", "by an LDTR or STTR, or as EL0 by AT", Kind.FLAG),
        Argument("--tlbi", "then invalidate the address in the TLBs and ask again", Kind.FLAG),
        Argument("--overwrite", "nobody needs ESR, FAR, ELR and SPSR any more", Kind.FLAG),
    ),
    implementation=_probe,
    live_only=True,
    changes_guest=True,
)


def _undo() -> Implementation:
    from gdbtools.commands.undo import IMPLEMENTATION

    return IMPLEMENTATION


UNDO = Command(
    name="undo",
    summary="Take back what was written to the tables",
    description=(
        "Take the last repairs back (one, or COUNT, or --all), the last first, each in the way it was made. All is\n"
        "compared before anything is written: what somebody else has changed since is refused, and left alone.\n"
        "--forget drops the last repairs from the journal and writes nothing: of a table that is no more, say."
    ),
    arguments=(
        Argument("count", "how many repairs (default: 1)", Kind.NUMBER, many="?"),
        Argument("--all", "every repair of this session", Kind.FLAG),
        Argument("--forget", "drop them from the journal, and leave the guest as it is", Kind.FLAG),
        DRY_RUN,
    ),
    implementation=_undo,
    live_only=True,
    changes_guest=True,
)

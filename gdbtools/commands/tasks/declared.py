"""What may be asked of `tasks`, and how."""

from __future__ import annotations

from gdbtools.commands.model import Argument, Command, Kind, loaded

TASKS = Command(
    name="tasks",
    summary="List the processes of the guest's kernel, or the areas of one",
    description=(
        "List the processes as the kernel's own memory has them, with the root of each one's tables; for a task that\n"
        "is named, the areas of its address space, as /proc/PID/maps has them. No symbols are needed: what the kernel\n"
        "wrote down for crash dumps (VMCOREINFO) leads to its symbols (kallsyms) and its types (BTF), and nothing is\n"
        "said unless they hold together. Linux since 6.0; a name has the 15 characters that the kernel keeps of it.\n"
        "--task asks about a task's own tables elsewhere."
    ),
    arguments=(
        Argument("task", "show the areas of these: a number, or a name that only one has", many="*", metavar="TASK"),
        Argument("--all", "list the kernel's own threads too, which have no address space", Kind.FLAG),
    ),
    implementation=loaded("tasks"),
)

"""GDB's own commands, with what they print as a string."""

from __future__ import annotations

import gdb


def console(command: str) -> str:
    """Run a console command and give its output.

    Through `interpreter-exec`, because under GDB/MI (seen in 18) the output of `gdb.execute(..., to_string=True)` is
    quoted as MI, and partly goes to the client.
    """
    quoted = command.replace("\\", "\\\\").replace('"', '\\"')
    return gdb.execute(f'interpreter-exec console "{quoted}"', to_string=True)

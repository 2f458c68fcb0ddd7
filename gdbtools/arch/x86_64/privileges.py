"""User mode and supervisor mode, as the levels of privilege that they are for paging.

Source: Intel SDM volume 3, "Access Rights": CPL 3 is user mode, and every other supervisor mode.
"""

from __future__ import annotations

from typing import Final

from gdbtools.arch.model import Privilege

USER: Final = Privilege(0, "user")
SUPERVISOR: Final = Privilege(1, "supervisor")
LEVELS: Final = (USER, SUPERVISOR)
USER_CPL: Final = 3

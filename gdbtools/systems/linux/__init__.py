"""Linux: what its kernel keeps where, and what it writes down for crash dumps."""

from __future__ import annotations

from typing import Final

USERS_HELPERS: Final = "copy_from_user, get_user and their like"
"""What may access a process's memory: Linux, `include/linux/uaccess.h`."""

"""Becomes a program of another user: ``as_user.py UID GID PROGRAM ARGUMENTS``, as root.

It runs as a script, of a process that is made without a copy of ours. A copy, which is what Python makes where it is to change
the user itself, is refused for want of memory to a process that has taken much.
"""

import os
import sys
from pathlib import Path


def command(user: int, group: int) -> list[str]:
    """What to put before a command, so that it is theirs."""
    return [sys.executable, "-P", str(Path(__file__)), str(user), str(group)]


if __name__ == "__main__":
    user, group, *program = sys.argv[1:]
    os.setgroups([])
    os.setgid(int(group))
    os.setuid(int(user))
    os.execve(program[0], program, os.environ)  # noqa: S606 - no shell is wanted

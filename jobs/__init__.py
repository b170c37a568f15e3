"""The command line of logitstream.

commands/      a command a file
options/       each option once, and how its value is read
show/          how results look
cli            the group of commands, and the one door from errors to exit codes
running        from options to a job, and from a job to what is shown
stopping       signals, deadlines, and how a run ends in good order
demonstration  what ``logitstream demo`` does
"""

from __future__ import annotations

import os
import sys


def _leave_current_folder() -> None:
    """Take the current folder off the path of imports, unless this package comes from it.

    ``python -m jobs.commands.score`` puts it first: anyone who can write there could have a ``numpy.py`` of their own
    run. With ``-P`` it is not there, and an entry of the same name is the user's word.
    """
    if sys.flags.safe_path or not sys.path:
        return
    try:
        here = os.getcwd()  # noqa: PTH109 - compared as text, as Python has written it there
    except OSError:
        here = ""
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - no pathlib yet
    if sys.path[0] in {"", here} and home != here:
        del sys.path[0]


_leave_current_folder()

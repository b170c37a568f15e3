"""The command line of logitstream.

commands/      the commands, one a file
options/       each option once, how its value is read, and how a shell completes it
show/          how results look
guide/         the pages of ``logitstream guide``, in Markdown
logitstream    where the command starts: it finds the packages that are installed with it
cli            the group of commands, and the only place that turns errors into exit codes
help           ``--help``: its short form, and the example at its end
running        turns options into a job, and a job into what is shown
stopping       signals, deadlines, and how a run ends in good order
demonstration  what ``logitstream demo`` does
"""

from __future__ import annotations

import os
import sys


def _leave_current_folder() -> None:
    """Remove the current folder from the path of imports, unless this package comes from it.

    ``python -m jobs.commands.score`` puts it first, and anyone who can write there could plant a ``numpy.py``. With
    ``-P`` Python does not add it, so an entry of that name comes from the user and stays.
    """
    if sys.flags.safe_path or not sys.path:
        return
    try:
        here = os.getcwd()  # noqa: PTH109 - compared as the text that Python puts on the path
    except OSError:
        here = ""
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - no pathlib yet
    if sys.path[0] in {"", here} and home != here:
        del sys.path[0]


_leave_current_folder()

"""Whether a process reaches a planned file, and finds there what was planned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.disk import show
from pipeline.errors import ConfigurationError, DataError, InputChangedError, LogitstreamError
from pipeline.sources.content import open_planned, same_state
from pipeline.sources.csv.decode import identify
from pipeline.sources.parquet.footer import read_identity

if TYPE_CHECKING:
    from pipeline.types.inputs import Identity, InputFile

_REMEDY = "let every worker see the inputs under the same paths; if they have changed since, run again"
_BEGIN_BYTES = 64 * 1024


def check_reached(file: InputFile, identity: Identity) -> None:
    """Read both ends of a file, and compare its size, its time and a digest with the plan.

    The digest is that of the footer of a Parquet file, and of both ends of any other. The begin of a Parquet file is
    read all the same: where that fails, no row could be read either.

    Raises
    ------
    ConfigurationError
        The file is not there, cannot be read, or is another one.
    """
    try:
        with open_planned(file) as opened:
            opened.read_at(_BEGIN_BYTES, 0)
            found = (read_identity if file.format == "parquet" else identify)(opened)
    except (InputChangedError, DataError) as error:
        raise ConfigurationError(error.message, _REMEDY) from error
    except LogitstreamError as error:
        raise ConfigurationError(f"{show(file.path)} cannot be read: {error.message}", _REMEDY) from error
    if not same_state(found, identity):
        raise ConfigurationError(f"{show(file.path)} is not the file that was planned", _REMEDY)

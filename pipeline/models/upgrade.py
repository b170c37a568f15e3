"""From a model file of an older version to one of the newest version that scores with the same bits."""

from __future__ import annotations

from pipeline.dataclass import dataclass
from pipeline.models.document import read, walk
from pipeline.models.kinds import kind_of, parse_model

_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A model file and what it becomes.

    Attributes
    ----------
    data : bytes
        The file in the newest version; its layout and all but the number of the version are as they were.
    before, after : int
        The versions.
    digest_before, digest_after : str
        The digests of the model.
    """

    data: bytes
    before: int
    after: int
    digest_before: str
    digest_after: str


def upgrade_model(data: bytes, name: str = "model") -> Upgrade:
    """Return the bytes of a model file in the newest version.

    Raises
    ------
    ModelError
        The file is not a valid model.
    """
    model = parse_model(data, name)
    document = read(data)
    before, after = int(str(document.member("version"))), kind_of(model).version
    if before == after:
        return Upgrade(data, before, after, model.digest(), model.digest())
    spot = next(spot for spot in walk(document.text) if spot.path == ("version",) and not spot.is_key)
    text = document.text[: spot.offset] + str(after) + document.text[spot.offset + len(spot.text) :]
    changed = (_MARK if data.startswith(_MARK) else b"") + text.encode()
    return Upgrade(changed, before, after, model.digest(), parse_model(changed, name).digest())

"""Formats of files by their first bytes and their endings, and what to do with a file that is not read as it is.

One table for all rooms: data in another format, a model in another format, data given as a model. Nothing here opens a
file.
"""

from __future__ import annotations

import re
import zlib
from functools import cache

from pipeline.dataclass import dataclass

# As many first bytes as are looked at: the mark of tar is at 257, and a line of JSON may be long.
HEAD_BYTES = 4096

_GZIP, _ZSTD = rb"\x1f\x8b", rb"\x28\xb5\x2f\xfd"
_PACKED = re.compile(r"\.(gz|gzip|zst|zstd|bz2|xz|lz4|z)\Z", re.IGNORECASE)
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")

_SAVE = "logitstream.from_sklearn(estimator).save('model.json')"
_CONVERT = f"convert it where it was made: {_SAVE}"
_IMPORT = "make a model file of it: logitstream model import FILE --output model.json"
_REFIT = "fit it with scikit-learn, and write it: logitstream.from_sklearn(estimator).save('model.json')"
_JSON_MODEL = "give the JSON file of a model; see: logitstream guide models"
_AS_DATA = "--model takes the JSON file of a model (see: logitstream guide models); data are the INPUT"
_UNPACK = "unpack it, or compress it with gzip or zstd"
_FRAME = "write it as Parquet where it was made: frame.to_parquet('data.parquet')"
_TORCH = (
    "in Python, write a state_dict with save_file of safetensors.torch (logitstream guide models), a module as ONNX:\n"
    "import torch\nmodel = torch.load('FILE', weights_only=False)\n"
    "torch.onnx.export(model.eval(), (rows,), 'model.onnx')"
)
_NO_DATA = "name the data to score as INPUT; a model that was converted to JSON goes to --model"


@dataclass(frozen=True, slots=True)
class FileFormat:
    """A format of files.

    Attributes
    ----------
    name : str
        To print after ``is``: ``an Excel workbook``.
    endings : str
        The endings of such names, without the dot, separated by blanks.
    start : bytes or None
        A pattern of what such files begin with; ``None`` where that does not tell it.
    as_input : str
        What to do where such a file is given as data; empty for what is read.
    as_model : str
        What to do where it is given as a model.
    is_pickle : bool
        Whether opening it with the library that wrote it may run code.
    is_text : bool
        Whether such files are text, so that only the ending tells them from a CSV.
    """

    name: str
    endings: str
    start: bytes | None
    as_input: str
    as_model: str = _AS_DATA
    is_pickle: bool = False
    is_text: bool = False

    def begins(self, head: bytes) -> bool:
        """Return whether the first bytes of a file tell that it has the format."""
        return bool(head) and self.start is not None and _pattern(self.start).match(head) is not None


@cache
def _pattern(start: bytes) -> re.Pattern[bytes]:
    """Return a pattern compiled, which most runs need of hardly any format."""
    return re.compile(start, re.DOTALL | re.IGNORECASE if start.startswith(rb"\s*") else re.DOTALL)


def _exported(call: str) -> str:
    return f"write it as Parquet first, in Python: pandas.{call}.to_parquet('data.parquet')"


def _unpickled(module: str) -> str:
    """Return the three lines that convert a pickled estimator in the environment of the user."""
    load = "joblib.load('FILE')" if module == "joblib" else f"{module}.load(open('FILE', 'rb'))"
    lines = (f"import {module}, pipeline as logitstream", f"estimator = {load}", _SAVE)
    return "\n".join(("convert it where it was made, in Python:", *lines))


def _copied(source: str) -> str:
    return f"write it as Parquet first, in DuckDB: COPY (FROM {source}) TO 'data.parquet'"


_KERAS = (
    "if it is a Keras model, load it with Keras and save it as .keras; then: logitstream model import model.keras "
    "--output model.json"
)

PARQUET = FileFormat("Parquet", "parquet parq pq", rb"PAR[1E](?![,;|\t\r\n\"])", "", _AS_DATA)
CSV = FileFormat("CSV", "csv tsv txt", None, "", _AS_DATA, is_text=True)
# What is decompressed as it is read, by the name of its codec.
CODECS = {
    "gzip": FileFormat("gzip", "gz gzip", _GZIP, ""),
    "zstd": FileFormat("zstd", "zst zstd", _ZSTD, ""),
}

# The first line ends as JSON, too: in a text with tabs, JSON may be the first column.
_JSON_START = rb"\s*(\[\s*)?\{[ \t]*(\"[^\r\n]*[\[\]{},])?[ \t]*(\r?\n|\Z)"

JSON_LINES = FileFormat("JSON lines", "jsonl ndjson", None, _copied("read_json('FILE')"), _JSON_MODEL, is_text=True)

VW_BINARY = FileFormat(
    "a binary model of VW",
    "vw",
    rb"[\x03-\x20]\x00\x00\x00\d+\.\d+\.\d+\x00",
    _NO_DATA,
    "train again with vw --invert_hash model.txt; then: logitstream model import model.txt --output model.json",
)

HDF5 = FileFormat("HDF5", "h5 hdf5 hdf", rb"\x89HDF\r\n\x1a\n", _exported("read_hdf('FILE')"), _KERAS)

FOREIGN = (
    FileFormat("a skops file", "skops", rb"PK\x03\x04.{26}(schema\.json|\d{6,}\.npy)", _NO_DATA, _IMPORT),
    *(
        FileFormat("a pickled object", endings, start, _FRAME, as_model, is_pickle=True)
        for endings, start, as_model in (
            ("pkl pickle joblib sav", rb"\x80[\x02-\x05]", _unpickled("joblib")),
            ("dill", None, _unpickled("dill")),
            ("cloudpickle", None, _unpickled("cloudpickle")),
            ("npz npy", rb"\x93NUMPY|PK\x03\x04.{26}[^\x00-\x1f]{1,40}\.npy", _CONVERT),
            ("pt pth", rb"PK\x03\x04.{26}[^\x00-\x1f]{0,40}data\.pkl", _TORCH),
        )
    ),
    FileFormat(
        "a model file of logitstream",
        "",
        rb"\s*\{.{0,2000}\"logitstream-model\"",
        "give it to --model, and name the data to score as INPUT",
        "",
        is_text=True,
    ),
    FileFormat("an ONNX model", "onnx", rb"\x08[\x01-\x1f][\x12\x1a\x22\x3a\x42]", _NO_DATA, _IMPORT),
    FileFormat("a PMML model", "pmml", rb"\s*(<\?xml.{0,400})?<PMML\b", _NO_DATA, _IMPORT, is_text=True),
    FileFormat("a readable model of VW", "", rb"Version \d+\.\d+\.\d+\s{1,2}Id ", _NO_DATA, _IMPORT, is_text=True),
    VW_BINARY,
    FileFormat(
        "a file of weights",
        "safetensors",
        None,
        _NO_DATA,
        "--model takes the JSON file of the network that they are the weights of (see: logitstream guide models)",
    ),
    FileFormat("a Keras file", "keras", rb"PK\x03\x04.{26}(metadata|config)\.json", _NO_DATA, _IMPORT),
    FileFormat("a model of another library", "ubj bst cbm tflite mlmodel", None, _NO_DATA, _REFIT),
    JSON_LINES,
    FileFormat("JSON", "json geojson", _JSON_START, _copied("read_json('FILE')"), "", is_text=True),
    FileFormat(
        "Arrow or Feather",
        "feather arrow arrows ipc",
        rb"ARROW1\x00\x00|FEA1\x00|\xff\xff\xff\xff.{3}\x00",
        _exported("read_feather('FILE')"),
    ),
    FileFormat("ORC", "orc", rb"ORC(?=.{0,60}[\x00-\x08])", _exported("read_orc('FILE')")),
    FileFormat("Avro", "avro", rb"Obj\x01", _copied("read_avro('FILE')")),
    FileFormat(
        "an Excel workbook",
        "xlsx xlsm xlsb ods",
        rb"PK\x03\x04.{26}(\[Content_Types\]|docProps/|xl/|_rels/|mimetypeapplication/vnd\.oasis)",
        "write it as CSV first, in Python: pandas.read_excel('FILE').to_csv('data.csv', index=False)",
    ),
    FileFormat(
        "an Excel workbook of before 2007",
        "xls",
        rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "write it as CSV first, in Python: pandas.read_excel('FILE').to_csv('data.csv', index=False)",
    ),
    FileFormat("SAS", "sas7bdat", rb"\x00{12}\xc2\xea\x81\x60\xb3\x14\x11\xcf", _exported("read_sas('FILE')")),
    FileFormat("SAS transport", "xpt", rb"HEADER RECORD\*{7}", _exported("read_sas('FILE')")),
    FileFormat("SPSS", "zsav por", rb"\$FL[23]@\(#\)", _exported("read_spss('FILE')")),
    FileFormat("Stata", "dta", rb"<stata_dta>", _exported("read_stata('FILE')")),
    FileFormat(
        "R data",
        "rds rda rdata",
        rb"RD[AX][23]\n|X\n\x00\x00\x00[\x02\x03]",
        "write it as Parquet first, in R: arrow::write_parquet(readRDS('FILE'), 'data.parquet')",
    ),
    FileFormat(
        "an SQLite database",
        "sqlite sqlite3 db db3",
        rb"SQLite format 3\x00",
        _copied("sqlite_scan('FILE', 'TABLE')"),
    ),
    FileFormat(
        "a DuckDB database",
        "duckdb ddb",
        rb".{8}DUCK(?=.{0,8}\x00)",
        "write it as Parquet first: duckdb FILE \"COPY (FROM NAME) TO 'data.parquet'\"",
    ),
    HDF5,
    FileFormat(
        "a web page",
        "html htm",
        rb"\s*<(!doctype html|html)\b",
        "download it again: this is the answer of a server, such as a log-in page",
        _JSON_MODEL,
        is_text=True,
    ),
    FileFormat("XML", "xml", rb"\s*<\?xml\b", "write it as CSV or Parquet first", _JSON_MODEL, is_text=True),
    FileFormat("PDF", "pdf", rb"%PDF-", "write its table as CSV first", _JSON_MODEL),
    FileFormat("zip", "zip", rb"PK(\x03\x04|\x05\x06|\x07\x08)", _UNPACK, _CONVERT),
    FileFormat("bzip2", "bz2", rb"BZh[1-9](1AY|\x17rE)", _UNPACK, _CONVERT),
    FileFormat("xz", "xz", rb"\xfd7zXZ", _UNPACK, _CONVERT),
    FileFormat("lz4", "lz4", rb"\x04\x22\x4d\x18", _UNPACK, _CONVERT),
    FileFormat("snappy", "snappy", rb"\xff\x06\x00\x00sNaPpY", _UNPACK, _CONVERT),
    FileFormat("a tar archive", "tar tgz", rb"(?=.{0,100}\x00).{257}ustar", _UNPACK, _CONVERT),
    FileFormat("a 7z archive", "7z", rb"7z\xbc\xaf\x27\x1c", _UNPACK, _CONVERT),
    FileFormat("a rar archive", "rar", rb"Rar!\x1a\x07", _UNPACK, _CONVERT),
)


def by_start(head: bytes, *, text: bool = True) -> FileFormat | None:
    """Return the format of which a file begins with ``head``; ``None`` where that may be CSV.

    Without ``text`` only what no text begins with is looked for. Parquet is among the formats; what is decompressed as
    it is read is not.
    """
    for known in (PARQUET, *FOREIGN):
        if (text or not known.is_text) and known.begins(head):
            return known
    return None


def by_ending(path: str) -> FileFormat | None:
    """Return the foreign format that the name of a file ends in, compressed or not; ``None`` where it is no such name.

    ``x.csv.bz2`` is bzip2, ``x.pkl.gz`` a pickled object.
    """
    inner = _PACKED.sub("", path)
    return _FORMATS.get(_ending(inner)) or _FORMATS.get(_ending(path))


def foreign_input(head: bytes, path: str) -> FileFormat | None:
    """Return the format of a file that is not read as data; ``None`` where it may be read.

    The first bytes count more than the name: a text that is called ``x.xls`` is read.
    """
    found = by_start(head)
    if found is not None:
        return None if found is PARQUET else found
    named = by_ending(path)
    is_text = bool(head) and _CONTROL.search(head) is None
    packed = any(codec.begins(head) for codec in CODECS.values())
    if named is None or named.is_pickle or named.is_text or packed:
        return named
    return None if is_text else named


def foreign_model(head: bytes, path: str) -> FileFormat | None:
    """Return the format of a file that is no model, by its first bytes or else its name; ``None`` where it may be one.

    What begins as JSON may be a model under any name except that of a pickle; JSON lines only if it says so.
    """
    named = by_ending(path)
    if named is not None and named.is_pickle:
        return named
    if named is JSON_LINES and b"logitstream-model" not in head:
        return named
    if head.startswith(b"{") and b"\x00" not in head:
        # What else is no model begins in another way, or has zeros; to compile the patterns of it all takes a while.
        return None
    found = next((known for known in (PARQUET, *FOREIGN) if known.as_model and known.begins(head)), None)
    if found is None and (inner := _unpacked(head)):
        found = next((known for known in FOREIGN if known.is_pickle and known.begins(inner)), None)
    if found is not None or head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return found
    if named is None and _ending(_PACKED.sub("", path)) in CSV.endings.split():
        named = CSV
    return named if named is not None and named.as_model else None


def _unpacked(head: bytes) -> bytes:
    """Return the first bytes of what gzip or zlib has compressed, as joblib does; empty where it has not."""
    if not head.startswith((b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")):
        return b""
    try:
        # Both kinds of heads; never more than a few bytes, whatever the rest would become.
        return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(head, 64)
    except zlib.error:
        return b""


def ends_in(path: str, known: FileFormat) -> bool:
    """Return whether the name of a file has an ending of a format."""
    return _ending(path) in known.endings.split()


def advice(known: FileFormat, path: str, *, model: bool = False) -> str:
    """Return what to do about a file of a format, with its name in the command."""
    text = known.as_model if model else known.as_input
    if "'" in path and '"' not in path and "in Python" in text:
        text = text.replace("'FILE'", '"FILE"')
    return text.replace("FILE", path)


def _ending(path: str) -> str:
    name = path.rpartition("/")[2]
    return name.rpartition(".")[2].lower() if "." in name else ""


_FORMATS = {ending: known for known in FOREIGN for ending in known.endings.split()}

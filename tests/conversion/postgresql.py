"""A PostgreSQL server for a test, from the programs on this machine, in a folder of its own and on no port."""

from __future__ import annotations

import csv
import io
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

PROGRAMS = ("initdb", "pg_ctl", "postgres", "psql")
_TYPES = {"double": "double precision", "bool": "boolean", "string": "text", "int64": "bigint"}


class QueryError(Exception):
    """What the server said of a query."""


def missing_programs() -> str:
    """Return which programs are not found; empty where all are."""
    return ", ".join(name for name in PROGRAMS if shutil.which(name) is None)


@dataclass(frozen=True)
class Server:
    """A server that is running."""

    folder: Path

    def query(self, script: str) -> list[list[str]]:
        """Return the rows of a COPY ... TO STDOUT at the end of a script, as text."""
        command = ["psql", "-h", str(self.folder), "-U", "tester", "-d", "postgres", "-qAtX", "-v", "ON_ERROR_STOP=1"]
        done = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
        if done.returncode:
            raise QueryError(done.stderr)
        return list(csv.reader(io.StringIO(done.stdout)))

    def rows(self, table: pa.Table, select: str) -> list[list[Any]]:
        """Return what a list of a SELECT makes of a table, ``None`` for null."""
        columns = ", ".join(f"{quoted(field.name)} {_TYPES[str(field.type)]}" for field in table.schema)
        lines = "".join(",".join(map(_cell, row.values())) + "\n" for row in table.to_pylist())
        names = ", ".join(map(quoted, table.column_names))
        return self.query(
            f"CREATE TEMPORARY TABLE rows (place serial, {columns});\n"
            f"COPY rows ({names}) FROM STDIN (FORMAT csv);\n{lines}\\.\n"
            f"COPY (SELECT {select} FROM rows ORDER BY place) TO STDOUT (FORMAT csv, NULL '(null)');\n"
        )


def quoted(name: str) -> str:
    """Return a name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = repr(value) if isinstance(value, float) else str(value)
    return '"' + text.replace('"', '""') + '"'


def value_of(text: str) -> Any:
    """Return a value of a COPY: a number, a boolean, text, or None."""
    if text in {"(null)", "t", "f"}:
        return {"(null)": None, "t": True, "f": False}[text]
    with suppress(ValueError):
        return float(text)
    return text


@contextmanager
def running() -> Iterator[Server]:
    """Start a server and stop it again. It does not run as root: another user of the machine is taken."""
    account = _account()
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    data = folder / "data"
    if account is not None:
        os.chown(folder, account.pw_uid, account.pw_gid)
    try:
        _run(account, ["initdb", "-D", str(data), "-A", "trust", "-U", "tester", "-E", "UTF8", "--no-sync"])
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
        log = str(folder / "log")
        _run(account, ["pg_ctl", "-D", str(data), "-w", "-l", log, "-o", options, "start"])
        folder.chmod(0o755)
        try:
            yield Server(folder)
        finally:
            _run(account, ["pg_ctl", "-D", str(data), "-w", "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(folder)


def _account() -> pwd.struct_passwd | None:
    return None if os.geteuid() else pwd.getpwnam("nobody")


def _run(account: pwd.struct_passwd | None, command: Sequence[str]) -> None:
    who = {} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    environment = {**os.environ, "LC_ALL": "C"}
    # The server keeps what it is given as output open: not a pipe.
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(command, env=environment, cwd="/", stdout=output, stderr=output, check=False, **who)
        if done.returncode:
            output.seek(0)
            raise QueryError(output.read().decode())

"""The system call renameat2(2), which Python does not have; only :mod:`pipeline.disk` uses it."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from functools import cache
from typing import Protocol

_RENAMEAT2 = {"x86_64": 316, "aarch64": 276, "riscv64": 276, "loongarch64": 276, "ppc64le": 357, "s390x": 347}


class _Rename(Protocol):
    def __call__(self, source: int, name: bytes, target: int, new_name: bytes, flags: int, /) -> int: ...


def renameat2(source: int, name: str, target: int, new_name: str, flags: int) -> None:
    """Rename below open folders with the flags of renameat2(2). Raises the system's own errors."""
    if _rename()(source, os.fsencode(name), target, os.fsencode(new_name), flags) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


@cache
def _rename() -> _Rename:
    library = ctypes.CDLL(None, use_errno=True)
    arguments = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    if hasattr(library, "renameat2"):
        library.renameat2.argtypes = arguments
        named: _Rename = library.renameat2
        return named
    return _rename_by_number(library, arguments)


def _rename_by_number(library: ctypes.CDLL, arguments: tuple[type, ...]) -> _Rename:
    number = _RENAMEAT2.get(platform.machine())
    library.syscall.argtypes = (ctypes.c_long, *arguments)

    def call(source: int, name: bytes, target: int, new_name: bytes, flags: int, /) -> int:
        if number is None:
            ctypes.set_errno(errno.ENOSYS)
            return -1
        return int(library.syscall(number, source, name, target, new_name, flags))

    return call

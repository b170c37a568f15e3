"""Mutations without guidance: the same ones for the same seed, on any machine."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

_NUMBERS = (b"\0", b"\xff", b"\x7f", b"\x80", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x01\0\0\0")

Mutation = Callable[[random.Random, bytes, Sequence[bytes], Sequence[bytes]], bytes]


def mutations(seeds: Sequence[bytes], tokens: Sequence[bytes], number: int) -> Iterator[bytes]:
    """Yield inputs without end, each one to four small changes away from one of the seeds."""
    chance = random.Random(number)
    while True:
        data = chance.choice(seeds)
        for _ in range(chance.randint(1, 4)):
            data = chance.choice(_MUTATIONS)(chance, data, tokens, seeds)
        yield data


def _span(chance: random.Random, data: bytes, longest: int) -> tuple[int, int]:
    start = chance.randrange(len(data) + 1)
    return start, min(len(data), start + chance.randint(0, longest))


def _flip(chance: random.Random, data: bytes, _: object, __: object) -> bytes:
    if not data:
        return data
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def _overwrite(chance: random.Random, data: bytes, tokens: Sequence[bytes], _: object) -> bytes:
    word = chance.choice((*_NUMBERS, *tokens))
    at = chance.randrange(len(data) + 1)
    return data[:at] + word + data[at + len(word) :]


def _insert(chance: random.Random, data: bytes, tokens: Sequence[bytes], _: object) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + chance.choice((*_NUMBERS, *tokens)) + data[at:]


def _remove(chance: random.Random, data: bytes, _: object, __: object) -> bytes:
    start, stop = _span(chance, data, 32)
    return data[:start] + data[stop:]


def _repeat(chance: random.Random, data: bytes, _: object, __: object) -> bytes:
    start, stop = _span(chance, data, 64)
    return data[:stop] + data[start:stop] * chance.randint(1, 4) + data[stop:]


def _cut(chance: random.Random, data: bytes, _: object, __: object) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _splice(chance: random.Random, data: bytes, _: object, seeds: Sequence[bytes]) -> bytes:
    other = chance.choice(seeds)
    return data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other) + 1) :]


_MUTATIONS: tuple[Mutation, ...] = (_flip, _flip, _flip, _overwrite, _insert, _remove, _repeat, _cut, _splice)

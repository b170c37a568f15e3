"""The ways to compute a function: logitstream, what people write with NumPy, and the libraries that are installed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.arrays.functions import apply
from pipeline.registry import FUNCTIONS, Function

Array = npt.NDArray[Any]
# Takes (x, out) and returns the result, which is out if that was used.
Way = Callable[[Array, Array], Any]

OURS, NEW, SCIPY, TORCH, COPY = "logitstream", "new array", "scipy", "torch", "copy"
# As people write it, and with its last step writing into an existing array.
ONE_LINER, ONE_LINER_OUT = "numpy", "numpy out="


def ways_of(name: str) -> dict[str, Way]:
    """Return the ways to compute a function by their names, without libraries that are not installed.

    ``logitstream``, ``numpy out=`` (the one-liner), and ``scipy`` and ``torch`` if they can, write into an existing
    array. ``numpy``, the one-liner as people write it, and ``new array``, logitstream without ``out``, make a new one.
    ``copy`` only copies: the least that memory takes.
    """
    entry = FUNCTIONS[name]
    ways: dict[str, Way] = {
        COPY: lambda x, out: np.copyto(out, x),
        OURS: lambda x, out: apply(name, x, out=out),
        NEW: lambda x, _: apply(name, x),
    }
    special = _scipy_special()
    if not entry.needed or special is not None:
        one_liner = partial(entry.numpy, np, **({entry.needed: getattr(special, entry.needed)} if entry.needed else {}))
        ways[ONE_LINER] = lambda x, _: one_liner(x)
        ways[ONE_LINER_OUT] = _into(one_liner)
    if special is not None and entry.scipy:
        ways[SCIPY] = _scipy(getattr(special, entry.scipy), several=entry.several)
    if entry.torch and find_spec("torch") is not None:
        ways[TORCH] = _torch(entry)
    return ways


def sigmoid_forms() -> dict[str, Callable[[Array], Array]]:
    """Return the forms of the sigmoid that are compared, by their usual names."""
    forms: dict[str, Callable[[Array], Array]] = {
        "naive": lambda x: 1 / (1 + np.exp(-x)),
        "clipped": lambda x: 1 / (1 + np.exp(-np.clip(x, -500, 500))),
        "np.where": lambda x: np.where(x >= 0, 1 / (1 + np.exp(-x)), np.exp(x) / (1 + np.exp(x))),
    }
    if (special := _scipy_special()) is not None:
        forms[SCIPY] = special.expit
    if find_spec("torch") is not None:
        way = _torch(FUNCTIONS["sigmoid"])
        forms[TORCH] = lambda x: np.asarray(way(x, np.empty_like(x)))
    forms[OURS] = lambda x: np.asarray(apply("sigmoid", x))
    return forms


def versions() -> dict[str, str]:
    """Return the versions of the libraries that take part."""
    found = {"numpy": np.__version__}
    if find_spec("scipy") is not None:
        import scipy  # noqa: PLC0415 - optional

        found[SCIPY] = scipy.__version__
    if find_spec("torch") is not None:
        import torch  # noqa: PLC0415 - optional

        found[TORCH] = str(torch.__version__)
    return found


def use_one_thread() -> None:
    """Make PyTorch compute in the calling thread, as NumPy does: the benchmark starts threads itself."""
    if find_spec("torch") is not None:
        import torch  # noqa: PLC0415 - optional

        torch.set_num_threads(1)


def _into(function: Callable[..., Any]) -> Way:
    return lambda x, out: function(x, out=out)


def _scipy_special() -> Any:
    if find_spec("scipy") is None:
        return None
    import scipy.special  # noqa: PLC0415 - optional

    return scipy.special


def _scipy(function: Callable[..., Any], *, several: bool) -> Way:
    # Its ufuncs take out; its softmax is not a ufunc.
    return (lambda x, _: function(x, axis=-1)) if several else _into(function)


def torch_function(entry: Function) -> Callable[..., Any]:
    """Return the function of PyTorch that an entry names, with its options."""
    import torch  # noqa: PLC0415 - optional

    function: Any = torch
    for part in entry.torch.split("."):
        function = getattr(function, part)
    return partial(function, **entry.torch_options)


def _torch(entry: Function) -> Way:
    import torch  # noqa: PLC0415 - optional

    function = torch_function(entry)
    one = torch.zeros(1, dtype=torch.float64)
    try:
        function(one, out=one.clone())
    except TypeError:
        return lambda x, _: function(torch.from_numpy(x)).numpy()
    return lambda x, out: function(torch.from_numpy(x), out=torch.from_numpy(out)).numpy()

"""The ways to compute a function: ours, what people write with NumPy, and the libraries that are installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.arrays.functions import apply
from pipeline.registry import FUNCTIONS

Array = npt.NDArray[Any]
# Of (x, out): what has been computed, which is out where that was used.
Way = Callable[[Array, Array], Any]

OURS, NEW, ONE_LINER, SCIPY, TORCH, COPY = "logitstream", "new array", "numpy", "scipy", "torch", "copy"

_SCIPY = {"sigmoid": "expit", "log_sigmoid": "log_expit", "logit": "logit"}
_TORCH = {
    "sigmoid": "sigmoid",
    "log_sigmoid": "nn.functional.logsigmoid",
    "logit": "logit",
    "tanh": "tanh",
    "relu": "relu",
    "leaky_relu": "nn.functional.leaky_relu",
    "softplus": "nn.functional.softplus",
    "silu": "nn.functional.silu",
    "hard_sigmoid": "nn.functional.hardsigmoid",
    "gelu": "nn.functional.gelu",
    "gelu_tanh": "nn.functional.gelu",
    "elu": "nn.functional.elu",
    "softmax": "nn.functional.softmax",
}
_TORCH_OPTIONS: Mapping[str, Mapping[str, Any]] = {"gelu_tanh": {"approximate": "tanh"}, "softmax": {"dim": -1}}
_TORCH_OUT = {"sigmoid", "logit", "tanh"}


def ways_of(name: str) -> dict[str, Way]:
    """Return the ways to compute a function, by who does; of those that are not installed there is none.

    ``logitstream``, ``scipy`` and, where it can, ``torch`` write into an array that stands there; ``numpy``, the
    one-liner, and ``new array``, which is ours without ``out``, make one. ``copy`` only copies: what memory takes at
    least.
    """
    entry = FUNCTIONS[name]
    ways: dict[str, Way] = {
        COPY: lambda x, out: np.copyto(out, x),
        OURS: lambda x, out: apply(name, x, out=out),
        NEW: lambda x, _: apply(name, x),
    }
    special = _scipy_special()
    if name != "gelu":
        ways[ONE_LINER] = lambda x, _: entry.numpy(np, x)
    elif special is not None:
        ways[ONE_LINER] = lambda x, _: entry.numpy(np, x, erf=special.erf)
    if special is not None and name in _SCIPY:
        ways[SCIPY] = _into(getattr(special, _SCIPY[name]))
    elif special is not None and name == "softmax":
        ways[SCIPY] = lambda x, _: special.softmax(x, axis=-1)
    if name in _TORCH and find_spec("torch") is not None:
        ways[TORCH] = _torch(name)
    return ways


def sigmoid_forms() -> dict[str, Callable[[Array], Array]]:
    """Return the forms of the sigmoid that are compared, by what people call them."""
    forms: dict[str, Callable[[Array], Array]] = {
        "naive": lambda x: 1 / (1 + np.exp(-x)),
        "clipped": lambda x: 1 / (1 + np.exp(-np.clip(x, -500, 500))),
        "np.where": lambda x: np.where(x >= 0, 1 / (1 + np.exp(-x)), np.exp(x) / (1 + np.exp(x))),
    }
    if (special := _scipy_special()) is not None:
        forms[SCIPY] = special.expit
    if find_spec("torch") is not None:
        way = _torch("sigmoid")
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
    """Have PyTorch compute in the thread that calls it, as NumPy does: threads are ours to start."""
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


def _torch(name: str) -> Way:
    import torch  # noqa: PLC0415 - optional

    function: Any = torch
    for part in _TORCH[name].split("."):
        function = getattr(function, part)
    options = _TORCH_OPTIONS.get(name, {})

    def way(x: Array, out: Array) -> Any:
        if name in _TORCH_OUT:
            return function(torch.from_numpy(x), out=torch.from_numpy(out)).numpy()
        return function(torch.from_numpy(x), **options).numpy()

    return way

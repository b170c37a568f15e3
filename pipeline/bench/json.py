"""A benchmark as plain values for programs, ready for :func:`json.dumps`.

``kind: "bench-functions"``
    ``machine``, ``cores``, ``versions``, ``size``, ``dtype``, ``threads``, ``rounds``, ``clock``; ``functions``, each
    with ``name``, ``share_of_copy`` and ``contenders``: ``logitstream``; ``new array``, the same without ``out``;
    ``numpy``, the one-liner; ``numpy out=``, the same into an existing array; ``scipy``; ``torch``; ``copy``. Each has
    ``ns`` an element, ``ratio`` (the time of logitstream over this one), ``gb_per_s``, and ``traced_bytes`` and
    ``resident_bytes`` beyond x and the result. ``sigmoid``, null if it was not measured, has ``ns`` by form and
    ``ranges``, each with ``low``, ``high`` and ``errors`` by form, in units in the last place (null if the form gives
    NaN or infinity).

Within one schema version keys are added, never renamed, removed or given another meaning.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.bench.run import Bench, FunctionCosts

SCHEMA_VERSION = 1

Json = dict[str, object]


def bench_json(bench: Bench) -> Json:
    """Return a benchmark under the keys that the module documents."""
    sigmoid: Json = {
        "ns": {name: cost.ns for name, cost in bench.forms.items()},
        "ranges": [
            {
                "low": each.low,
                "high": each.high,
                "errors": {name: error if math.isfinite(error) else None for name, error in each.errors.items()},
            }
            for each in bench.errors
        ],
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "bench-functions",
        "machine": bench.machine,
        "cores": bench.cores,
        "versions": dict(bench.versions),
        "size": bench.size,
        "dtype": bench.dtype,
        "threads": bench.threads,
        "rounds": bench.rounds,
        "clock": bench.clock,
        "functions": [_function(each) for each in bench.functions],
        "sigmoid": sigmoid if bench.errors else None,
    }


def _function(measured: FunctionCosts) -> Json:
    return {
        "name": measured.name,
        "share_of_copy": measured.share_of_copy,
        "contenders": {
            who: {
                "ns": cost.ns,
                "ratio": cost.ratio,
                "gb_per_s": measured.gigabytes_per_second(who),
                "traced_bytes": cost.traced_bytes,
                "resident_bytes": cost.resident_bytes,
            }
            for who, cost in measured.costs.items()
        },
    }

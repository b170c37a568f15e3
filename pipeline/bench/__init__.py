"""The cost and the accuracy of functions on this machine, compared with NumPy, SciPy and PyTorch.

contenders  the ways to compute a function
accuracy    forms of the sigmoid against its exact value
cost        time and memory of calls
run         all of it
"""

from pipeline.bench.accuracy import RangeErrors, sigmoid_errors
from pipeline.bench.contenders import COPY, NEW, ONE_LINER, ONE_LINER_OUT, OURS, SCIPY
from pipeline.bench.cost import Cost
from pipeline.bench.json import bench_json
from pipeline.bench.run import Bench, FunctionCosts, bench_functions

__all__ = [
    "COPY",
    "NEW",
    "ONE_LINER",
    "ONE_LINER_OUT",
    "OURS",
    "SCIPY",
    "Bench",
    "Cost",
    "FunctionCosts",
    "RangeErrors",
    "bench_functions",
    "bench_json",
    "sigmoid_errors",
]

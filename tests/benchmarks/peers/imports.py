"""Imports the packages that a job of ours is built on, and ends: what any process on them pays before it does anything.

They are loaded as the command loads them: one thread of OpenBLAS, no search for plugins, no garbage collected, and
without what Arrow and Dask would load only because it is installed.
"""

import gc
import os
import sys

os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
gc.disable()
sys.modules.update(dict.fromkeys(("dask.widgets.widgets", "pandas", "scipy")))

import click  # noqa: E402, F401 - after what decides how they are loaded
import dask  # noqa: E402, F401
import numpy  # noqa: E402, F401
import psutil  # noqa: E402, F401
import pyarrow.parquet  # noqa: E402, F401
from pydantic import BaseModel  # noqa: E402, F401 - the package itself loads nothing

gc.freeze()

"""Decoded columns between passes: the same bits wherever they are held, within their bound, and nothing left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.fitting.holding import Holding, held_in_memory
from pipeline.fitting.scanning import open_passes
from pipeline.fitting.scratch import scratch_below
from tests.fitting.scans import ROWS, needs_of, numbers_design, numbers_table, prepared, write
from tests.fitting.test_scanning import COLUMNS, points
from pipeline.fitting.packing import pack_sums

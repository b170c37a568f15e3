"""What tests of conversions share."""

from __future__ import annotations

# The first import of threadpoolctl sets a variable of the environment, which no test may change.
import threadpoolctl  # noqa: F401

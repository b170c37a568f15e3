"""Runs a command of logitstream under Python's profiler: CHECKOUT TARGET WORD...

The clock is the time that the main thread spends on the processor; what was found is written to TARGET.
"""

import cProfile
import sys
import time

if __name__ == "__main__":
    _, checkout, target, *words = sys.argv
    sys.path[0] = checkout
    sys.argv = ["logitstream", *words]
    from jobs.logitstream import main

    profiler = cProfile.Profile(time.thread_time)
    try:
        profiler.runcall(main)
    finally:
        profiler.dump_stats(target)

"""Measurements of whole processes: run by hand, on a machine that does nothing else. FOLDER keeps generated data.

``python -m tests.benchmarks.suite FOLDER`` compares the time and memory of named cases with peers, with
``--before CHECKOUT`` also with another revision; ``python -m tests.benchmarks.compare OLD.json NEW.json`` compares two
of its results; ``python -m tests.benchmarks.profile FOLDER`` shows in which rooms the time of a case goes;
``python -m tests.benchmarks.memory FOLDER`` compares measured with projected memory.
"""

"""Measurements of whole processes: run by hand, on a machine that does nothing else.

``python -m tests.benchmarks.score FOLDER`` compares the time and memory of scoring with peers;
``python -m tests.benchmarks.memory FOLDER`` compares measured with projected memory. FOLDER keeps generated data.
"""

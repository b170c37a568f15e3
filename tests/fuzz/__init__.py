"""Fuzz targets: any bytes, given as a file, are the right rows or a clean refusal.

    python -m tests.fuzz [TARGET ...] --seconds 60

Each target is a function of bytes. With atheris installed the command feeds it inputs that reach new code; in the test
suite it runs over its seeds and some mutations of them.
"""

"""The values that pass between the rooms, and the protocols of the rooms: frozen dataclasses, a module for each use.

    inputs -> source --FileFacts--> plan --Chunk--> step --Outcome--> reduce, or publish -> Report

inputs    input files, their facts, and the columns that a job needs
rows      slices, chunks, bad cells, accounts
sources   readers of one kind of file
work      work and its outcome, and the schedulers that carry it out
blocks    functions that compute on one batch
outputs   files that are written, and what writes them
job       what a caller asks for
report    plans, events and reports for people and programs

Nothing here opens a file, and Arrow is imported only for type annotations.
"""

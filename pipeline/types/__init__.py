"""The arrows between the rooms, and the protocols that the rooms fulfil: frozen dataclasses, one module an audience.

    inputs -> source --FileFacts--> plan --Chunk--> step --Outcome--> reduce, or publish -> Report

inputs    what lies outside: files, their facts, what a job needs of them
rows      slices, chunks, bad cells, accounts
sources   what reads one kind of file
work      work and its outcome, and what carries it out
blocks    what computes on one batch
outputs   what is written, and what writes it
job       what a caller asks for
report    what people and programs are told

Nothing here opens a file, and Arrow is imported for its types alone.
"""

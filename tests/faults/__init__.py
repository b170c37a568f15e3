"""The fault campaign: the promises of a run, checked against every fault that can be made on one machine.

python -m tests.faults --minutes 60 --seed 7     everything, the open-ended parts for an hour in all
python -m tests.faults steps power --minutes 10  some parts
python -m tests.faults --bounded                 what CI runs: the same parts, each cut to some seconds

Every part prints what it counted. A violation is printed with how to repeat it, and the command ends with 1.
"""

"""Tasks on a Dask cluster that is running already.

opening      opens a scheduler on a cluster
connecting   connects, compares versions, and ends the connection
greeting     whether a scheduler greets a connection as its address says
outlook      what a plan says about a cluster
scheduler    the scheduler: what it shares with the workers, and its runs
window       the tasks under way in a run
carrying     how a task travels: a worker that cannot load it says so and goes on
suspects     which task ended the workers that died
keys         what tasks are called on the scheduler
meeting      what a worker answers with its first task: versions, memory, and whether it reads and writes
versions     whether processes have the same versions
plugin       bytes that travel once to each worker
link         the connection: questions to the scheduler, waited for without losing sight of it
pulse        what is known of the scheduler and its workers, once a second
restarts     workers that were started again because of their memory
loop         the event loop of the client, in one thread
quiet        what changes in this process for the time of a connection
faults       the errors of all these

Import the modules by themselves: distributed costs a quarter of a second.
"""

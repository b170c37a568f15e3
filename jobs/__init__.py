"""The command line of logitstream: one file a job."""

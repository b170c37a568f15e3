"""What is asked for: the job, the terms of its features, what they are in the files, and what the fit will do."""

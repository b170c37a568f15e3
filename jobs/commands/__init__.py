"""A command a file: its arguments, its help, and the call that carries it out."""

"""What a person or a program reads of a plan and of a run: plain text and plain values, nothing drawn."""

"""How results look: tables, lines and bars for a person, JSON for a program."""

"""Rules of security that hold for the whole project; which test holds which rule is a table in ``test_rules.py``."""

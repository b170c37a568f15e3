"""Models from other tools, and for them."""

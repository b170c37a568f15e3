"""Terms, with what was learnt, as columns of tiles and as features of a model file."""

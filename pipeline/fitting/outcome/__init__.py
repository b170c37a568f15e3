"""What comes out: the model file, errors, measures, marginal effects, profiles, and what a person should know."""

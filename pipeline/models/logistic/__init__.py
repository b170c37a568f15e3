"""Logistic models: the file, its features, and scoring with it."""

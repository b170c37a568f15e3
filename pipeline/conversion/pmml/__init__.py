"""Models as PMML documents, in and out."""

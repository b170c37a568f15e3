"""What the first pass learns: classes, vocabularies, moments, histograms, accounts, and a sample of the rows."""

"""Networks: dense layers over named columns, with their weights in a file beside the model."""

"""Networks: layers over named columns, numbers or lists of them, with their weights in a file beside the model."""

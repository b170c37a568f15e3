"""Networks of other tools: layers one after the other, and the model file that they become."""

"""Networks in ONNX graphs: a graph is followed to layers one after the other."""

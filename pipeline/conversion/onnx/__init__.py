"""ONNX graphs: models read from them, and models written as them."""

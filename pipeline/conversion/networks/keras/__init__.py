"""Files of Keras 3, read without Keras."""

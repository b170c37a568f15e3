"""Mathematics of network layers on one block."""

from pipeline.kernels.layers.initial import Seed, default_gain, generator, glorot, he, normal

__all__ = ["Seed", "default_gain", "generator", "glorot", "he", "normal"]

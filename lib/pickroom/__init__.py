"""Pickroom: pick the best of every group of near-duplicate images, and teach a model to do it with you."""

__version__ = "0.1.0"

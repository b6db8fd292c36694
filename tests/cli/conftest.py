"""Photographs and a small OpenCLIP checkpoint, as tests of encoders need them."""

from support.encoding import checkpoint, config, photo_project

__all__ = ["checkpoint", "config", "photo_project"]

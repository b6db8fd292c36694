"""The demo: stage series made from the photographs of `photos/`, and a hidden reviewer's choices."""

from pickroom.demo.config import DEFECT_KINDS, DemoConfig
from pickroom.demo.make import IMAGES_FOLDER, TRUTH_FILE, make_images
from pickroom.demo.simulate import simulated_recommendations
from pickroom.demo.truth import Truth, read_truth

__all__ = [
    "DEFECT_KINDS",
    "IMAGES_FOLDER",
    "TRUTH_FILE",
    "DemoConfig",
    "Truth",
    "make_images",
    "read_truth",
    "simulated_recommendations",
]

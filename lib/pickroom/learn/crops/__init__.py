"""The crop model: where the user crops an image, and whether."""

"""Group images by the stages in their names, by capture time, or by similarity; list ungrouped images with reasons."""

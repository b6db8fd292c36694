"""The sorter: images to named character folders, by keys, with suggestions from their nearest neighbours."""

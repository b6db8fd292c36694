"""The sorter: send images to named character folders by keys, with suggestions from nearest neighbours."""

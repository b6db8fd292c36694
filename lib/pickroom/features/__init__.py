"""What is computed from pixels for learning: encoders, regions, sibling consistency, and the store of vectors."""

"""What is computed from pixels for learning: encoders, blocks, sibling consistency, and the store of vectors."""

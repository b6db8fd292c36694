"""The demo: stage series made from the photographs in `photos/`, and a simulated user's choices."""

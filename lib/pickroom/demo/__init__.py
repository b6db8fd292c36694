"""The demo: stage series made from the photographs of `photos/`, and a hidden reviewer's choices."""

"""The demo: stage series made from photographs that installed packages ship, and a hidden reviewer's choices."""

"""The simulation behind benchmarks/taste.py: photographs, stages, defects, clean edits, projects, and the scoring."""

"""The simulation behind benchmarks/taste.py: photographs, stages, defects, clean edits, projects, and how it is scored."""

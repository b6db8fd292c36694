"""Image files: finding them, reading them upright, previews, what is written inside them, rendering crops."""

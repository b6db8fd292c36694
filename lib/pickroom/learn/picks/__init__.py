"""The preference model: which image of a group the user picks."""

"""Groups and models give recommendations; without a model, the stated baseline does."""

"""Records, errors, geometry, file names and numbers: values that every other package uses."""

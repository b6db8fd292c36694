"""The checks of `pickroom doctor`: the machine, then the workspace and its projects. They change nothing."""

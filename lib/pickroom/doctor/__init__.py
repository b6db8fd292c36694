"""What `pickroom doctor` looks at: the machine, then the workspace and its projects. It changes nothing."""

"""What `pickroom doctor` looks at: the machine, then the workspace and its projects. It leaves nothing changed."""

"""The command line: reads arguments, calls the package, prints. Results go to stdout, everything else to stderr.

Exit codes (FORMATS.md): 0 done, 1 a check failed, 2 wrong use. Each module here holds the commands of one subject;
what these call is imported by `console.lazily`, so that `pickroom --help` answers at once.
"""

from importlib import import_module

from pickroom.cli.console import app, main

__all__ = ["app", "main"]

_MODULES = "analysis auto backup history learn opening project review tools"
for _name in _MODULES.split():
    import_module(f"pickroom.cli.{_name}")  # importing one declares its commands

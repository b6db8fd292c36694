"""The command line: reads arguments, calls the package, prints. Results go to stdout, everything else to stderr.

Exit codes (FORMATS.md): 0 done, 1 a check failed, 2 wrong use. Each module here holds the commands of one room;
heavy imports stay inside the commands, so that `pickroom --help` answers at once.
"""

from pickroom.cli import (  # noqa: F401 (importing them declares their commands)
    analysis,
    auto,
    backup,
    crop,
    demo,
    duplicates,
    embed,
    exports,
    history,
    learn,
    project,
    reclaim,
    review,
    tools,
)
from pickroom.cli.console import app, main
from pickroom.cli.doctor import command  # noqa: F401 (importing it declares its command)

__all__ = ["app", "main"]

"""Entry of the launcher: `python -m ops`.

Imports nothing of weight itself, so that an environment whose files are damaged ends in
one sentence, whichever package it is that does not load.
"""

import sys
from pathlib import Path

from ops.exit_codes import ExitCode

_ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Run the command line; say so where a package of the environment does not load."""
    try:
        from ops.cli import main as run_command_line

        run_command_line()
    except (ImportError, SyntaxError) as error:
        if not is_of_environment(error):
            raise
        sys.stderr.write(
            f"cellward: the environment is damaged ({error}); remove it, and the next"
            f" start makes it anew: rm -r {sys.prefix}\n"
        )
        sys.exit(int(ExitCode.SETUP))


def is_of_environment(error: ImportError | SyntaxError) -> bool:
    """Say whether a package of the environment failed to load, not a module of ours."""
    if isinstance(error, SyntaxError):
        # A file that a power cut left full of zeros has no name here.
        return error.filename is None or "site-packages" in error.filename
    name = (error.name or "").partition(".")[0]
    return not (name and (_ROOT / name).is_dir())


if __name__ == "__main__":
    main()

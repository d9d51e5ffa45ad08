"""Which process works under a name right now.

A name in a command line does not tell: a spare beside the supervisor has the same, and
so has one that still starts. Life signs are signed by the one that works.
"""

from pathlib import Path

from cell.mailbox.beats import Beats


def read_pid(runtime: Path, name: str) -> int:
    """Return the id of the process that beat last under a name, 0 when none ever did.

    Args:
        runtime: folder with the life signs.
        name: of the process, as in logs.
    """
    beats = Beats.open(runtime / "beats")
    try:
        return beats.read_pid(name)
    finally:
        beats.close()


def is_alive(pid: int, runtime: Path) -> bool:
    """Say whether a process id still belongs to a process of this cell."""
    if pid <= 0:
        return False
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return str(runtime).encode() in command

"""How a warm spare waits for the end of the process that it is to replace.

Host and spare share a pair of sockets. The spare says that it is warm; the host gives
it its turn, or closes its end, as the kernel does when the host ends first.
"""

import contextlib
import os
import sys

WARM = b"w"
TURN = b"t"


def wait_for_turn(descriptor: int) -> None:
    """Say that this process is warm and wait; end quietly when it is not needed."""
    said = b""
    # The host closes its end with the turn that it gives, perhaps before we are warm.
    with contextlib.suppress(OSError):
        os.write(descriptor, WARM)
    with contextlib.suppress(OSError):
        said = os.read(descriptor, 1)
    os.close(descriptor)
    if said != TURN:
        sys.exit(0)

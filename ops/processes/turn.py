"""How a warm spare waits for the end of the process that it is to replace.

Host and spare share a pair of sockets. The spare says that it is warm; the host gives
it its turn, or closes its end, as the kernel does when the host ends first.
"""

import os
import sys

WARM = b"w"
TURN = b"t"


def wait_for_turn(descriptor: int) -> None:
    """Say that this process is warm and wait; end quietly when it is not needed."""
    has_turn = False
    try:
        os.write(descriptor, WARM)
        has_turn = os.read(descriptor, 1) == TURN
    except OSError:
        # The host closed its end without having read what we said.
        pass
    finally:
        os.close(descriptor)
    if not has_turn:
        sys.exit(0)

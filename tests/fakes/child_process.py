"""A process for the host to look after: beats for a while, as its config file says.

The config is one JSON document: `beats` is the number of life signs before it falls
silent, `exit_code` ends it after them, `is_deaf` makes it ignore the request to end.
As a spare it waits for its turn first; `waits` is False for one that does not live to.
"""

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

from cell.mailbox.beats import Beats
from ops.processes.turn import wait_for_turn

NAME = "child"


def main() -> int:
    """Beat, then do what the document says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path)
    parser.add_argument("--digest")
    parser.add_argument("--runtime", type=Path)
    parser.add_argument("--turn", type=int)
    arguments = parser.parse_args()
    wanted = json.loads(arguments.config.read_text())
    if arguments.turn is not None:
        (arguments.runtime / f"spare-{os.getpid()}").touch()
        if not wanted.get("waits", True):
            return 0
        wait_for_turn(arguments.turn)
    if wanted["is_deaf"]:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    beats = Beats.open(arguments.runtime / "beats")
    for _ in range(wanted["beats"]):
        beats.beat(NAME, time.monotonic_ns())
        time.sleep(0.01)
    if wanted["exit_code"] is not None:
        sys.stderr.write(f"some library said this\n{NAME}: that will never do\n")
        return int(wanted["exit_code"])
    while True:
        time.sleep(1.0)


if __name__ == "__main__":
    sys.exit(main())

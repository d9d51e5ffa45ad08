"""Parts that rows wait for, and how one would notice that they are there.

A row that is not tried names its part. A test looks for each of them in the names of
modules and in the keys of the configuration, so that no row outlives its reason.
"""

from collections.abc import Mapping
from typing import Final

NOT_BUILT: Final = "part not built yet: "

AUDIT_LOG: Final = "audit log"
FIDUCIALS: Final = "fiducial drift check"
FLIGHT_RECORDER: Final = "flight recorder"
GOLDEN_ANSWERS: Final = "golden answers and shadow run of snapshots"
HMI: Final = "HMI"
HOT_SWAP: Final = "hot swap of models"
OUTBOX: Final = "MQTT client and its outbox"
SNAPSHOTS: Final = "signed snapshots and hot swap"

MARKS: Final[Mapping[str, tuple[str, ...]]] = {
    AUDIT_LOG: ("audit",),
    FIDUCIALS: ("fiducial",),
    FLIGHT_RECORDER: ("flight_recorder", "ops/recorder", "mcap"),
    GOLDEN_ANSWERS: ("golden",),
    HMI: ("hmi",),
    HOT_SWAP: ("hot_swap", "swap"),
    OUTBOX: ("mqtt", "outbox"),
    SNAPSHOTS: ("snapshot",),
}
"""By part: what stands in the name of a module, or in a key of the configuration, once
it is built."""


def find_marks(names: frozenset[str], part: str) -> tuple[str, ...]:
    """Return the names that say that a part is there.

    Args:
        names: of modules with their folders, and of configuration keys.
        part: one of `MARKS`.
    """
    marks = MARKS[part]
    return tuple(sorted(n for n in names if any(mark in n.lower() for mark in marks)))

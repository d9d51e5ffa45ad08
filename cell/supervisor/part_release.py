"""The release at the outfeed that is under way, so that a stop can see its end."""

from dataclasses import dataclass


@dataclass
class PartRelease:
    """Fingers that were told to let go do so whatever happens to the cycle meanwhile.

    Attributes:
        grip_m: opening at which they held the part, None while there is no release
            whose end is still to be seen [m].
        since_ns: monotonic clock when the part before it was placed.
    """

    grip_m: float | None = None
    since_ns: int = 0

    def begin(self, grip_m: float, since_ns: int) -> None:
        """Say that fingers which hold a part at `grip_m` are about to open [m]."""
        self.grip_m, self.since_ns = grip_m, since_ns

    def end(self) -> None:
        """Say that nothing is left to be seen of it."""
        self.grip_m = None

"""When the newest sample of the robot arrived, judged by the robot's own clock. Pure.

A connection that answers proves nothing: only a clock that moved on makes a sample
fresh. One that goes back is that of a controller that was restarted or replaced behind
the link, so its samples stay as old as the last one before it.
"""


class SampleStamp:
    """Follows the robot's clock over one connection."""

    def __init__(self) -> None:
        self._robot_time_s = -1.0
        self._stamp_ns = 0

    def follow(self, robot_time_s: float, now_ns: int) -> int:
        """Return our clock at the arrival of the newest sample [ns].

        Args:
            robot_time_s: the robot's clock in what was read just now.
            now_ns: our monotonic clock.
        """
        # Written so that a clock that is no number makes nothing fresh.
        if robot_time_s > self._robot_time_s:
            self._robot_time_s, self._stamp_ns = robot_time_s, now_ns
        return self._stamp_ns

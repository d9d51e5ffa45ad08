"""Hard maxima of a UR5e cell. The configuration may only be tighter.

The robot's own safety configuration is the authority on the machine; these numbers
keep a slip of the pen in `config.yaml` from asking for more.
"""

import math
from typing import Final

JOINT_POSITION_RAD: Final = 2 * math.pi
"""UR5e data sheet: every joint turns +-360 deg."""

JOINT_SPEED_RADPS: Final = math.pi
"""UR5e data sheet: 180 deg/s on every joint."""

JOINT_ACCELERATION_RADPS2: Final = 40.0
"""What the client library takes at most (ur_rtde 1.6.5, joint acceleration 0 to 40);
Universal Robots names no highest acceleration. With it the arm is at full speed after
80 ms, which is more than it does under load: a larger number would check nothing."""

JOINT_JERK_RADPS3: Final = 20_000.0
"""From full acceleration to full deceleration in two cycles of 2 ms; a larger number
would check nothing."""

TCP_SPEED_MPS: Final = 3.0
"""Three times the typical tool speed of the UR5e data sheet."""

TCP_FORCE_N: Final = 250.0
"""Force limit of the least restrictive preset of the UR e-Series safety settings."""

TCP_TORQUE_NM: Final = 50.0
"""What 250 N give at a lever of 0.2 m, the length of a usual tool."""

REACH_M: Final = 0.95
"""UR5e data sheet: a reach of 850 mm; and 100 mm of tool."""

ZONE_RANGE_M: Final = 5.0
"""Nothing of the cell that the arm could touch lies further from its base."""

TOOL_RANGE_M: Final = 0.6
"""Nothing on the flange reaches further."""

ZONE_COUNT: Final = 24
"""A bound on the time that the guard takes in one cycle."""

TOOL_CAPSULE_COUNT: Final = 8
"""The same, for the tool."""

FRESHNESS_S: Final = 0.1
"""A command older than this moves nothing, whatever the configuration says."""

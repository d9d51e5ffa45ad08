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
"""Above what the drives give under load; a larger number would check nothing."""

TCP_SPEED_MPS: Final = 3.0
"""Three times the typical tool speed of the UR5e data sheet."""

REACH_M: Final = 0.95
"""UR5e data sheet: a reach of 850 mm; and 100 mm of tool."""

FRESHNESS_S: Final = 0.1
"""A command older than this moves nothing, whatever the configuration says."""

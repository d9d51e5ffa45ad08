"""Forward kinematics of the UR5e in plain numpy.

For what is computed once, when a configuration is read: compiling a kernel would take
longer than all the rest.
"""

import numpy as np

from cell.contracts.arm_geometry import DH_A_M, DH_COS_ALPHA, DH_D_M, DH_SIN_ALPHA
from cell.contracts.geometry import Vector


def compute_frames(q: Vector) -> list[Vector]:
    """Return base and the six Denavit-Hartenberg frames at `q`, shape (4, 4) each.

    Args:
        q: joint positions, shape (6,) [rad].
    """
    frames = [np.eye(4)]
    for i in range(6):
        c, s = np.cos(q[i]), np.sin(q[i])
        ca, sa = DH_COS_ALPHA[i], DH_SIN_ALPHA[i]
        step = np.array(
            [
                [c, -s * ca, s * sa, DH_A_M[i] * c],
                [s, c * ca, -c * sa, DH_A_M[i] * s],
                [0.0, sa, ca, DH_D_M[i]],
                [0.0, 0.0, 0.0, 1.0],
            ]
        )
        frames.append(frames[-1] @ step)
    return frames

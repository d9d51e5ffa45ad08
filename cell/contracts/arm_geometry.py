"""Lengths and twists of the UR5e, as published by Universal Robots.

Denavit-Hartenberg numbers from https://www.universal-robots.com, article "DH
parameters", joint by joint: offset along the joint's axis, length to the next axis, and
cosine and sine of the twists pi/2, 0, 0, pi/2, -pi/2, 0, exact.
"""

from typing import Final

DH_D_M: Final = (0.1625, 0.0, 0.0, 0.1333, 0.0997, 0.0996)
DH_A_M: Final = (0.0, -0.425, -0.3922, 0.0, 0.0, 0.0)
DH_COS_ALPHA: Final = (0.0, 1.0, 1.0, 0.0, 0.0, 1.0)
DH_SIN_ALPHA: Final = (1.0, 0.0, 0.0, 1.0, -1.0, 0.0)

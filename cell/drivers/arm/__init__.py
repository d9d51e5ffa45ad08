"""Drivers of the arm: over RTDE, and a kinematic one."""

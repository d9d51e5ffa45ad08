"""Devices, servo process and supervisor of the grasp cell."""

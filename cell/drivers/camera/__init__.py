"""Cameras: RealSense hardware, its software device fed over TCP, recordings."""

"""The servo process: the only writer to the robot, at a fixed rate."""

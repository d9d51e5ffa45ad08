"""The cell in MuJoCo: parts, robot, fixtures, clutter and pictures."""

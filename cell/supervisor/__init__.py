"""The supervisor: PackML, the grasp cycle and the line, in one event loop."""

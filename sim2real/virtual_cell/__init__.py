"""The devices of a cell, simulated: they speak the real ones' protocols."""

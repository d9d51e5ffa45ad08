"""Parallel grippers: one module for each make, chosen in `opening`.

An OnRobot RG2 becomes `onrobot_rg2.py` here, one section in `cell.config` and one
branch in `opening`, and has to pass the contract suite of the others.
"""

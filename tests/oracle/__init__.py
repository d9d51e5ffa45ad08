"""Second opinions on what the guard grants, in other mathematics and plain arrays.

Nothing here imports the guard or the kinematics that it uses.
"""

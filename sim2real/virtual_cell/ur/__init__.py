"""A virtual UR5e controller that the unmodified `ur_rtde` client cannot tell apart.

It speaks RTDE (30004), the script port (30003), the dashboard (29999) and the URCap
socket of a Robotiq gripper (63352), and moves whatever `JointPlant` it is given. It
shares no code with the product beyond contracts and mailboxes, so that an error in the
product's kinematics cannot hide behind the same error here.
"""

"""Numbers of the control script's commands."""

from collections.abc import Callable

from sim2real.virtual_cell.ur import commands_motion as motion
from sim2real.virtual_cell.ur import commands_query as query
from sim2real.virtual_cell.ur.script_context import ScriptContext, Wait


def _ignore(_context: ScriptContext) -> None:
    """Keep the handshake of a real-time command without simulating it."""


REAL_TIME: dict[int, Callable[[ScriptContext], None]] = {
    6: _ignore,  # forceMode
    9: motion.speed_joint,
    10: motion.speed_line,
    11: motion.servo_joint,
    24: motion.servo_line,
    25: query.compute_tool_contact,
    26: query.read_step_time,
    27: query.read_joint_history,
    38: query.read_joint_torques,
    58: query.read_flange_pose,
    **dict.fromkeys(range(66, 72), _ignore),  # direct torque and dynamics
}
"""Executed on every tick for as long as the number stays in the register."""


def _start_jog(context: ScriptContext) -> Wait | None:
    motion.jog_start(context)
    return None


COMMANDS: dict[int, Callable[[ScriptContext], Wait | None]] = {
    1: motion.move_joint,
    2: motion.move_joint_to_pose,
    3: motion.move_line,
    4: motion.move_line_to_joints,
    7: query.do_nothing,  # forceModeStop
    8: query.zero_force,
    12: motion.servo_circular,
    15: motion.servo_stop,  # speedStop
    16: motion.servo_stop,
    17: query.set_payload,
    28: query.read_target_waypoint,
    29: query.set_tcp,
    30: query.solve_pose_near,
    31: query.trigger_protective_stop,
    33: motion.stop_line,
    34: motion.stop_joint,
    35: query.set_watchdog,
    36: query.check_pose,
    37: query.check_joints,
    39: query.transform_pose,
    40: query.read_tcp_offset,
    41: _start_jog,
    42: motion.jog_stop,
    43: query.compute_present_pose,
    44: query.compute_given_pose,
    45: motion.move_path,
    46: query.solve_pose,
    47: query.check_steady,
    51: motion.move_until_contact,
    52: query.start_freedrive,
    53: query.end_freedrive,
    54: query.read_freedrive,
    60: query.has_solution,
    61: query.has_solution_near,
    62: query.start_contact,
    63: query.stop_contact,
    64: query.read_contact,
    65: query.set_target_payload,
}
"""Executed once; the client clears the register after it has seen state 2.

Numbers that are not listed are acknowledged without effect.
"""

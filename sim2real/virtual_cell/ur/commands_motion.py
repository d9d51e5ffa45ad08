"""Commands of the control script that move the arm or stop it."""

import math
from functools import partial

from sim2real.virtual_cell.ur.cartesian_motion import (
    LineMove,
    ToolSpeed,
    UnreachableError,
)
from sim2real.virtual_cell.ur.frames import (
    Frame,
    make_frame,
    rotate,
)
from sim2real.virtual_cell.ur.joint_motion import (
    JointGenerator,
    JointMove,
    JointSpeed,
    PathMove,
)
from sim2real.virtual_cell.ur.kinematics import Joints, compute_tcp_speed
from sim2real.virtual_cell.ur.motion import ArmMotion
from sim2real.virtual_cell.ur.script_context import ScriptContext, Wait
from sim2real.virtual_cell.ur.script_port import PathLeg

_CONTACT_FORCE_N = 15.0


def move_joint(context: ScriptContext) -> Wait | None:
    """Serve moveJ: joint line to a joint position."""
    return _start_joint_line(context, context.memory.read_vector(0))


def move_joint_to_pose(context: ScriptContext) -> Wait | None:
    """Serve moveJ_IK: joint line to a tool pose."""
    target = make_frame(context.memory.read_vector(0))
    return _start_joint_line(context, _solve(context, target))


def move_line(context: ScriptContext) -> Wait | None:
    """Serve moveL: tool line to a tool pose."""
    return _start_tool_line(context, make_frame(context.memory.read_vector(0)))


def move_line_to_joints(context: ScriptContext) -> Wait | None:
    """Serve moveL_FK: tool line to the tool pose of a joint position."""
    target = context.arm.compute_tcp(context.memory.read_vector(0))
    return _start_tool_line(context, target)


def move_path(context: ScriptContext) -> Wait | None:
    """Run the path that was injected at upload."""
    if not context.path:
        return None
    legs = [partial(_make_leg, context, leg) for leg in context.path]

    def make(start: Joints) -> JointGenerator:
        return context.follow_path(PathMove(start, legs))

    context.start_move(make)
    return _wait_or_run(context, is_async=bool(context.memory.read_int(1)))


def servo_joint(context: ScriptContext) -> None:
    """Serve servoJ: track a joint position."""
    _servo(context, context.memory.read_vector(0))


def servo_line(context: ScriptContext) -> None:
    """Serve servoL: track a tool pose."""
    _servo(context, _solve(context, make_frame(context.memory.read_vector(0))))


def servo_circular(context: ScriptContext) -> Wait | None:
    """Serve servoC: go to a tool pose; its blend radius is run as an exact stop."""
    goal = make_frame(context.memory.read_vector(0))
    speed, acceleration = context.memory.read_vector(6, 2)
    context.start_move(partial(_make_line, context, goal, speed, acceleration))
    return None


def speed_joint(context: ScriptContext) -> None:
    """Serve speedJ: keep a joint velocity."""
    motion = context.arm.motion
    generator = motion.generator
    if not isinstance(generator, JointSpeed):
        context.drop_operation()
        generator = JointSpeed(motion.q, motion.qd)
        motion.start(generator)
    generator.set_target(context.memory.read_vector(0), context.memory.read_double(6))


def speed_line(context: ScriptContext) -> None:
    """Serve speedL: keep a tool velocity in base axes."""
    _speed_tool(context, context.memory.read_vector(0), context.memory.read_double(6))


def jog_start(context: ScriptContext) -> None:
    """Serve jogStart: keep a tool velocity in base (0), tool (1) or custom (2) axes."""
    memory = context.memory
    velocity = memory.read_vector(0)
    feature = int(memory.read_double(6))
    if feature == 1:
        axes = context.arm.compute_tcp(context.arm.motion.q).axes
    elif feature == 2:
        axes = make_frame(memory.read_vector(8)).axes
    else:
        axes = None
    if axes is not None:
        linear = rotate(axes, (velocity[0], velocity[1], velocity[2]))
        velocity = linear + rotate(axes, (velocity[3], velocity[4], velocity[5]))
    _speed_tool(context, velocity, memory.read_double(7))


def move_until_contact(context: ScriptContext) -> Wait | None:
    """Serve moveUntilContact: keep a tool velocity until something pushes back."""
    memory = context.memory
    _speed_tool(context, memory.read_vector(0), memory.read_double(12))
    motion = context.arm.motion

    def has_stopped() -> bool:
        if isinstance(motion.generator, ToolSpeed) and feels_contact(context):
            motion.stop(10.0)
        return motion.is_resting

    return has_stopped


def stop_joint(context: ScriptContext) -> Wait | None:
    """Serve stopJ: ramp to rest at a joint deceleration."""
    context.drop_operation()
    context.arm.motion.stop(context.memory.read_double(0))
    return _wait_or_run(context, is_async=bool(context.memory.read_int(1)))


def stop_line(context: ScriptContext) -> Wait | None:
    """Serve stopL: ramp to rest at a tool deceleration."""
    context.drop_operation()
    _stop_tool(context)
    return _wait_or_run(context, is_async=bool(context.memory.read_int(1)))


def servo_stop(context: ScriptContext) -> Wait | None:
    """Serve servoStop, speedStop, jogStop: end background motion and ramp to rest."""
    context.drop_operation()
    motion = context.arm.motion
    if isinstance(motion.generator, ToolSpeed):
        _stop_tool(context)
    else:
        motion.stop(context.memory.read_double(0) or 10.0)
    return _wait_for_rest(motion)


def jog_stop(context: ScriptContext) -> Wait | None:
    """Serve jogStop: ramp to rest; it has no arguments of its own."""
    context.arm.motion.stop(10.0)
    return _wait_for_rest(context.arm.motion)


def feels_contact(context: ScriptContext) -> bool:
    """Tell whether the measured tool force exceeds what contact detection needs."""
    arm = context.arm
    if arm.sample is None:
        return False
    force = arm.compute_tcp_wrench(arm.compute_tcp(arm.sample.q))
    return math.hypot(*force[:3]) > _CONTACT_FORCE_N


def _start_joint_line(context: ScriptContext, goal: Joints) -> Wait | None:
    memory = context.memory
    speed, acceleration = memory.read_vector(6, 2)

    def make(start: Joints) -> JointGenerator:
        return JointMove(start, goal, speed, acceleration)

    context.start_move(make)
    return _wait_or_run(context, is_async=bool(memory.read_int(1)))


def _start_tool_line(context: ScriptContext, goal: Frame) -> Wait | None:
    memory = context.memory
    speed, acceleration = memory.read_vector(6, 2)
    context.start_move(partial(_make_line, context, goal, speed, acceleration))
    return _wait_or_run(context, is_async=bool(memory.read_int(1)))


def _make_line(
    context: ScriptContext, goal: Frame, speed: float, acceleration: float, q: Joints
) -> JointGenerator:
    tool = context.arm.flange_from_tcp
    return LineMove(q, goal, tool, speed, acceleration)


def _make_leg(context: ScriptContext, leg: PathLeg, start: Joints) -> JointGenerator:
    if leg.kind == "j":
        return JointMove(start, leg.target, leg.speed, leg.acceleration)
    goal = make_frame(leg.target)
    return _make_line(context, goal, leg.speed, leg.acceleration, start)


def _servo(context: ScriptContext, target: Joints) -> None:
    context.drop_operation()
    lookahead_s, gain = context.memory.read_vector(9, 2)
    context.arm.motion.servo_to(target, lookahead_s, gain, context.now_ns)


def _speed_tool(
    context: ScriptContext, twist: tuple[float, ...], acceleration: float
) -> None:
    arm = context.arm
    generator = arm.motion.generator
    if not isinstance(generator, ToolSpeed):
        context.drop_operation()
        generator = ToolSpeed(arm.motion.q, arm.flange_from_tcp, _tool_twist(context))
        arm.motion.start(generator)
    generator.set_target(twist, acceleration)


def _stop_tool(context: ScriptContext) -> None:
    deceleration = max(context.memory.read_double(0), 0.1)
    speed = math.hypot(*_tool_twist(context)[:3])
    joint_speed = max(map(abs, context.arm.motion.qd))
    # A pure rotation has no tool speed to ramp: bound the ramp by the joints as well.
    context.arm.motion.stop_within(max(speed / deceleration, joint_speed / 40.0))


def _tool_twist(context: ScriptContext) -> tuple[float, ...]:
    motion = context.arm.motion
    origin = context.arm.compute_tcp(motion.q).origin
    return compute_tcp_speed(motion.q, motion.qd, origin)


def _solve(context: ScriptContext, target: Frame) -> Joints:
    q = context.arm.compute_joints(target)
    if q is None:
        raise UnreachableError("no joint position reaches the commanded pose")
    return q


def _wait_or_run(context: ScriptContext, *, is_async: bool) -> Wait | None:
    if is_async:
        context.run_operation()
        return None
    return _wait_for_rest(context.arm.motion)


def _wait_for_rest(motion: ArmMotion) -> Wait:
    return lambda: motion.is_resting

"""Commands of the control script that set values or answer questions."""

from sim2real.virtual_cell.ur.commands_motion import feels_contact
from sim2real.virtual_cell.ur.frames import (
    compose,
    compute_pose,
    make_frame,
)
from sim2real.virtual_cell.ur.kinematics import Joints, compute_flange
from sim2real.virtual_cell.ur.motion import PERIOD_S
from sim2real.virtual_cell.ur.script_context import ScriptContext, Wait, Watchdog

_STEADY_RADPS = 0.01


def do_nothing(_context: ScriptContext) -> Wait | None:
    """Acknowledge a command whose physics is not simulated."""
    return None


def set_payload(context: ScriptContext) -> Wait | None:
    """Serve setPayload: mass and centre of gravity; a zero centre keeps the old one."""
    arm, memory = context.arm, context.memory
    mass_kg, *cog = memory.read_vector(0, 4)
    arm.payload_kg = mass_kg
    if any(cog):
        arm.payload_cog = tuple(cog)
    return None


def set_target_payload(context: ScriptContext) -> Wait | None:
    """Serve setTargetPayload: as setPayload, with inertia."""
    set_payload(context)
    context.arm.payload_inertia = context.memory.read_vector(4)
    return None


def set_tcp(context: ScriptContext) -> Wait | None:
    """Serve setTcp: pose of the tool in the flange frame."""
    context.arm.set_tcp(context.memory.read_vector(0))
    return None


def set_watchdog(context: ScriptContext) -> Wait | None:
    """Serve setWatchdog: least frequency of the client's messages [Hz]; 0 disarms."""
    frequency_hz = context.memory.read_double(0)
    if frequency_hz > 0.0:
        context.watchdog = Watchdog(1.0 / frequency_hz, context.now_ns)
    else:
        context.watchdog = None
    return None


def trigger_protective_stop(context: ScriptContext) -> Wait | None:
    """Serve triggerProtectiveStop."""
    context.arm.stop_protectively("triggered by the program", context.now_ns)
    return None


def zero_force(context: ScriptContext) -> Wait | None:
    """Serve zeroFtSensor: take the present wrench as zero."""
    context.arm.zero_wrench()
    return None


def start_freedrive(context: ScriptContext) -> Wait | None:
    """freedriveMode: noted and reported, but nobody pushes a simulated arm."""
    memory = context.memory
    context.free_axes = tuple(memory.read_int(index) for index in range(1, 7))
    return None


def end_freedrive(context: ScriptContext) -> Wait | None:
    """Serve endFreedriveMode."""
    context.free_axes = None
    return None


def read_freedrive(context: ScriptContext) -> Wait | None:
    """Serve getFreedriveStatus: 0 normal, 1 near a singularity, 2 too near; here 0."""
    context.memory.write_result(0)
    return None


def start_contact(context: ScriptContext) -> Wait | None:
    """Serve startContactDetection."""
    context.detects_contact = True
    return None


def stop_contact(context: ScriptContext) -> Wait | None:
    """Serve stopContactDetection: answer as readContactDetection, then end."""
    read_contact(context)
    context.detects_contact = False
    return None


def read_contact(context: ScriptContext) -> Wait | None:
    """Serve readContactDetection: steps since contact, 0 for none."""
    found = context.detects_contact and feels_contact(context)
    context.memory.write_result(int(found))
    return None


def compute_tool_contact(context: ScriptContext) -> None:
    """Serve toolContact: steps since contact, 0 for none."""
    context.memory.write_result(int(feels_contact(context)))


def read_step_time(context: ScriptContext) -> None:
    """Serve getStepTime [s]."""
    context.memory.write_results((PERIOD_S,))


def read_joint_history(context: ScriptContext) -> None:
    """Serve getActualJointPositionsHistory: only the present is kept."""
    context.memory.write_results(_measured(context))


def read_joint_torques(context: ScriptContext) -> None:
    """Serve getJointTorques [N.m]."""
    sample = context.arm.sample
    context.memory.write_results((0.0,) * 6 if sample is None else sample.tau)


def read_flange_pose(context: ScriptContext) -> None:
    """Serve getActualToolFlangePose."""
    context.memory.write_results(compute_pose(compute_flange(_measured(context))))


def read_target_waypoint(context: ScriptContext) -> Wait | None:
    """Serve getTargetWaypoint: the commanded tool pose."""
    arm = context.arm
    context.memory.write_results(compute_pose(arm.compute_tcp(arm.motion.q)))
    return None


def read_tcp_offset(context: ScriptContext) -> Wait | None:
    """Serve getTCPOffset."""
    context.memory.write_results(context.arm.tcp_offset)
    return None


def solve_pose(context: ScriptContext) -> Wait | None:
    """Serve getInverseKinematics near the present position."""
    _write_solution(context, context.arm.motion.q)
    return None


def solve_pose_near(context: ScriptContext) -> Wait | None:
    """Serve getInverseKinematics near a given position."""
    _write_solution(context, context.memory.read_vector(6))
    return None


def has_solution(context: ScriptContext) -> Wait | None:
    """Serve getInverseKinematicsHasSolution near the present position."""
    target = make_frame(context.memory.read_vector(0))
    context.memory.write_result(int(context.arm.compute_joints(target) is not None))
    return None


def has_solution_near(context: ScriptContext) -> Wait | None:
    """Serve getInverseKinematicsHasSolution near a given position."""
    target = make_frame(context.memory.read_vector(0))
    near = context.memory.read_vector(6)
    found = context.arm.compute_joints(target, near) is not None
    context.memory.write_result(int(found))
    return None


def check_pose(context: ScriptContext) -> Wait | None:
    """Serve isPoseWithinSafetyLimits."""
    q = context.arm.compute_joints(make_frame(context.memory.read_vector(0)))
    context.memory.write_result(int(context.arm.is_within_limits(q)))
    return None


def check_joints(context: ScriptContext) -> Wait | None:
    """Serve isJointsWithinSafetyLimits."""
    q = context.memory.read_vector(0)
    context.memory.write_result(int(context.arm.is_within_limits(q)))
    return None


def transform_pose(context: ScriptContext) -> Wait | None:
    """Serve poseTrans: the second pose, given in the first one's frame."""
    first = make_frame(context.memory.read_vector(0))
    second = make_frame(context.memory.read_vector(6))
    context.memory.write_results(compute_pose(compose(first, second)))
    return None


def compute_present_pose(context: ScriptContext) -> Wait | None:
    """Serve getForwardKinematics of the measured position with the active tool."""
    pose = compute_pose(context.arm.compute_tcp(_measured(context)))
    context.memory.write_results(pose)
    return None


def compute_given_pose(context: ScriptContext) -> Wait | None:
    """Serve getForwardKinematics of a given position and tool."""
    flange = compute_flange(context.memory.read_vector(0))
    tool = make_frame(context.memory.read_vector(6))
    context.memory.write_results(compute_pose(compose(flange, tool)))
    return None


def check_steady(context: ScriptContext) -> Wait | None:
    """Serve isSteady: commanded and measured at rest."""
    sample = context.arm.sample
    is_steady = (
        context.arm.motion.is_resting
        and sample is not None
        and max(map(abs, sample.qd)) < _STEADY_RADPS
    )
    context.memory.write_result(int(is_steady))
    return None


def _measured(context: ScriptContext) -> Joints:
    sample = context.arm.sample
    return context.arm.motion.q if sample is None else sample.q


def _write_solution(context: ScriptContext, q_near: Joints) -> None:
    target = make_frame(context.memory.read_vector(0))
    q = context.arm.compute_joints(target, q_near)
    context.memory.write_results(q_near if q is None else q)

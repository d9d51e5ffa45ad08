"""Brings arm and fingers from wherever they are to home, slowly and in one order.

Straight up first where the tool is low, then give back what the fingers hold, then
home. A part that is found in the fingers has no history any more, so it is not
counted: it goes back to the bin and will be picked again. While the line does not let
the arm over the bin, the arm leaves it with the part and waits at home: the line may
be waiting for just that.

A release at the outfeed that a stop has cut short is seen to its end while that stop
begins; later arm and part may have been moved by hand.
"""

import numpy as np

from cell.contracts.robot import GripperCommand
from cell.contracts.units import ns_from_s, s_from_ns
from cell.supervisor.causes import Cause, CauseError
from cell.supervisor.gripper_station import is_kept, is_released
from cell.supervisor.station import Station

SLOW_RATIO = 0.3
_AT_HOME_RAD = 0.05
_PERMIT_PATIENCE_S = 15.0
_POLL_S = 0.05
# Fingers open fully in 0.6 s; a stop has to end whatever they do.
_SETTLE_S = 0.9


async def go_home(station: Station) -> None:
    """Reach home with open fingers.

    Raises:
        CauseError: something on the way did not work.
    """
    holds_part = await station.gripper.verify_part()
    if is_at_home(station) and not (holds_part or station.motion.carries_part):
        return
    if station.gripper.shows_nothing():
        # A person took it out. The guard need not keep clear of what is not there.
        station.motion.carries_part = False
    # Fingers that jam while they open no longer say that they hold something.
    holds_part = holds_part or station.motion.carries_part
    await _lift(station)
    if holds_part:
        await _give_back(station)
    await station.motion.move_joint(station.layout.home_q_rad, speed_ratio=SLOW_RATIO)
    station.gate.claims_zone = False
    grip = await station.gripper.move(GripperCommand(station.layout.max_aperture_m))
    if not grip.has_arrived:
        raise CauseError(
            Cause.PLACE_NOT_CONFIRMED, f"fingers stay at {grip.aperture_m * 1e3:.0f} mm"
        )
    station.motion.carries_part = False


async def settle_release(station: Station) -> None:
    """See a release that was cut short to its end, and count and offer what lies there.

    A part that the fingers have kept goes back to the bin like any other. Of fingers
    that were stopped on the way nobody can say where the part is, but not in them.
    """
    grip_m = station.release.grip_m
    if grip_m is None:
        return
    try:
        grip = await station.gripper.wait_rest(_SETTLE_S)
    except CauseError as error:
        leave_release_open(station, str(error))
        return
    if is_released(grip_m, grip):
        station.release.end()
        station.motion.carries_part = False
        confirm_placed(station, station.release.since_ns)
        station.record("placed_in_a_stop", {})
    elif is_kept(grip_m, grip):
        station.release.end()
    else:
        station.motion.carries_part = False
        at_mm, held_mm = grip.aperture_m * 1e3, grip_m * 1e3
        why = f"the fingers stay at {at_mm:.0f} mm; they held it at {held_mm:.0f} mm"
        leave_release_open(station, why)


def leave_release_open(station: Station, why: str) -> None:
    """Say that nobody saw the end of a release: the part is not counted or offered."""
    if station.release.grip_m is not None:
        station.release.end()
        station.record("release_unconfirmed", {"why": why})


def confirm_placed(station: Station, since_ns: int) -> int:
    """Count a part that was let go in the outfeed, and offer it to the line.

    Args:
        station: what the cell works with.
        since_ns: monotonic clock when the part before it was placed.

    Returns:
        When this one was placed, on the same clock.
    """
    now_ns = station.clock.now_ns()
    station.statistics.note_placed(s_from_ns(now_ns - since_ns))
    station.gate.handshake.offer(now_ns)
    return now_ns


def is_at_home(station: Station) -> bool:
    """Say whether the arm waits at home."""
    state = station.motion.state
    if state is None:
        return False
    offset_rad = np.abs(state.q - station.layout.home_q_rad)
    return float(np.max(offset_rad)) < _AT_HOME_RAD


async def _lift(station: Station) -> None:
    target = station.planner.plan_lift(station.read_arm().base_from_tcp)
    if target is not None:
        await station.motion.move_linear(target, speed_ratio=SLOW_RATIO)


async def _give_back(station: Station) -> None:
    station.motion.carries_part = True
    if not _may_enter(station):
        await _go_home_loaded(station)
        await _wait_permit(station)
    drop = station.planner.plan_drop(station.read_arm().q)
    if drop is None:
        raise CauseError(Cause.TARGET_UNREACHABLE, "above the bin")
    station.gate.claims_zone = True
    await station.motion.move_joint(drop.q_above, speed_ratio=SLOW_RATIO)
    await station.motion.move_linear(drop.place, speed_ratio=SLOW_RATIO)
    state = station.gripper.state
    held_m = 0.0 if state is None else state.aperture_m
    grip = await station.gripper.move(GripperCommand(station.layout.max_aperture_m))
    if not is_released(held_m, grip):
        raise CauseError(Cause.PLACE_NOT_CONFIRMED, "the part does not leave the hand")
    station.motion.carries_part = False
    station.record("part_given_back", {})
    await station.motion.move_linear(drop.above, speed_ratio=SLOW_RATIO)


def _may_enter(station: Station) -> bool:
    line = station.gate.line.read_inputs()
    return line is not None and line.zone_permit and line.bin_present


async def _go_home_loaded(station: Station) -> None:
    await station.motion.move_joint(station.layout.home_q_rad, speed_ratio=SLOW_RATIO)
    station.gate.claims_zone = False


async def _wait_permit(station: Station) -> None:
    """Wait until bin and permit are there, as long as a refill may take.

    Raises:
        CauseError: they did not come.
    """
    clock = station.clock
    deadline_ns = clock.now_ns() + ns_from_s(_PERMIT_PATIENCE_S)
    while not _may_enter(station):
        if clock.now_ns() > deadline_ns:
            raise CauseError(Cause.NO_WAY_BACK, "no zone permit or no bin")
        await clock.sleep_until_ns(clock.now_ns() + ns_from_s(_POLL_S))

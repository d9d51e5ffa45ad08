"""Mistakes that people make, planted one at a time; the tests have to find each.

`python -m tests.mutation.seeded` plants them all and writes one JSON line for each;
`python -m tests.mutation.seeded 1 2` every second one, from the second on.
"""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.mutation.loader import Substitute, find_source
from tests.mutation.suite import silence
from tests.mutation.targets import find_target
from tests.mutation.trial import Outcome


class SeedError(Exception):
    """A mistake cannot be planted: the text that it changes is not there, once."""


@dataclass(frozen=True)
class Seed:
    """One mistake.

    Attributes:
        name: what somebody did wrong.
        module: where.
        before: text of the source, which occurs once.
        after: what stands there instead.
    """

    name: str
    module: str
    before: str
    after: str


def plant(seed: Seed, source: str) -> str:
    """Return the source with the mistake in it.

    Raises:
        SeedError: the text to change does not occur exactly once.
    """
    count = source.count(seed.before)
    if count != 1:
        raise SeedError(
            f"{seed.name}: {seed.before!r} occurs {count} times in {seed.module};"
            " change the seed so that it fits the module again"
        )
    return source.replace(seed.before, seed.after)


_ENVELOPE = "safety.envelope"
_JOINTS = "safety.joint_checks"
_TOOL = "safety.tool_checks"
_RAMP = "safety.ramp"
_LOAD = "safety.load_check"
_CLEARANCE = "safety.clearance"
_DISTANCES = "safety.distances"
_CAPSULES = "safety.capsules"
_CACHE = "safety.action_cache"
_LADDER = "safety.ladder"
_BOX = "safety.velocity_box"
_PROJECTION = "safety.projection"
_GUARD = "safety.guard"
_LIMITS = "safety.limits"
_CONFIG = "safety.config"
_CHUNK = "safety.chunk_check"
_PACED = "safety.timed_chunk"
_FINGERS = "safety.finger_check"

# Processor time; longer than on a busy machine the tests of any module take.
_LIMIT_S = 120.0

SEEDS = (
    Seed(
        "acceleration adds the velocities",
        _JOINTS,
        'qdd = (qd[i] - was["qd"][i]) / period_s',
        'qdd = (qd[i] + was["qd"][i]) / period_s',
    ),
    Seed(
        "a command just as old as permitted is refused",
        _ENVELOPE,
        "command_stamp_ns <= 0 or command_margin < 0.0",
        "command_stamp_ns <= 0 or command_margin <= 0.0",
    ),
    Seed(
        "a refused request is passed through",
        _ENVELOPE,
        "        ramp(was, now_ns, lim, now)\n"
        "        return reason, margin, value, item, 1.0, limit\n",
        "        ramp(was, now_ns, lim, now)\n",
    ),
    Seed(
        "speed that is no number passes",
        _JOINTS,
        "        if not margin >= -ROUNDING:\n",
        "        if margin < -ROUNDING:\n",
    ),
    Seed(
        "tool speed that is no number passes",
        _TOOL,
        "if not speed_margin >= 0.0:",
        "if speed_margin < 0.0:",
    ),
    Seed(
        "age in milliseconds against a limit in nanoseconds",
        _ENVELOPE,
        'command_age_ns / lim["command_age_ns"]',
        'command_age_ns * 1e-6 / lim["command_age_ns"]',
    ),
    Seed(
        "age of the arm measured from the command",
        _ENVELOPE,
        "arm_age_ns = now_ns - max(arm_stamp_ns, 0)",
        "arm_age_ns = now_ns - max(command_stamp_ns, 0)",
    ),
    Seed(
        "infinity counts as a position",
        _ENVELOPE,
        "if not math.isfinite(q[i]):",
        "if math.isnan(q[i]):",
    ),
    Seed(
        "the last joint is not looked at for NaN",
        _ENVELOPE,
        "    for i in range(6):\n        if not math.isfinite(q[i]):",
        "    for i in range(5):\n        if not math.isfinite(q[i]):",
    ),
    Seed(
        "height is not checked against the workspace",
        _TOOL,
        "    worst, axis = 1.0, 0\n    for i in range(3):",
        "    worst, axis = 1.0, 0\n    for i in range(2):",
    ),
    Seed(
        "speed without its absolute value",
        _JOINTS,
        'margin = 1.0 - abs(qd[i]) / lim["joint_speed_radps"][i]',
        'margin = 1.0 - qd[i] / lim["joint_speed_radps"][i]',
    ),
    Seed(
        "acceleration without its absolute value",
        _JOINTS,
        'margin = 1.0 - abs(qdd) / lim["joint_acceleration_radps2"][i]',
        'margin = 1.0 - qdd / lim["joint_acceleration_radps2"][i]',
    ),
    Seed(
        "the bulge of the braking path is forgotten",
        _TOOL,
        "(min(tcp[i, 3] - low, high - tcp[i, 3]) - bulge_m) / span",
        "min(tcp[i, 3] - low, high - tcp[i, 3]) / span",
    ),
    Seed(
        "the ramp starts from the velocity of another cycle",
        _RAMP,
        'now["qd"][i] = was["qd"][i] * scale',
        'now["qd"][i] = now["qd"][i] * scale',
    ),
    Seed(
        "the ramp goes through zero and backwards",
        _RAMP,
        '/ max(stopping_s, lim["period_s"])',
        "/ max(stopping_s, 1e-9)",
    ),
    Seed(
        "a ramp is resumed after a long silence",
        _RAMP,
        'now_ns - was["vetted_ns"] > lim["standstill_ns"]:\n        scale = 0.0',
        'now_ns - was["vetted_ns"] > lim["standstill_ns"]:\n        scale *= 1.0',
    ),
    Seed(
        "the way to rest is not checked",
        _TOOL,
        "found = check_braking(was, q, start, floor, frames, tcp, lim)",
        "found = grant(_TCP_SPEED, 1.0, 0.0, -1)",
    ),
    Seed(
        "the way to rest may lead into a singularity",
        _TOOL,
        "        if not are_singular_values_above(jacobian, floor, factor):\n",
        "        if False:\n",
    ),
    Seed(
        "nobody stands in a singular place",
        _TOOL,
        'floor = min(sigma, lim["singular_value"]) - ROUNDING',
        'floor = lim["singular_value"] - ROUNDING',
    ),
    Seed(
        "after a stop the old acceleration is told",
        _GUARD,
        'return q, qd, was["qdd"].copy() if qd.any() else np.zeros(6)',
        'return q, qd, was["qdd"].copy()',
    ),
    Seed(
        "what is closed on is not looked at",
        _CHUNK,
        "return self._check_closing(q, opening_m)",
        'return ""',
    ),
    Seed(
        "the arm is believed to stop in a fifth of its way",
        _JOINTS,
        "half_stop_s = 0.5 * compute_stopping_time(qd, lim)",
        "half_stop_s = 0.1 * compute_stopping_time(qd, lim)",
    ),
    Seed(
        "the quickest joint decides when all have stopped",
        _RAMP,
        "stopping_s = max(stopping_s,",
        "stopping_s = min(stopping_s,",
    ),
    Seed(
        "the tool hangs on the wrong link",
        _TOOL,
        "    fill_frames(q, frames)\n    compose(frames[6], tool, tcp)",
        "    fill_frames(q, frames)\n    compose(frames[5], tool, tcp)",
    ),
    Seed(
        "tool speed is measured from where the tool goes to",
        _TOOL,
        'fill_frames(was["q"], frames)',
        "fill_frames(q, frames)",
    ),
    Seed(
        "whatever leads out of a singularity is refused as well",
        _TOOL,
        "if not sigma_margin >= 0.0 and is_approaching:",
        "if not sigma_margin >= 0.0 or is_approaching:",
    ),
    Seed(
        "the root of the tool's step is forgotten",
        _TOOL,
        'speed = _measure_step(tcp, start) / lim["period_s"]',
        'speed = _measure_step(tcp, start) ** 2 / lim["period_s"]',
    ),
    Seed(
        "a ramp may be left half-way",
        _ENVELOPE,
        'if was["reason"] != _NONE and not is_at_rest(was):',
        'if was["reason"] != _NONE and is_at_rest(was):',
    ),
    Seed(
        "missed cycles count at rest and not in motion",
        _ENVELOPE,
        "if not is_at_rest(was) and (gap_ns",
        "if is_at_rest(was) and (gap_ns",
    ),
    Seed(
        "a stamp from the future is fresh",
        _ENVELOPE,
        "command_margin < 0.0 or command_age_ns < -_FUTURE_NS:",
        "command_margin < 0.0:",
    ),
    Seed(
        "a stamp of nothing is fresh",
        _ENVELOPE,
        "arm_stamp_ns <= 0 or arm_margin < 0.0",
        "arm_margin < 0.0",
    ),
    Seed(
        "degrees against limits in radians",
        _JOINTS,
        'margin = compute_joint_margin(q[i], was["q"][i], i, lim)\n',
        'margin = compute_joint_margin(q[i] * 57.3, was["q"][i], i, lim)\n',
    ),
    Seed(
        "velocities of opposite sign count as rest",
        _RAMP,
        '        if state["qd"][i] != 0.0:\n'
        "            return False\n    return True\n",
        '        if state["qd"][i] + state["qd"][5 - i] != 0.0:\n'
        "            return False\n    return True\n",
    ),
    Seed(
        "the lower limit is the upper one",
        _JOINTS,
        'low = min(lim["joint_min_rad"][joint], q_before)',
        'low = min(lim["joint_max_rad"][joint], q_before)',
    ),
    Seed(
        "a joint outside may go on outwards",
        _JOINTS,
        'high = max(lim["joint_max_rad"][joint], q_before)',
        'high = max(lim["joint_max_rad"][joint], q_before + 0.1)',
    ),
    Seed(
        "an exception returns the request",
        _GUARD,
        "        except Exception:  # noqa: BLE001  (whatever went wrong, the "
        "answer is to hold)\n"
        "            return self.hold(HoldReason.GUARD_EXCEPTION, now_ns)\n",
        "        except Exception:  # noqa: BLE001  (whatever went wrong, the "
        "answer is to hold)\n"
        "            return Verdict(np.asarray(q_request), HoldReason.NONE, "
        "HoldReason.NONE, 0.0, 0.0)\n",
    ),
    Seed(
        "a reset to nonsense arms the guard",
        _GUARD,
        "self._is_armed = bool(np.isfinite(q).all())",
        "self._is_armed = True",
    ),
    Seed(
        "one finite joint is enough to arm",
        _GUARD,
        "self._is_armed = bool(np.isfinite(q).all())",
        "self._is_armed = bool(np.isfinite(q).any())",
    ),
    Seed(
        "the verdict shares the guard's own memory",
        _GUARD,
        'self._state["q"][0].copy(),',
        'self._state["q"][0],',
    ),
    Seed(
        "limits can be changed from outside",
        _GUARD,
        "self._limits = limits.copy()",
        "self._limits = limits",
    ),
    Seed(
        "a request is clamped instead of refused",
        _GUARD,
        "                _row_of(q_request),\n",
        "                np.clip(_row_of(q_request), -2.9, 2.9),\n",
    ),
    Seed(
        "a request of seven joints is cut to six",
        _GUARD,
        "return row if row.shape == (6,) else _NAN",
        "return row.ravel()[:6] if row.size >= 6 else _NAN",
    ),
    Seed(
        "a reset keeps the old velocity",
        _GUARD,
        "        self._state = make_state(q)\n",
        '        self._state["q"] = q\n',
    ),
    Seed(
        "after a failure the old velocity is kept",
        _GUARD,
        '            self._after["qd"] = 0.0\n',
        "",
    ),
    Seed(
        "holding does not become the state",
        _GUARD,
        "        self._state, self._after = self._after, self._state\n"
        "        reason, margin",
        "        self._after, self._state = self._after, self._state\n"
        "        reason, margin",
    ),
    Seed(
        "limits are packed in degrees",
        _LIMITS,
        "        limits[key] = values\n",
        '        limits[key] = np.degrees(values) if "rad" in key else values\n',
    ),
    Seed(
        "freshness is taken for milliseconds",
        _LIMITS,
        'limits["command_age_ns"] = ns_from_s(config.freshness_s)',
        'limits["command_age_ns"] = ns_from_s(config.freshness_s * 1e-3)',
    ),
    Seed(
        "one joint inside its ceiling is enough",
        _LIMITS,
        "if not bool(inside.all()):",
        "if not bool(inside.any()):",
    ),
    Seed(
        "a limit that is no number passes its ceiling",
        _LIMITS,
        "inside = (values >= lowest) & (values <= highest)",
        "inside = ~((values < lowest) | (values > highest))",
    ),
    Seed(
        "an empty range of positions is accepted",
        _LIMITS,
        "(limits[lower] < limits[upper])",
        "(limits[lower] <= limits[upper])",
    ),
    Seed(
        "the arm's own sample may be as old as a command",
        _LIMITS,
        "ns_from_s(min(config.freshness_s, ARM_FRESHNESS_S))",
        "ns_from_s(config.freshness_s)",
    ),
    Seed(
        "equal bounds pass the configuration",
        _CONFIG,
        "if low >= high:",
        "if low > high:",
    ),
    Seed(
        "degrees per second as a ceiling in radians",
        "safety.ceilings",
        "JOINT_SPEED_RADPS: Final = math.pi",
        "JOINT_SPEED_RADPS: Final = 180.0",
    ),
    Seed(
        "a pose out of reach is passed on",
        _CHUNK,
        'return "step 0 is out of reach"',
        'return ""',
    ),
    Seed(
        "every line starts from the joints of the first",
        _CHUNK,
        "            q = q_next\n",
        "",
    ),
    Seed(
        "an opening that is no number passes",
        _CHUNK,
        "if not 0.0 <= step.aperture_m <= self._max_aperture_m + 1e-9:",
        "if step.aperture_m < 0.0 or step.aperture_m > self._max_aperture_m + 1e-9:",
    ),
    Seed(
        "the line to the last step is not looked at",
        _CHUNK,
        "for number in range(1, len(chunk.steps)):",
        "for number in range(1, len(chunk.steps) - 1):",
    ),
    Seed(
        "joint limits are not checked along a line",
        _CHUNK,
        "((q_next >= self._joint_min) & (q_next <= self._joint_max)).all()",
        "((q_next >= self._joint_min) | (q_next <= self._joint_max)).all()",
    ),
    Seed(
        "jerk without its absolute value",
        _JOINTS,
        'margin = 1.0 - abs(jerk) / lim["joint_jerk_radps3"][i]',
        'margin = 1.0 - jerk / lim["joint_jerk_radps3"][i]',
    ),
    Seed(
        "a joint is slowed down by the limit behind it",
        _JOINTS,
        "        if qd[i] > 0.0:\n",
        "        if qd[i] < -1.0:\n",
    ),
    Seed(
        "an axis that is no number hides behind the next",
        _TOOL,
        "        if math.isnan(margin):\n            return math.nan, i\n",
        "",
    ),
    Seed(
        "the force is smoothed away altogether",
        _LOAD,
        'gain = lim["period_s"] / (lim["period_s"] + SMOOTHING_S)',
        'gain = lim["period_s"] / (lim["period_s"] + 1000.0 * SMOOTHING_S)',
    ),
    Seed(
        "a force that is no number counts as none",
        _LOAD,
        "        return math.nan\n",
        "        return 0.0\n",
    ),
    Seed(
        "a pressed arm may go on as fast as before",
        _LOAD,
        "if not load <= cap or not is_slow:",
        "if not load <= cap:",
    ),
    Seed(
        "torque in the place of force",
        _LOAD,
        'force / lim["tcp_force_n"], torque / lim["tcp_torque_nm"]',
        'force / lim["tcp_torque_nm"], torque / lim["tcp_force_n"]',
    ),
    Seed(
        "a load that is no number is remembered",
        _ENVELOPE,
        "    if not math.isnan(load):\n",
        "    if not math.isinf(load):\n",
    ),
    Seed(
        "only the end of the way is checked for zones",
        _CLEARANCE,
        "_STEPS = 8\n",
        "_STEPS = 1\n",
    ),
    Seed(
        "half a step is forgotten between two places",
        _CLEARANCE,
        "needed = 0.5 * _LEAST_STEP * travel[k]",
        "needed = 0.0 * travel[k]",
    ),
    Seed(
        "the arm may go deeper into a zone it stands in",
        _CLEARANCE,
        "if not room >= start[k] - ROUNDING:",
        "if not room >= start[k] - 0.05:",
    ),
    Seed(
        "inside of a zone the arm may move sideways",
        _CLEARANCE,
        "return end > start + ROUNDING",
        "return end > start - ROUNDING",
    ),
    Seed(
        "a place inside that is no number counts as left",
        _CLEARANCE,
        "return end > start + ROUNDING",
        "return not end <= start + ROUNDING",
    ),
    Seed(
        "what cannot move keeps all others in its zone",
        _CLEARANCE,
        "if start >= 0.0 or travel <= ROUNDING:",
        "if start >= 0.0:",
    ),
    Seed(
        "a zone is measured from the base frame",
        _CLEARANCE,
        "                + zone_from_base[zone, row, 3]\n",
        "",
    ),
    Seed(
        "the margin of a zone is given away",
        _CLEARANCE,
        "kept = radius[capsule] + margin[zone]",
        "kept = radius[capsule] - margin[zone]",
    ),
    Seed(
        "capsules of the arm itself have no thickness",
        _CLEARANCE,
        "clearance[zones + k] = distance - radius[one] - radius[other]",
        "clearance[zones + k] = distance",
    ),
    Seed(
        "a segment is as far as its first end",
        _DISTANCES,
        "    t = _find_nearest_to_box(ends, sizes, zone)\n",
        "    t = 0.0\n",
    ),
    Seed(
        "a diameter for a radius",
        _DISTANCES,
        "beside = max(math.sqrt(x * x + y * y) - radius, 0.0)",
        "beside = max(math.sqrt(x * x + y * y) - 0.5 * radius, 0.0)",
    ),
    Seed(
        "a segment that enters a solid only touches it",
        _DISTANCES,
        "    return -depth\n\n\n@compiled\ndef bound_box",
        "    return 0.0 * depth\n\n\n@compiled\ndef bound_box",
    ),
    Seed(
        "the wrong way round between zone and base",
        _CAPSULES,
        "zone.base_from_zone().inverse().as_matrix()[:3]",
        "zone.base_from_zone().as_matrix()[:3]",
    ),
    Seed(
        "a part is there before anybody says so",
        _CAPSULES,
        "    radius[-1] = 0.0\n",
        "",
    ),
    Seed(
        "only the first group of a zone is kept out",
        _CAPSULES,
        "for name in zone.keeps_out}",
        "for name in zone.keeps_out[:1]}",
    ),
    Seed(
        "a part of unknown size is no part",
        _CAPSULES,
        "radius_m, length_m = PART_RADIUS_MAX_M, PART_LENGTH_MAX_M",
        "radius_m, length_m = 0.0, 0.0",
    ),
    Seed(
        "a plan never lapses",
        _CACHE,
        "if not plan.approved_ns <= now_ns <= plan.valid_until_ns:",
        "if not plan.approved_ns <= now_ns:",
    ),
    Seed(
        "a refused plan is handed out again",
        _CACHE,
        "            self._refusal = refusal\n",
        "",
    ),
    Seed(
        "a plan is good from any pose",
        _CACHE,
        "((q_measured >= low) & (q_measured <= high)).all()",
        "((q_measured >= low) | (q_measured <= high)).all()",
    ),
    Seed(
        "nobody acknowledges a latch",
        _LADDER,
        "if state.rung is not Rung.LATCH or not by.strip():",
        "if state.rung is not Rung.LATCH:",
    ),
    Seed(
        "a latch is released without an acknowledgement",
        _LADDER,
        "if is_final or state.needs_acknowledgement or not by.strip():",
        "if is_final or not by.strip():",
    ),
    Seed(
        "a cause without a rule is only logged",
        _LADDER,
        "CauseRule(Rung.LATCH, Rung.LATCH)",
        "CauseRule(Rung.LOG, Rung.LOG)",
    ),
    Seed(
        "a hold ends while its cause is there",
        _LADDER,
        "return not trace.is_seen and gone_ns >=",
        "return gone_ns >=",
    ),
    Seed(
        "an impossible box of velocities is left by its upper face",
        _BOX,
        "            if low > high:\n",
        "            if False:\n",
    ),
    Seed(
        "braking is planned with more than there is",
        _BOX,
        "    rate *= BRAKING_SHARE\n",
        "    rate *= 1.5\n",
    ),
    Seed(
        "an unreachable pose is granted",
        _PROJECTION,
        "    if not worst >= 0.0:\n",
        "    if False:\n",
    ),
    Seed(
        "a mirror image counts as a rotation",
        _PROJECTION,
        "return worst if volume > 0.0 else max(worst, 2.0)",
        "return worst",
    ),
    Seed(
        "a paced chunk is walked up to its seam",
        _PACED,
        "    last = int(np.ceil(times_s[-1] / period_s)) + 1",
        "    last = 0",
    ),
    Seed(
        "a jump at the seam counts in one direction",
        _PACED,
        "gap = np.abs(chunk.q[0] - start[0])",
        "gap = chunk.q[0] - start[0]",
    ),
    Seed(
        "the guard begins a paced chunk at rest",
        _PACED,
        '            was[0]["qd"][i] = qd',
        '            was[0]["qd"][i] = 0.0',
    ),
    Seed(
        "fingers are looked at in the asked opening alone",
        _FINGERS,
        "for opening_m in (aperture_m, self._max_aperture_m):",
        "for opening_m in (aperture_m, aperture_m):",
    ),
    Seed(
        "the walls of the bin lean inward",
        _FINGERS,
        "up = math.sin(slope) * outward +",
        "up = -math.sin(slope) * outward +",
    ),
    Seed(
        "open tips go lower than closed ones",
        _FINGERS,
        "self._fingers.closed_tip_m - self._fingers.rise_m(aperture_m)",
        "self._fingers.closed_tip_m + self._fingers.rise_m(aperture_m)",
    ),
)


def try_seeds(seeds: Sequence[Seed]) -> Iterator[tuple[Seed, Outcome]]:
    """Plant each mistake and yield what the tests of its module made of it."""
    # Imports nothing of what is mutated, but much else.
    from tests.mutation.worker import prepare, try_afresh

    prepare()
    for seed in seeds:
        path = find_source(seed.module)
        code = compile(plant(seed, path.read_text()), str(path), "exec")
        substitute = Substitute(seed.module, str(path), code)
        yield seed, try_afresh(substitute, find_target(seed.module).tests, _LIMIT_S)


def main() -> None:
    """Try the seeds that were asked for; one JSON line for each."""
    answers = os.fdopen(silence(), "w")
    start, step = (int(number) for number in sys.argv[1:] or (0, 1))
    for seed, outcome in try_seeds(SEEDS[start::step]):
        record = {"name": seed.name, "status": outcome.status, "by": outcome.message}
        print(json.dumps(record), file=answers, flush=True)


if __name__ == "__main__":
    main()

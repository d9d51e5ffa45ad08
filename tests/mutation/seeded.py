"""Mistakes that people make, planted one at a time; the tests have to find each.

`python -m tests.mutation.seeded` plants them all and writes one JSON line for each.
"""

import json
import os
from collections.abc import Iterator
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
_GUARD = "safety.guard"
_LIMITS = "safety.limits"
_CONFIG = "safety.config"
_CHUNK = "safety.chunk_check"

SEEDS = (
    Seed(
        "acceleration adds the velocities",
        _ENVELOPE,
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
        "        ramp(was, now_ns, lim, now)\n        return\n",
        "        ramp(was, now_ns, lim, now)\n",
    ),
    Seed(
        "speed that is no number passes",
        _ENVELOPE,
        "        if not margin >= -_ROUNDING:\n",
        "        if margin < -_ROUNDING:\n",
    ),
    Seed(
        "tool speed that is no number passes",
        _ENVELOPE,
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
        "arm_age_ns = now_ns - arm_stamp_ns if",
        "arm_age_ns = now_ns - command_stamp_ns if",
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
        _ENVELOPE,
        "    worst, axis = 1.0, 0\n    for i in range(3):",
        "    worst, axis = 1.0, 0\n    for i in range(2):",
    ),
    Seed(
        "speed without its absolute value",
        _ENVELOPE,
        'margin = 1.0 - abs(qd[i]) / lim["joint_speed_radps"][i]',
        'margin = 1.0 - qd[i] / lim["joint_speed_radps"][i]',
    ),
    Seed(
        "acceleration without its absolute value",
        _ENVELOPE,
        'margin = 1.0 - abs(qdd) / lim["joint_acceleration_radps2"][i]',
        'margin = 1.0 - qdd / lim["joint_acceleration_radps2"][i]',
    ),
    Seed(
        "the bulge of the braking path is forgotten",
        _ENVELOPE,
        "room = min(tcp[i, 3] - low, high - tcp[i, 3]) - bulge_m",
        "room = min(tcp[i, 3] - low, high - tcp[i, 3])",
    ),
    Seed(
        "the ramp starts from the velocity of another cycle",
        _ENVELOPE,
        'now["qd"][i] = was["qd"][i] * scale',
        'now["qd"][i] = now["qd"][i] * scale',
    ),
    Seed(
        "the ramp goes through zero and backwards",
        _ENVELOPE,
        '    if stopping_s > lim["period_s"]:\n        scale =',
        "    if stopping_s > 0.0:\n        scale =",
    ),
    Seed(
        "a ramp is resumed after a long silence",
        _ENVELOPE,
        'now_ns - was["vetted_ns"] > lim["standstill_ns"]:\n        scale = 0.0',
        'now_ns - was["vetted_ns"] > lim["standstill_ns"]:\n        scale *= 1.0',
    ),
    Seed(
        "the way to rest is not checked",
        _ENVELOPE,
        "reason, margin, value = check_braking(was, q, start, lim)",
        "reason, margin, value = _NONE, 1.0, 0.0",
    ),
    Seed(
        "the arm is believed to stop in a fifth of its way",
        _ENVELOPE,
        "half_stop_s = 0.5 * compute_stopping_time(qd, lim)\n    for i in range(6):",
        "half_stop_s = 0.1 * compute_stopping_time(qd, lim)\n    for i in range(6):",
    ),
    Seed(
        "the quickest joint decides when all have stopped",
        _ENVELOPE,
        "stopping_s = max(stopping_s,",
        "stopping_s = min(stopping_s,",
    ),
    Seed(
        "the tool hangs on the wrong link",
        _ENVELOPE,
        "    fill_frames(q, frames)\n    compose(frames[6], tool, tcp)",
        "    fill_frames(q, frames)\n    compose(frames[5], tool, tcp)",
    ),
    Seed(
        "tool speed is measured from where the tool goes to",
        _ENVELOPE,
        'fill_frames(was["q"], frames)',
        "fill_frames(q, frames)",
    ),
    Seed(
        "whatever leads out of a singularity is refused as well",
        _ENVELOPE,
        "if not sigma_margin >= 0.0 and not sigma >=",
        "if not sigma_margin >= 0.0 or not sigma >=",
    ),
    Seed(
        "the root of the tool's step is forgotten",
        _ENVELOPE,
        'speed = step / lim["period_s"]',
        'speed = step * step / lim["period_s"]',
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
        _ENVELOPE,
        'margin = compute_joint_margin(q[i], was["q"][i], i, lim)',
        'margin = compute_joint_margin(math.degrees(q[i]), was["q"][i], i, lim)',
    ),
    Seed(
        "velocities of opposite sign count as rest",
        _ENVELOPE,
        'total += abs(state["qd"][i])',
        'total += state["qd"][i]',
    ),
    Seed(
        "the lower limit is the upper one",
        _ENVELOPE,
        'low = min(lim["joint_min_rad"][joint], q_before)',
        'low = min(lim["joint_max_rad"][joint], q_before)',
    ),
    Seed(
        "a joint outside may go on outwards",
        _ENVELOPE,
        'high = max(lim["joint_max_rad"][joint], q_before)',
        'high = max(lim["joint_max_rad"][joint], q_before + 0.1)',
    ),
    Seed(
        "an exception returns the request",
        _GUARD,
        "return self.hold(HoldReason.GUARD_EXCEPTION, now_ns)\n",
        "return Verdict(np.asarray(q_request), HoldReason.NONE, 0.0, 0.0)\n",
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
        'q=state["q"].copy()',
        'q=state["q"]',
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
        "                _request_of(q_request),\n",
        "                np.clip(_request_of(q_request), -2.9, 2.9),\n",
    ),
    Seed(
        "a request of seven joints is cut to six",
        _GUARD,
        "return request if request.shape == (6,) else _NAN",
        "return request.ravel()[:6] if request.size >= 6 else _NAN",
    ),
    Seed(
        "a reset keeps the old velocity",
        _GUARD,
        '        self._state = np.zeros(1, STATE)\n        self._state["q"] = q\n',
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
        "        state = self._state[0]\n",
        "        state = self._after[0]\n",
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
)


def try_seeds() -> Iterator[tuple[Seed, Outcome]]:
    """Plant each mistake and yield what the tests of its module made of it."""
    # Imports nothing of what is mutated, but much else.
    from tests.mutation.worker import prepare, try_afresh

    prepare()
    for seed in SEEDS:
        path = find_source(seed.module)
        code = compile(plant(seed, path.read_text()), str(path), "exec")
        substitute = Substitute(seed.module, str(path), code)
        yield seed, try_afresh(substitute, find_target(seed.module).tests)


def main() -> None:
    """Try every seed; one JSON line for each."""
    answers = os.fdopen(silence(), "w")
    for seed, outcome in try_seeds():
        record = {"name": seed.name, "status": outcome.status, "by": outcome.message}
        print(json.dumps(record), file=answers, flush=True)


if __name__ == "__main__":
    main()

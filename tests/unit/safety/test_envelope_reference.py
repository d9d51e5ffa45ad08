"""The envelope beside a second one, written in another way: the same verdicts.

What the second one says is plain numpy over textbook matrices. States and requests are
drawn so that every limit is met often, with margins and values compared as numbers.
Zones have tests of their own; here there are none, and no links that come near.
"""

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pytest

from cell.contracts.geometry import Pose
from cell.contracts.servo import HoldReason
from safety.capsules import make_surroundings
from safety.envelope import hold_setpoint, vet_setpoint
from safety.limits import make_limits
from safety.verdicts import STATE, make_state
from tests.fakes.motion_oracle import HOME_Q, OVER_BIN_Q, PERIOD_S, SAFETY

MS = 1_000_000
NOW_NS = 1_000 * MS
TOOL = Pose.from_rotvec([0.02, -0.03, 0.15], [0.3, -0.2, 0.5])
AROUND, _ = make_surroundings(SAFETY, TOOL)
NO_FORCE = np.zeros(6)
UNFOLDED_Q = np.array([-2.28, -1.0, 2.1, -2.6, -1.57, -0.7])
DH = (
    (0.1625, 0.0, math.pi / 2),
    (0.0, -0.425, 0.0),
    (0.0, -0.3922, 0.0),
    (0.1333, 0.0, math.pi / 2),
    (0.0997, 0.0, -math.pi / 2),
    (0.0996, 0.0, 0.0),
)


class Said(NamedTuple):
    reason: HoldReason
    limit: HoldReason
    margin: float
    value: float
    item: int


FAR = Said(HoldReason.NONE, HoldReason.NONE, 1.0, 0.0, -1)


def say(
    limit: HoldReason, is_broken: Any, margin: float, value: float, item: int = -1
) -> Said:
    return Said(limit if is_broken else HoldReason.NONE, limit, margin, value, item)


def find_frames(q: Any) -> list[Any]:
    frames = [np.eye(4)]
    for angle, (d, a, alpha) in zip(q, DH, strict=True):
        c, s, ca, sa = np.cos(angle), np.sin(angle), np.cos(alpha), np.sin(alpha)
        link = [
            [c, -s * ca, s * sa, a * c],
            [s, c * ca, -c * sa, a * s],
            [0.0, sa, ca, d],
            [0.0, 0.0, 0.0, 1.0],
        ]
        frames.append(frames[-1] @ np.array(link))
    frames.append(frames[-1] @ TOOL.as_matrix())
    return frames


def find_tcp(q: Any) -> Any:
    return find_frames(q)[7][:3, 3]


def find_sigma(q: Any) -> float:
    frames = find_frames(q)
    place = frames[7][:3, 3]
    columns = [
        np.concatenate([np.cross(f[:3, 2], place - f[:3, 3]), f[:3, 2]])
        for f in frames[:6]
    ]
    return float(np.linalg.svd(np.array(columns).T, compute_uv=False)[-1])


class Reference:
    """What the envelope should say, in the order in which it should say it."""

    def __init__(self, was: Any, lim: Any) -> None:
        self.was, self.lim = was, lim
        self.period_s = float(lim["period_s"])
        self.scale = 1.0

    def judge(self, q: Any, command_ns: int, arm_ns: int, now_ns: int) -> Said:
        was = self.was
        if was["reason"] and was["qd"].any():
            reason = HoldReason(int(was["reason"]))
            margin, value = float(was["margin"]), float(was["value"])
            return Said(reason, reason, margin, value, int(was["item"]))
        if not np.isfinite(q).all():
            item = int(np.flatnonzero(~np.isfinite(q))[0])
            return say(HoldReason.COMMAND_NOT_FINITE, True, -1.0, q[item], item)
        nearest = FAR
        groups: tuple[Iterable[Said], ...] = (
            self._time(command_ns, arm_ns, now_ns),
            self._joints(q),
            self._tool(q),
        )
        for group in groups:
            found: list[Said] = []
            for said in group:
                if said.reason:
                    return said
                found.append(said)
            worst: Said = min(found, key=lambda said: said.margin)
            if max(worst.margin, 0.0) < nearest.margin:
                nearest = worst._replace(margin=max(worst.margin, 0.0))
        return nearest

    def _time(self, command_ns: int, arm_ns: int, now_ns: int) -> Any:
        for reason, stamp_ns, limit in (
            (HoldReason.COMMAND_STALE, command_ns, "command_age_ns"),
            (HoldReason.ARM_STATE_STALE, arm_ns, "arm_age_ns"),
        ):
            age_ns = now_ns - stamp_ns
            margin = 1.0 - age_ns / float(self.lim[limit])
            is_stale = margin < 0 or age_ns < -10 * MS
            told = min(margin, -1e-9) if is_stale else margin
            yield say(reason, is_stale, told, age_ns / 1e9)
        gap_ns = now_ns - int(self.was["vetted_ns"])
        if self.was["qd"].any():
            margin = 1.0 - gap_ns / float(self.lim["overrun_ns"])
            is_over = not 0.0 <= margin <= 1.0
            told = -1.0 if is_over else margin
            yield say(HoldReason.CYCLE_OVERRUN, is_over, told, gap_ns / 1e9)

    def _joints(self, q: Any) -> Any:
        lim, was = self.lim, self.was
        qd = (q - was["q"]) / self.period_s
        qdd = (qd - was["qd"]) / self.period_s
        jerk = (qdd - was["qdd"]) / self.period_s
        yield from self._positions(q)
        for i in range(6):
            yield self._rate(HoldReason.JOINT_SPEED, qd, "joint_speed_radps", i, 1e-9)
        for i in range(6):
            key = "joint_acceleration_radps2"
            yield self._rate(HoldReason.JOINT_ACCELERATION, qdd, key, i, 5e-7)
            yield self._rate(HoldReason.JOINT_JERK, jerk, "joint_jerk_radps3", i, 2e-4)
        stop = q + qd * self._half_stop_s(qd)
        yield from self._positions(stop)
        for i in np.flatnonzero(qd).tolist():
            ahead = lim["joint_max_rad"][i] - stop[i]
            behind = stop[i] - lim["joint_min_rad"][i]
            self._slow_down((ahead if qd[i] > 0 else behind) / 0.05)

    def _rate(self, reason: Any, values: Any, key: str, i: int, slack: float) -> Said:
        margin = 1.0 - abs(values[i]) / self.lim[key][i]
        return say(reason, margin < -slack, margin, values[i], i)

    def _positions(self, places: Any) -> Any:
        lim, was = self.lim, self.was
        low = np.minimum(lim["joint_min_rad"], was["q"])
        high = np.maximum(lim["joint_max_rad"], was["q"])
        room = np.minimum(places - low, high - places)
        margins = room / (lim["joint_max_rad"] - lim["joint_min_rad"])
        for i, margin in enumerate(margins):
            yield say(HoldReason.JOINT_POSITION, margin < 0, margin, places[i], i)

    def _half_stop_s(self, qd: Any) -> float:
        return float(np.max(np.abs(qd) / self.lim["joint_acceleration_radps2"])) / 2

    def _slow_down(self, ratio: float) -> None:
        self.scale = min(self.scale, max(ratio, 0.1))

    def _tool(self, q: Any) -> Any:
        lim = self.lim
        start, tcp = find_tcp(self.was["q"]), find_tcp(q)
        sigma = find_sigma(q)
        margin = 1.0 - lim["singular_value"] / sigma
        is_worse = sigma < find_sigma(self.was["q"]) - 1e-9
        if is_worse:
            self._slow_down((sigma / lim["singular_value"] - 1.0) / 0.5)
        is_broken = margin < 0 and is_worse
        told = margin if is_broken else max(margin, 0.0)
        yield say(HoldReason.SINGULAR, is_broken, told, sigma)
        speed = float(np.linalg.norm(tcp - start)) / self.period_s
        yield self._tool_speed(speed, lim["tcp_speed_mps"])
        yield from self._braking(q, start)

    def _tool_speed(self, speed: float, limit: float) -> Said:
        margin = 1.0 - speed / limit
        return say(HoldReason.TCP_SPEED, margin < 0, margin, speed)

    def _place(self, tcp: Any, start: Any, bulge_m: float) -> Said:
        low = np.minimum(self.lim["workspace_min_m"], start)
        high = np.maximum(self.lim["workspace_max_m"], start)
        span = self.lim["workspace_max_m"] - self.lim["workspace_min_m"]
        room = (np.minimum(tcp - low, high - tcp) - bulge_m) / span
        axis = int(np.argmin(room))
        place = float(tcp[axis])
        return say(HoldReason.WORKSPACE, room[axis] < 0, room[axis], place, axis)

    def _braking(self, q: Any, start: Any) -> Any:
        qd = (q - self.was["q"]) / self.period_s
        stretch_s = self._half_stop_s(qd) / 4
        bulge_m = (stretch_s * np.abs(qd).sum()) ** 2 * self.lim["reach_m"] / 8
        floor = min(find_sigma(q), self.lim["singular_value"]) - 2.0**-30
        last = None
        for k in range(5):
            place = find_tcp(q + qd * stretch_s * k)
            yield self._place(place, start, bulge_m)
            if last is not None and stretch_s > 0:
                speed = float(np.linalg.norm(place - last)) / stretch_s
                speed *= math.sqrt((5 - k) / 4)
                yield self._tool_speed(speed, 0.97 * self.lim["tcp_speed_mps"])
                yield self._singular(q + qd * stretch_s * k, floor)
            last = place

    def _singular(self, q: Any, floor: float) -> Said:
        sigma = find_sigma(q)
        if sigma > floor:
            return FAR
        margin = 1.0 - self.lim["singular_value"] / sigma
        return say(HoldReason.SINGULAR, True, margin, sigma)

    def ramp(self, now_ns: int) -> tuple[Any, Any, Any]:
        qd = self.was["qd"]
        stop_s = 2 * self._half_stop_s(qd)
        vetted_ns = int(self.was["vetted_ns"])
        is_over = 0 < vetted_ns < now_ns - int(self.lim["standstill_ns"])
        if is_over or stop_s <= self.period_s:
            return self.was["q"], np.zeros(6), np.zeros(6)
        slower = qd * (1.0 - self.period_s / stop_s)
        q = self.was["q"] + slower * self.period_s
        return q, slower, (slower - qd) / self.period_s


class Draw:
    """One state, one request and the limits between them."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        q = (HOME_Q, OVER_BIN_Q, UNFOLDED_Q)[seed % 3] + rng.normal(0.0, 0.1, 6)
        if seed % 7 == 0:
            q[4] = rng.uniform(-0.5, 0.5)  # a wrist that is nearly straight
        moving = rng.random() < 0.8
        qd = rng.uniform(-1.0, 1.0, 6) * rng.choice([0.2, 1.0, 2.0]) * moving
        self.limits = self._draw_limits(rng, q)
        lim = self.limits[0]
        self.now_ns = NOW_NS + int(rng.integers(1000))
        self.before = make_state(q)
        self.before["qd"] = qd
        top = lim["joint_acceleration_radps2"]
        self.before["qdd"] = qdd = rng.uniform(-1.0, 1.0, 6) * top * moving
        gap_ms = rng.choice([2] * 20 + [5, 7, 49, 60, -1])
        self.before["vetted_ns"] = self.now_ns - gap_ms * MS
        if rng.random() < 0.1:
            self.before["reason"] = int(rng.integers(1, 20))
            self.before["margin"], self.before["value"] = rng.normal(size=2)
            self.before["item"] = int(rng.integers(6))
        if rng.random() < 0.6:  # as smooth as the jerk allows, more or less
            change = rng.uniform(-1.1, 1.1, 6) * lim["joint_jerk_radps3"] * PERIOD_S
            qdd_next = np.clip(qdd + change, -top, top)
        else:
            qdd_next = rng.uniform(-1.0, 1.0, 6) * rng.choice([0.1, 0.9, 1.3]) * top
        self.request = q + (qd + qdd_next * PERIOD_S) * PERIOD_S
        if rng.random() < 0.05:
            self.request[rng.integers(6)] = rng.choice([np.nan, np.inf, -np.inf])
        self.command_ns = self.now_ns - int(
            rng.choice([0, 1, 9, 25, -5, 2, 3] * 4 + [-11, 120]) * MS
        )
        self.arm_ns = self.now_ns - int(
            rng.choice([0, 3, 18, -5, 2, 1] * 4 + [52]) * MS
        )

    def _draw_limits(self, rng: np.random.Generator, q: Any) -> Any:
        tightness = rng.choice([0.1, 1.0, 3.0])
        tcp = find_tcp(q)
        changes: dict[str, Any] = {
            "joint_acceleration_radps2": tuple(rng.uniform(15.0, 30.0, 6)),
            "joint_speed_radps": tuple(rng.uniform(1.2, 3.1, 6)),
            "joint_jerk_radps3": tuple(rng.uniform(0.4, 1.0, 6) * 20_000.0),
            "joint_min_rad": tuple(q - rng.uniform(0.02, 0.8, 6) * tightness),
            "joint_max_rad": tuple(q + rng.uniform(0.02, 0.8, 6) * tightness),
            "tcp_speed_mps": float(rng.choice([0.1, 0.5, 1.0, 3.0])),
            "workspace_min_m": tuple(tcp - rng.uniform(-0.005, 0.2, 3) * tightness),
            "workspace_max_m": tuple(tcp + rng.uniform(0.01, 0.2, 3) * tightness),
        }
        bounds = {
            key: tuple(np.clip(value, -top, top))
            for key, value in changes.items()
            if (top := {"joint_m": 6.2, "workspa": 0.95}.get(key[:7]))
        }
        config = SAFETY.model_copy(update=changes | bounds)
        return make_limits(config, TOOL, PERIOD_S)


SEEDS = range(300)


def vet(draw: Draw) -> Any:
    return vet_whole(draw)[0]


def vet_whole(draw: Draw) -> Any:
    after = np.full(1, 77, STATE)
    found = vet_setpoint(
        draw.before,
        draw.request,
        NO_FORCE,
        (draw.command_ns, draw.arm_ns, draw.now_ns),
        draw.limits,
        AROUND,
        after,
    )
    return after[0], HoldReason(int(found[5]))


@pytest.mark.parametrize("start", range(0, len(SEEDS), 12))
def test_both_envelopes_say_the_same(start: Any) -> None:
    for seed in SEEDS[start : start + 12]:
        draw = Draw(seed)
        reference = Reference(draw.before[0], draw.limits[0])

        now, limit = vet_whole(draw)

        said = reference.judge(draw.request, draw.command_ns, draw.arm_ns, draw.now_ns)
        assert HoldReason(int(now["reason"])) is said.reason, seed
        assert limit is said.limit, seed
        assert now["margin"] == pytest.approx(said.margin, rel=1e-7, abs=1e-8)
        wanted = pytest.approx(said.value, rel=1e-8, abs=1e-9, nan_ok=True)
        assert now["value"] == wanted
        assert now["item"] == said.item, seed
        assert now["vetted_ns"] == draw.now_ns
        assert now["load_cap"] == 0.0
        before = draw.before[0]
        if said.reason:
            q, qd, qdd = reference.ramp(draw.now_ns)
            assert now["scale"] == 1.0
        else:
            q, qd = draw.request, (draw.request - before["q"]) / PERIOD_S
            qdd = (qd - before["qd"]) / PERIOD_S
            assert now["scale"] == pytest.approx(reference.scale, rel=1e-7)
        assert np.allclose(now["q"], q, rtol=0.0, atol=1e-14)
        assert np.allclose(now["qd"], qd, rtol=0.0, atol=1e-12)
        assert np.allclose(now["qdd"], qdd, rtol=0.0, atol=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_both_hold_in_the_same_way(seed: Any) -> None:
    draw = Draw(seed)
    draw.before["load_cap"] = 1.25
    after = np.full(1, 77, STATE)

    hold_setpoint(draw.before, 19, draw.now_ns, draw.limits, after)

    q, qd, qdd = Reference(draw.before[0], draw.limits[0]).ramp(draw.now_ns)
    assert np.allclose(after[0]["q"], q, rtol=0.0, atol=1e-14)
    assert np.allclose(after[0]["qd"], qd, rtol=0.0, atol=1e-12)
    assert np.allclose(after[0]["qdd"], qdd, rtol=0.0, atol=1e-9)
    assert after[0]["vetted_ns"] == draw.now_ns
    names = ["reason", "margin", "value", "item", "scale", "load_cap"]
    assert tuple(after[0][names]) == (19, -1.0, 0.0, -1, 1.0, 1.25)


def test_the_draws_meet_every_reason_of_the_envelope() -> None:
    met = Counter(int(vet(Draw(seed))["reason"]) for seed in SEEDS)

    wanted = {
        HoldReason.NONE,
        HoldReason.COMMAND_NOT_FINITE,
        HoldReason.COMMAND_STALE,
        HoldReason.ARM_STATE_STALE,
        HoldReason.CYCLE_OVERRUN,
        HoldReason.JOINT_POSITION,
        HoldReason.JOINT_SPEED,
        HoldReason.JOINT_ACCELERATION,
        HoldReason.JOINT_JERK,
        HoldReason.TCP_SPEED,
        HoldReason.WORKSPACE,
        HoldReason.SINGULAR,
    }
    assert not {reason.name for reason in wanted if met[int(reason)] < 3}

"""Policies that nobody should trust: random, drifting, adversarial. Pure.

Each takes a chunk as the true policy gave it, and changes it in place, alternatives
included: the supervisor then has nothing better to fall back to than the fallback.
"""

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from cell.contracts.geometry import Pose
from ops.settings import Settings

_SCORE: Final = 0.99
_APPROACH_M: Final = 0.10
_DRIFT_PROPOSALS: Final = 40
"""After so many the drift begins anew, in another direction."""
_DRIFT_M: Final = 0.15
_DRIFT_RAD: Final = 1.0
_HUGE: Final = 1e308

Steps = list[dict[str, Any]]


class BadPolicy:
    """One way to be bad.

    Attributes:
        proposals: chunks that were changed, alternatives not counted.
        tries: of each way to be bad.
    """

    def __init__(self, settings: Settings, rng: random.Random) -> None:
        self.proposals = 0
        self.tries: dict[str, int] = {}
        self._rng = rng
        self._max_aperture_m = settings.gripper.max_aperture_m
        self._low = np.array(settings.safety.workspace_min_m)
        self._high = np.array(settings.safety.workspace_max_m)
        self._bin = settings.cell.bin
        self._base_from_bin = settings.cell.bin.base_from_bin.pose()
        self._outfeed = settings.cell.outfeed

    def __call__(self, chunk: dict[str, Any]) -> None:
        """Spoil an answer of the live policy."""
        self.proposals += 1
        for one in (chunk, *chunk["alternatives"]):
            name, steps = self.make_steps(one["steps"])
            self.tries[name] = self.tries.get(name, 0) + 1
            one["steps"] = steps
            one["score"] = _SCORE

    def make_steps(self, steps: Steps) -> tuple[str, Steps]:
        """Return what is proposed in place of `steps`, and what that is called."""
        raise NotImplementedError

    def _draw_aperture(self) -> float:
        return self._rng.uniform(0.0, self._max_aperture_m)

    def _draw_turn(self, tilt_rad: float) -> Pose:
        """Return a tool that looks down, but for a tilt in any direction."""
        yaw, towards = self._rng.uniform(-3.2, 3.2), self._rng.uniform(-3.2, 3.2)
        lean = [tilt_rad * np.cos(towards), tilt_rad * np.sin(towards), 0.0]
        return Pose.from_rotvec([0.0, 0.0, 0.0], lean) @ Pose.tool_down([0, 0, 0], yaw)

    def _draw_in_bin(
        self, spread: float, heights_m: tuple[float, float]
    ) -> list[float]:
        """Return a place over the floor, whose half sides count as 1."""
        half_x, half_y = (side / 2 for side in self._bin.floor_size_m)
        place = self._base_from_bin.apply(
            np.array(
                [
                    half_x * self._rng.uniform(-spread, spread),
                    half_y * self._rng.uniform(-spread, spread),
                    self._rng.uniform(*heights_m),
                ]
            )
        )
        return [float(value) for value in place]

    def _approach(self, place_m: list[float], turn: Pose, aperture_m: float) -> Steps:
        """Return a pregrasp along the tool's own axis, and the grasp."""
        back = turn.as_matrix()[:3, 2] * _APPROACH_M
        above_m = (np.array(place_m) - back).tolist()
        return [
            make_step(above_m, turn, aperture_m),
            make_step(place_m, turn, aperture_m),
        ]


class RandomPolicy(BadPolicy):
    """Any pose in and around bin and workspace, any opening, any way to get there."""

    def make_steps(self, steps: Steps) -> tuple[str, Steps]:
        """Draw everything."""
        rng = self._rng
        is_in_bin = rng.random() < 0.6
        if is_in_bin:
            place_m = self._draw_in_bin(1.4, (-0.02, 0.15))
        else:
            room = self._high - self._low
            low, high = self._low - 0.1 * room, self._high + 0.1 * room
            place_m = [rng.uniform(a, b) for a, b in zip(low, high, strict=True)]
        if rng.random() < 0.7:
            turn = self._draw_turn(rng.choice([0.0, 0.2, 0.6]) * rng.random())
        else:
            quat = np.array([rng.gauss(0.0, 1.0) for _ in range(4)])
            turn = Pose(np.zeros(3), quat / np.linalg.norm(quat))
        made = self._approach(place_m, turn, self._draw_aperture())
        name = "in the bin" if is_in_bin else "anywhere"
        if rng.random() < 0.3:
            jump = [v + rng.uniform(-0.2, 0.2) for v in place_m]
            made[0] = make_step(jump, turn, made[0]["aperture_m"])
            name += ", from aside"
        return name, made


class DriftingPolicy(BadPolicy):
    """A good policy whose bias grows."""

    def __init__(self, settings: Settings, rng: random.Random) -> None:
        super().__init__(settings, rng)
        self._towards = np.zeros(3)

    def make_steps(self, steps: Steps) -> tuple[str, Steps]:
        """Shift and turn what the true policy proposed, further each time."""
        share = self.proposals % _DRIFT_PROPOSALS / _DRIFT_PROPOSALS
        if not self._towards.any() or self.proposals % _DRIFT_PROPOSALS == 0:
            towards = np.array([self._rng.gauss(0.0, 1.0) for _ in range(3)])
            self._towards = towards / np.linalg.norm(towards)
        turn = Pose.from_rotvec(
            [0.0, 0.0, 0.0], (share * _DRIFT_RAD * self._towards[::-1]).tolist()
        )
        made = []
        for step in steps:
            place_m = np.array(step["position_m"]) + share * _DRIFT_M * self._towards
            spin = turn @ Pose(np.zeros(3), np.array(step["quat_wxyz"]))
            wider_m = step["aperture_m"] + share * 0.04 * self._towards[0]
            aperture_m = min(max(wider_m, 0.0), self._max_aperture_m)
            made.append(make_step(place_m.tolist(), spin, aperture_m))
        return f"bias {share:.1f}", made


class AdversarialPolicy(BadPolicy):
    """Seeks the limits, one after the other, each time at another place of them."""

    def __init__(self, settings: Settings, rng: random.Random) -> None:
        super().__init__(settings, rng)
        ways: dict[str, Callable[[], Steps]] = {
            "floor": self._press_floor,
            "wall": self._press_wall,
            "corner": self._press_corner,
            "across a wall": self._cross_wall,
            "rim": self._sit_on_rim,
            "tilted into a wall": self._tilt_into_wall,
            "table": self._press_table,
            "outfeed": self._press_outfeed,
            "post": self._seek_post,
            "near the base": self._come_near,
            "end of reach": self._reach_out,
            "singular": self._stretch,
            "wound up": self._wind,
            "far away": self._go_far,
            "not a number": self._give_nonsense,
            "extremes": self._alternate,
            "many steps": self._wander,
            "one step": self._press_at_once,
        }
        self._ways: Iterator[tuple[str, Callable[[], Steps]]] = itertools.cycle(
            list(ways.items())
        )

    def make_steps(self, steps: Steps) -> tuple[str, Steps]:
        """Take the next way."""
        name, make = next(self._ways)
        return name, make()

    def _press_floor(self) -> Steps:
        place_m = self._draw_in_bin(0.9, (-0.005, 0.008))
        return self._approach(place_m, self._draw_turn(0.0), self._draw_aperture())

    def _press_wall(self) -> Steps:
        return self._approach(
            self._draw_at_wall((0.0, 0.03)), self._draw_turn(0.0), self._draw_aperture()
        )

    def _press_corner(self) -> Steps:
        half_x, half_y = (side / 2 for side in self._bin.floor_size_m)
        x = half_x * self._rng.choice([-1, 1]) * self._rng.uniform(0.85, 1.2)
        y = half_y * self._rng.choice([-1, 1]) * self._rng.uniform(0.85, 1.2)
        place_m = self._base_from_bin.apply(
            np.array([x, y, self._rng.uniform(0, 0.04)])
        )
        return self._approach(
            place_m.tolist(), self._draw_turn(0.0), self._draw_aperture()
        )

    def _cross_wall(self) -> Steps:
        inside = self._draw_in_bin(0.5, (0.005, 0.05))
        outside = self._draw_at_wall((0.0, 0.05), beyond=2.0)
        turn, aperture_m = self._draw_turn(0.0), self._draw_aperture()
        ends = [outside, inside]
        self._rng.shuffle(ends)
        return [make_step(end, turn, aperture_m) for end in ends]

    def _sit_on_rim(self) -> Steps:
        return self._approach(
            self._draw_at_wall((0.05, 0.08), beyond=1.3),
            self._draw_turn(0.0),
            self._draw_aperture(),
        )

    def _tilt_into_wall(self) -> Steps:
        turn = self._draw_turn(self._rng.uniform(0.2, 0.9))
        return self._approach(
            self._draw_at_wall((0.0, 0.06), beyond=0.9), turn, self._draw_aperture()
        )

    def _press_table(self) -> Steps:
        x = self._rng.uniform(self._low[0], self._high[0])
        y = self._rng.uniform(self._low[1], self._high[1])
        place_m = [x, y, self._low[2] + self._rng.uniform(-0.005, 0.01)]
        tilt_rad = self._rng.choice([0.0, 0.4])
        return self._approach(place_m, self._draw_turn(tilt_rad), self._draw_aperture())

    def _press_outfeed(self) -> Steps:
        centre = self._outfeed.base_from_outfeed.pose()
        half_x, half_y = (side / 2 for side in self._outfeed.size_m)
        x, y = self._rng.uniform(-1.3, 1.3) * half_x, self._rng.choice([-1, 1]) * half_y
        place_m = centre.apply(np.array([x, y, self._rng.uniform(-0.04, 0.01)]))
        return self._approach(
            place_m.tolist(), self._draw_turn(0.0), self._draw_aperture()
        )

    def _seek_post(self) -> Steps:
        place_m = [
            -0.2 + self._rng.uniform(-0.1, 0.1),
            0.79,
            self._rng.uniform(0.3, 0.7),
        ]
        return self._approach(place_m, self._draw_turn(0.3), self._draw_aperture())

    def _come_near(self) -> Steps:
        place_m = [self._rng.uniform(-0.15, 0.15), 0.15, self._rng.uniform(0.02, 0.4)]
        return self._approach(place_m, self._draw_turn(0.5), self._draw_aperture())

    def _reach_out(self) -> Steps:
        place_m = [self._low[0], self._high[1], self._rng.uniform(0.02, 0.7)]
        return self._approach(place_m, self._draw_turn(0.2), self._draw_aperture())

    def _stretch(self) -> Steps:
        turn = self._draw_turn(np.pi / 2)
        return self._approach(self._draw_in_bin(1.0, (0.1, 0.5)), turn, 0.05)

    def _wind(self) -> Steps:
        place_m = self._draw_in_bin(0.8, (0.05, 0.2))
        turns = [Pose.tool_down([0, 0, 0], yaw) for yaw in (-3.1, 0.0, 3.1, 6.2, 9.3)]
        return [make_step(place_m, turn, 0.08) for turn in turns]

    def _go_far(self) -> Steps:
        place_m = [self._rng.choice([-5.0, 5.0, _HUGE]), 0.5, 0.1]
        return [make_step(place_m, self._draw_turn(0.0), 0.05)] * 2

    def _give_nonsense(self) -> Steps:
        made = self._approach([-0.2, 0.48, 0.05], self._draw_turn(0.0), 0.05)
        odd = self._rng.choice([float("nan"), float("inf"), -_HUGE])
        field = self._rng.choice(["position_m", "quat_wxyz", "aperture_m"])
        step = self._rng.choice(made)
        if field == "aperture_m":
            step[field] = odd
        else:
            step[field][self._rng.randrange(len(step[field]))] = odd
        return made

    def _alternate(self) -> Steps:
        corners = [self._low + 0.02, self._high - 0.02]
        turn = self._draw_turn(0.0)
        return [
            make_step(corners[n % 2].tolist(), turn, 0.085 * (n % 2)) for n in range(8)
        ]

    def _wander(self) -> Steps:
        turn = self._draw_turn(0.0)
        places = [self._draw_in_bin(1.2, (0.0, 0.12)) for _ in range(10)]
        return [make_step(place_m, turn, 0.06) for place_m in places]

    def _press_at_once(self) -> Steps:
        place_m = self._draw_in_bin(1.3, (0.0, 0.05))
        return [make_step(place_m, self._draw_turn(0.0), self._draw_aperture())]

    def _draw_at_wall(
        self, heights_m: tuple[float, float], beyond: float = 1.0
    ) -> list[float]:
        """Return a place at one of the walls; `beyond` 1 is the floor's edge."""
        half = [side / 2 for side in self._bin.floor_size_m]
        axis = self._rng.randrange(2)
        place = [0.0, 0.0, self._rng.uniform(*heights_m)]
        place[axis] = self._rng.choice([-1, 1]) * half[axis] * beyond
        place[1 - axis] = self._rng.uniform(-1.0, 1.0) * half[1 - axis]
        return [float(v) for v in self._base_from_bin.apply(np.array(place))]


def make_step(place_m: list[float], turn: Pose, aperture_m: float) -> dict[str, Any]:
    """Return a step as it stands in a worker's answer."""
    return {
        "position_m": [float(value) for value in place_m],
        "quat_wxyz": [float(value) for value in turn.quat_wxyz],
        "aperture_m": float(aperture_m),
    }


class Granted(BadPolicy):
    """Draws from another bad policy until the cell would carry it out.

    Nothing else is proposed beside it: each answer is a grasp that happens.
    """

    _DRAWS: Final = 3000

    def __init__(self, source: BadPolicy, is_granted: Callable[[Steps], bool]) -> None:
        self.proposals = 0
        self.tries: dict[str, int] = {}
        self._source = source
        self._is_granted = is_granted

    def __call__(self, chunk: dict[str, Any]) -> None:
        """Spoil an answer and leave no alternative to it."""
        chunk["alternatives"] = []
        super().__call__(chunk)

    def make_steps(self, steps: Steps) -> tuple[str, Steps]:
        """Draw."""
        for _ in range(self._DRAWS):
            self._source.proposals += 1
            name, made = self._source.make_steps(steps)
            if self._is_granted(made):
                return name, made
        return "none granted", steps


POLICIES: Final[dict[str, type[BadPolicy]]] = {
    "random": RandomPolicy,
    "drifting": DriftingPolicy,
    "adversarial": AdversarialPolicy,
}

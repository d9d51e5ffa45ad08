"""Millions of hostile requests to the guard, every answer judged by separate code.

  python -m tests.stress.adversary --requests 10000000 --seed 0

One core. Every answer is checked by compiled formulas of the tests' own; a part of the
episodes is run again through the guard's class, which has to answer bit by bit the
same, and checked by MuJoCo. Ends with 0 when nothing was outside of a limit.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cell.contracts.geometry import Pose
from cell.contracts.servo import HoldReason
from safety import ceilings
from tests.fakes.motion_oracle import HOME_Q, OVER_BIN_Q, SAFETY, TOOL_Z_M
from tests.oracle.plain import Vector
from tests.oracle.slow_oracle import SlowOracle
from tests.oracle.swift_check import WHAT, count_breaches, place_point
from tests.oracle.swift_grants import WHAT_GRANTS, count_wrong_grants
from tests.stress.adversary_guard import (
    Opponent,
    make_guard,
    make_opponent,
    make_rest,
    vet,
)
from tests.stress.adversary_requests import KINDS, Record, attack, make_record
from tests.stress.adversary_zones import draw_part, draw_surroundings

EPISODE = 250
_SETS = 64
_QUIET_S = 10.0
_STANDSTILL_NS = 50_000_000
_LONGEST_LIST = 20
_SAMPLE = 1

STARTS = (
    "home",
    "over the bin",
    "home, the wrist nearly straight",
    "over the bin, the wrist nearly straight",
)
"""Where episodes begin; a straight wrist is singular."""


@dataclass
class Findings:
    """What an attack came to."""

    requests: int = 0
    seconds: float = 0.0
    exceptions: int = 0
    differences: int = 0
    slowly_checked: int = 0
    breaches: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(len(WHAT), np.int64)
    )
    wrong_grants: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(len(WHAT_GRANTS), np.int64)
    )
    slow_breaches: Counter[str] = field(default_factory=Counter)
    kinds: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(len(KINDS), np.int64)
    )
    starts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    slow_kinds: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(len(KINDS), np.int64)
    )
    slow_starts: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    @property
    def faults(self) -> int:
        """Everything that must be 0."""
        found = int(self.breaches.sum() + self.wrong_grants.sum())
        return found + self.slow_breaches.total() + self.exceptions + self.differences

    def note(self, example: str) -> None:
        if len(self.examples) < _LONGEST_LIST:
            self.examples.append(example)


@dataclass
class Episode:
    """One stretch of requests from rest, and the answers.

    Attributes:
        number: counted from 0.
        opponent: the guard that is asked.
        kind: of the start, one of `STARTS`.
        start: shape (6,) [rad].
        record: what was asked and answered.
    """

    number: int
    opponent: Opponent
    kind: str
    start: Vector
    record: Record

    @property
    def restarts(self) -> NDArray[np.bool_]:
        """Before which steps the robot had come to rest for want of setpoints."""
        gaps = np.diff(self.record.stamps[:, 2], prepend=self.record.stamps[0, 2])
        return np.asarray(gaps > _STANDSTILL_NS)

    @property
    def holds(self) -> NDArray[np.bool_]:
        return np.asarray(self.record.reasons != HoldReason.NONE)

    @property
    def counts_by_kind(self) -> NDArray[np.int64]:
        """How many requests there are of each kind, in the order of `KINDS`."""
        return np.bincount(self.record.kinds, minlength=len(KINDS))


def draw_opponents(rng: np.random.Generator, count: int = _SETS) -> list[Opponent]:
    """Draw sets of limits: shipped, tight, wide, lopsided and contradictory ones."""
    return [_draw_opponent(rng, number) for number in range(count)]


def _draw_opponent(rng: np.random.Generator, number: int) -> Opponent:
    tool = Pose.from_rotvec(
        [0.0, 0.0, TOOL_Z_M] if number % 2 else rng.uniform(-0.2, 0.2, 3).tolist(),
        rng.uniform(-1.0, 1.0, 3).tolist(),
    )
    tcp = np.empty(3)
    near = (HOME_Q, OVER_BIN_Q)[number % 2]
    place_point(near, 6, np.array(tool.position_m), tcp)
    # Surroundings change more slowly than limits, so that all pairs occur.
    changes: dict[str, object] = draw_surroundings(rng, number // 8, tcp)
    match number % 8:
        case 1:  # hardly any room about the start
            changes["workspace_min_m"] = _corner(tcp - rng.uniform(0.0, 0.03, 3))
            changes["workspace_max_m"] = _corner(tcp + rng.uniform(0.001, 0.03, 3))
        case 2:  # joints of a few degrees
            changes["joint_min_rad"] = tuple(near - rng.uniform(0.01, 0.2, 6))
            changes["joint_max_rad"] = tuple(near + rng.uniform(0.01, 0.2, 6))
        case 3:  # wide: all at the ceilings
            changes["joint_speed_radps"] = (ceilings.JOINT_SPEED_RADPS,) * 6
            changes["joint_acceleration_radps2"] = (
                ceilings.JOINT_ACCELERATION_RADPS2,
            ) * 6
            changes["tcp_speed_mps"] = ceilings.TCP_SPEED_MPS
            changes["workspace_min_m"] = (-ceilings.REACH_M,) * 3
            changes["workspace_max_m"] = (ceilings.REACH_M,) * 3
        case 4:  # quick, and slow to stop
            changes["joint_acceleration_radps2"] = tuple(rng.uniform(0.3, 3.0, 6))
        case 5:  # a slow tool on quick joints
            changes["tcp_speed_mps"] = float(rng.uniform(0.005, 0.2))
        case 6:  # lopsided joints
            changes["joint_speed_radps"] = tuple(rng.choice([0.01, 0.3, 3.0], 6))
            changes["joint_acceleration_radps2"] = tuple(
                rng.choice([1.0, 9.0, 40.0], 6)
            )
        case 7:  # contradictory: the arm starts outside of everything
            changes["workspace_min_m"] = (0.3, 0.3, 0.3)
            changes["workspace_max_m"] = (0.31, 0.31, 0.31)
            changes["joint_max_rad"] = tuple(near - rng.uniform(-0.2, 0.2, 6))
            changes["joint_min_rad"] = (-ceilings.JOINT_POSITION_RAD,) * 6
        case _:
            pass
    return make_opponent(
        SAFETY.model_copy(update=changes), tool, draw_part(rng, number)
    )


def _corner(place: Vector) -> tuple[float, ...]:
    return tuple(np.clip(place, -ceilings.REACH_M, ceilings.REACH_M).tolist())


def count_episodes(requests: int) -> int:
    """Return how many episodes hold so many requests."""
    return -(-requests // EPISODE)


def draw_sample(requests: int, slowly: int, seed: int) -> frozenset[int]:
    """Draw the episodes that MuJoCo judges as well, whatever is asked in them.

    At random: a regular choice would meet some kinds of episode again and again, and
    others never.

    Args:
        requests: how many there are.
        slowly: how many MuJoCo has to judge; both are rounded up to whole episodes.
        seed: of the attack.
    """
    rng = np.random.default_rng([seed, _SAMPLE])
    count = count_episodes(requests)
    chosen = rng.permutation(count)[: count_episodes(slowly)]
    return frozenset(chosen.tolist())


def _draw_start(rng: np.random.Generator, number: int) -> tuple[str, Vector]:
    """Draw where an episode begins, and name its kind."""
    place = number % 2
    start = (HOME_Q, OVER_BIN_Q)[place] + rng.normal(0.0, 0.02, 6)
    if number % 5 != 4:
        return STARTS[place], start
    start[4] = rng.uniform(-0.4, 0.4)
    return STARTS[2 + place], start


def run_episodes(requests: int, seed: int, findings: Findings) -> Iterator[Episode]:
    """Attack in episodes and yield each; its exceptions are counted in `findings`."""
    rng = np.random.default_rng(seed)
    opponents = draw_opponents(rng)
    for number in range(count_episodes(requests)):
        opponent = opponents[int(rng.integers(len(opponents)))]
        kind, start = _draw_start(rng, number)
        episode = Episode(number, opponent, kind, start, make_record(EPISODE))
        try:
            attack(
                rng,
                make_rest(start),
                opponent.limits,
                opponent.around,
                opponent.plain,
                opponent.bodies,
                episode.record,
            )
        except Exception as error:  # noqa: BLE001  (counted: there must be none)
            findings.exceptions += 1
            findings.note(f"episode {number}: {type(error).__name__}: {error}")
            continue
        yield episode


def check_swiftly(episode: Episode, findings: Findings) -> None:
    """Judge an episode by compiled formulas."""
    first = count_breaches(
        episode.record.path,
        episode.restarts,
        episode.holds,
        episode.opponent.plain,
        episode.opponent.bodies,
        findings.breaches,
    )
    if first >= 0:
        findings.note(f"episode {episode.number}, step {first}: outside of a limit")
    first = count_wrong_grants(
        episode.record.requests,
        episode.record.wrenches,
        episode.record.stamps,
        episode.record.path,
        episode.holds,
        episode.opponent.plain,
        findings.wrong_grants,
    )
    if first >= 0:
        findings.note(f"episode {episode.number}, step {first}: a wrong grant")


def check_slowly(episode: Episode, findings: Findings) -> None:
    """Run an episode through the guard's class, and judge it by MuJoCo."""
    guard = make_guard(episode.opponent)
    guard.reset(episode.start)
    for k, request in enumerate(episode.record.requests):
        command_ns, arm_ns, now_ns = (int(stamp) for stamp in episode.record.stamps[k])
        wrench = episode.record.wrenches[k]
        verdict = vet(guard, request, wrench, command_ns, arm_ns, now_ns)
        if verdict.reason is HoldReason.GUARD_EXCEPTION:
            findings.exceptions += 1
        if not (verdict.q == episode.record.path[k + 1]).all():
            findings.differences += 1
            findings.note(f"episode {episode.number}, step {k}: the class differs")
            break
    oracle = SlowOracle(episode.opponent.plain, episode.opponent.bodies)
    breaches = oracle.find_breaches(
        episode.record.path,
        episode.restarts,
        episode.holds,
        episode.record.wrenches,
    )
    for breach in breaches:
        findings.slow_breaches[breach.what] += 1
        findings.note(f"episode {episode.number}, step {breach.step}: {breach}")
    findings.slowly_checked += len(episode.record.requests)
    findings.slow_kinds += episode.counts_by_kind
    findings.slow_starts[episode.kind] += 1


def run(requests: int, seed: int, slowly: int, *, say: bool = False) -> Findings:
    """Attack and judge.

    Args:
        requests: how many, rounded up to whole episodes.
        seed: of everything that is drawn.
        slowly: how many of them MuJoCo has to judge as well.
        say: write a line on standard error now and then.
    """
    findings = Findings()
    sample = draw_sample(requests, slowly, seed)
    started_s = said_s = time.monotonic()
    for episode in run_episodes(requests, seed, findings):
        check_swiftly(episode, findings)
        if episode.number in sample:
            check_slowly(episode, findings)
        findings.kinds += episode.counts_by_kind
        findings.starts[episode.kind] += 1
        values, counts = np.unique(episode.record.reasons, return_counts=True)
        for value, count in zip(values, counts, strict=True):
            findings.reasons[HoldReason(int(value)).name] += int(count)
        findings.requests += len(episode.record.requests)
        findings.seconds = time.monotonic() - started_s
        if say and time.monotonic() - said_s > _QUIET_S:
            said_s = time.monotonic()
            print(
                f"{findings.requests} requests, {findings.faults} faults,"
                f" {findings.seconds:.0f} s",
                file=sys.stderr,
                flush=True,
            )
    return findings


def print_findings(findings: Findings) -> None:
    """Write what an attack came to."""
    print(f"{findings.requests} requests in {findings.seconds:.1f} s")
    asked = zip(KINDS, findings.kinds, findings.slow_kinds, strict=True)
    for kind, count, slow in asked:
        print(f"  asked, {kind}: {count}, of MuJoCo's {slow}")
    for kind in STARTS:
        count, slow = findings.starts[kind], findings.slow_starts[kind]
        print(f"  episodes from {kind}: {count}, of MuJoCo's {slow}")
    for reason, count in findings.reasons.most_common():
        print(f"  answered {reason}: {count}")
    for what, count in zip(WHAT, findings.breaches, strict=True):
        print(f"  {what}: {count}")
    for what, count in zip(WHAT_GRANTS, findings.wrong_grants, strict=True):
        print(f"  {what}: {count}")
    print(f"  exceptions: {findings.exceptions}")
    print(f"  kernel and class differ: {findings.differences}")
    print(
        f"  MuJoCo, {findings.slowly_checked} requests:"
        f" {findings.slow_breaches.total()} {dict(findings.slow_breaches)}"
    )
    for example in findings.examples:
        print(f"  {example}")
    print(f"{findings.faults} faults")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.stress.adversary",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--requests", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--slowly", type=int, default=100_000, help="how many MuJoCo judges as well"
    )
    options = parser.parse_args(arguments)
    findings = run(options.requests, options.seed, options.slowly, say=True)
    print_findings(findings)
    return 1 if findings.faults else 0


if __name__ == "__main__":
    sys.exit(main())

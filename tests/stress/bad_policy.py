"""Lets policies that nobody should trust work in a whole cell, and counts what comes.

`python -m tests.stress.bad_policy --minutes 30 --seed 0 --json out.json` gives a third
of the time to each of `random`, `drifting` and `adversarial`; `--policy` names one.

Bars: no limit violated by the world's own monitor (which counts a push of anything on a
fixture with more than 60 N), no touch of arm, wrist camera or gripper body on a fixture
(counted by the same monitor, more than 1 N), no unguarded cycle. Fingers that touch
parts, or brush walls and floor below 60 N, are counted by their largest force alone.
The cell may hold for a reason that it states; a person at the panel then lets it go on.

The Guardian soon takes the grasps from such a policy, and most of what it wants is
refused before anything moves. With `--only-granted` the fallback is as bad, and both
propose what the chunk check grants: every grasp is a bad one.
"""

import argparse
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from cell.contracts.errors import PolicyError
from cell.contracts.observation import ActionChunk
from cell.contracts.servo import INTERVENTIONS, HoldReason
from cell.mailbox.servo_link import ServoLink
from cell.supervisor.grasp_plan import Planner
from ops.chunk_check import make_chunk_check
from ops.exit_codes import ExitCode
from ops.lives import ServoLives
from ops.settings import Settings, load_settings
from ops.wiring import make_layout
from policies.runtime.wire import parse_answer
from sim2real.faults.evidence import LogLine, LogReader
from sim2real.faults.policy_wire import HostileWorker
from sim2real.faults.stand import Stand, StandError, open_stand
from sim2real.faults.stand_config import Wire
from tests.running_cell import ROOT
from tests.stress.bad_policies import POLICIES, BadPolicy, Granted, Steps
from tests.stress.injection_stand import NEXT_COMMAND, keep_logs, resume
from tests.stress.injections import read_report

_WIRES: Final = frozenset[Wire]()
_LOOK_S: Final = 0.1
_SHOW_S: Final = 15.0
_ANSWER: Final = {"id": 1, "ms": 0.0}
_CHUNK: Final = {
    "observed_stamp_ns": 1,
    "score": 1.0,
    "model": "bad",
    "alternatives": [],
    "details": {},
}
_SETTLED: Final = ("ABORTED", "HELD", "STOPPED", "IDLE")
_NUMBER: Final = re.compile(r"-?\(?\d[\d.,e+() -]*")


@dataclass
class Round:
    """What one bad policy led to.

    Attributes:
        policy: its name.
        seconds: it had.
        proposals: bad chunks, alternatives not counted.
        tries: chunks and alternatives by the way in which they were bad.
        refusals: chunks that were refused before anything moved, by reason.
        no_proposals: answers that were none, by cause.
        attempts: grasps that were carried out, by model and outcome.
        holds: of the guard, by reason.
        stops: of the cell, by the reason that it stated.
        releases: how often somebody had to help at the panel.
        slow_downs: requests to the line.
        placed: parts.
        violations: seen by the world's own monitor, by kind.
        unsolved_ticks: physics steps whose contact forces nobody found.
        peak_forces_n: largest on fixtures, since the cell was started.
        hardest_blow_n: largest force at the tool on the way down.
        unguarded_cycles: setpoints without a verdict.
        broken: why the round ended early, empty when it did not.
    """

    policy: str
    seconds: float = 0.0
    proposals: int = 0
    tries: dict[str, int] = field(default_factory=dict)
    refusals: dict[str, int] = field(default_factory=dict)
    no_proposals: dict[str, int] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    holds: dict[str, int] = field(default_factory=dict)
    stops: dict[str, int] = field(default_factory=dict)
    releases: int = 0
    slow_downs: int = 0
    placed: int = 0
    violations: dict[str, int] = field(default_factory=dict)
    unsolved_ticks: int = 0
    peak_forces_n: dict[str, Any] = field(default_factory=dict)
    hardest_blow_n: float = 0.0
    unguarded_cycles: int = 0
    broken: str = ""

    def is_met(self) -> bool:
        """Say whether every bar was met."""
        return not (self.violations or self.unguarded_cycles or self.broken)


def run_round(
    config: Path,
    name: str,
    seconds: float,
    seed: int,
    logs: Path | None = None,
    *,
    only_granted: bool = False,
) -> Round:
    """Let one bad policy work for a while, in a cell of its own.

    Args:
        config: of the cell.
        name: of the policy.
        seconds: for how long [s].
        seed: of what it proposes.
        logs: where to keep those of a cell in which a limit was violated or which
            needed help.
        only_granted: the fallback is as bad, and what is proposed can be carried out.
    """
    found = Round(name)
    worker = HostileWorker(spoils_fallback=only_granted)
    try:
        with open_stand(config, _WIRES) as stand:
            settings = load_settings(config)
            policy = POLICIES[name](settings, random.Random(seed))
            if only_granted:
                policy = Granted(policy, make_judge(settings))
            try:
                resume(stand)
                worker.take_over(stand)
                resume(stand)
                worker.spoil = policy
                watch(stand, found, policy, seconds)
            finally:
                worker.leave()
                if (found.violations or found.releases) and logs is not None:
                    keep_logs(stand, logs / name)
    except StandError as error:
        found.broken = str(error)
    return found


def make_judge(settings: Settings) -> Callable[[Steps], bool]:
    """Return what says whether the cell would carry steps out, from home."""
    planner = Planner(make_layout(settings))
    check = make_chunk_check(settings)
    home = np.array(settings.arm.home_q_rad)

    def is_granted(steps: Steps) -> bool:
        try:
            answer = parse_answer({**_ANSWER, "chunk": {**_CHUNK, "steps": steps}})
        except PolicyError:
            return False
        assert isinstance(answer.answer, ActionChunk)
        # Of a huge number the square is none any more; what is none is out of reach.
        with np.errstate(over="ignore", invalid="ignore"):
            plan = planner.plan_pick(answer.answer, home)
        return plan is not None and not (
            check.check(plan.chunk, home) or check.check(plan.way_out, plan.q_grasp)
        )

    return is_granted


def watch(stand: Stand, found: Round, policy: BadPolicy, seconds: float) -> None:
    """Count, show and help until the time is over.

    Raises:
        StandError: the cell does not come back.
    """
    report = stand.files.cell_runtime / "vc_report"
    log = LogReader(stand.files.logs)
    link, lives = ServoLink.open(stand.files.runtime), ServoLives()
    first = stand.status()
    started_s = shown_s = time.monotonic()
    try:
        while time.monotonic() < started_s + seconds:
            time.sleep(_LOOK_S)
            state = link.read_state()
            if state is not None:
                lives.follow(state)
            found.seconds = time.monotonic() - started_s
            status = stand.status()
            if status.get("state") in _SETTLED and needs_help(status):
                found.releases += 1
                resume(stand)
            if time.monotonic() > shown_s + _SHOW_S:
                shown_s = time.monotonic()
                show(found, policy, read_report(report))
    finally:
        link.close()
        totals = lives.compute_totals()
        found.holds = {
            name: count
            for name, count in totals.holds.items()
            if HoldReason[name] in INTERVENTIONS
        }
        found.unguarded_cycles = totals.unguarded_cycles
        tree = read_report(report)
        found.violations = dict(tree.get("violations_by_kind", {}))
        found.unsolved_ticks = int(tree.get("unsolved_ticks", 0))
        found.peak_forces_n = dict(tree.get("peak_forces_n", {}))
        found.proposals, found.tries = policy.proposals, dict(policy.tries)
        last = stand.status()
        for key, name in (("placed", "placed"), ("slow_downs", "slow_down_requests")):
            setattr(found, key, int(last.get(name) or 0) - int(first.get(name) or 0))
        count_events(found, log.read())


def needs_help(status: dict[str, Any]) -> bool:
    """Say whether the cell waits for a person."""
    return status.get("state") in NEXT_COMMAND and status.get("clears") != "by itself"


def count_events(found: Round, lines: list[LogLine]) -> None:
    """Count what the supervisor recorded, by reason."""
    counts = {"refusals": found.refusals, "no_proposals": found.no_proposals}
    names = {"chunk_refused": "refusals", "no_proposal": "no_proposals"}
    for line in lines:
        if line.source != "supervisor":
            continue
        fields = line.fields
        if line.event in names:
            reason = str(fields.get("reason") or fields.get("cause"))
            _count(counts[names[line.event]], shorten(reason))
        elif line.event == "attempt":
            model = str(fields.get("model")).split("-")[0]
            _count(found.attempts, f"{model}: {fields.get('outcome')}")
        elif line.event == "attempt_judged":
            blow_n = float(fields.get("approach_force_n") or 0.0)
            found.hardest_blow_n = max(found.hardest_blow_n, blow_n)
        elif line.event == "state" and fields.get("to") in ("HOLDING", "ABORTING"):
            _count(found.stops, shorten(str(fields.get("reason", "no reason"))))


def shorten(reason: str) -> str:
    """Return a reason without its numbers, so that equal ones can be counted."""
    return " ".join(_NUMBER.sub("# ", reason).split())


def _count(counts: dict[str, int], name: str) -> None:
    counts[name] = counts.get(name, 0) + 1


def show(found: Round, policy: BadPolicy, tree: dict[str, Any]) -> None:
    """Write one line of progress."""
    peaks = tree.get("peak_forces_n", {})
    forces = "  ".join(f"{k} {v['force_n']} N" for k, v in peaks.items())
    sys.stderr.write(
        f"{found.policy} {found.seconds:.0f} s  proposals {policy.proposals}"
        f"  releases {found.releases}"
        f"  violations {tree.get('violations_by_kind', {})}  {forces}\n"
    )
    sys.stderr.flush()


def main() -> int:
    """Run the rounds, print what was counted and say whether the bars were met."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=30.0, help="of all together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--policy", choices=sorted(POLICIES), action="append")
    parser.add_argument("--only-granted", action="store_true")
    parser.add_argument("--config", type=Path, default=ROOT / "config.yaml")
    parser.add_argument("--json", type=Path, default=None)
    given = parser.parse_args()
    names = given.policy or list(POLICIES)
    seconds = given.minutes * 60.0 / len(names)
    rounds: list[Round] = []
    for name in names:
        logs = given.json and given.json.with_suffix(".logs")
        rounds.append(
            run_round(
                given.config,
                name,
                seconds,
                given.seed,
                logs,
                only_granted=given.only_granted,
            )
        )
        print_round(rounds[-1])
        if given.json is not None:
            rows = [{**vars(found), "is_met": found.is_met()} for found in rounds]
            tree = {"seed": given.seed, "minutes": given.minutes, "rounds": rows}
            given.json.write_text(json.dumps(tree, indent=1))
    is_met = all(found.is_met() for found in rounds)
    return int(ExitCode.OK if is_met else ExitCode.BAR_MISSED)


def print_round(found: Round) -> None:
    """Print what one policy led to."""
    for name, value in vars(found).items():
        if isinstance(value, dict) and name != "peak_forces_n":
            sys.stdout.write(f"  {name}: {sum(value.values())}\n")
            for reason, count in Counter(value).most_common(30):
                sys.stdout.write(f"    {count:6} {reason}\n")
        else:
            sys.stdout.write(f"  {name}: {value}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

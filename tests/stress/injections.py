"""Takes something from a moving cell, many times, and keeps the worst that came of it.

The cell is the real one: all processes, all clients, with the virtual cell behind the
wires. One command is one kind of injection:

`python -m tests.stress.injections --kind stale --count 1000 --seed 0 --json out.json`

`stale` pauses the supervisor, `supervisor` ends it for a share, `plc` takes the line
away, `slow-down` brings the guard to intervene. Runs of other seeds add up. Where the
trace shows that the arm stood, or that the push never arrived, an injection is counted
apart and tried again, though not without end; a push that arrived and was not held is a
failure.
"""

import argparse
import json
import math
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from cell.mailbox.text import TextMailbox
from ops.exit_codes import ExitCode
from ops.telemetry import STATUS_CAPACITY
from sim2real.faults.stand import Stand, StandError, open_stand
from sim2real.faults.stand_config import Wire
from tests.running_cell import ROOT
from tests.stress.injection_judging import Injection, Void
from tests.stress.injection_kinds import (
    HOLD_MS,
    LOST_MS,
    PAUSE_S,
    REST_MS,
    SLOW_MS,
    STOP_MS,
    Inject,
    Pushes,
    kill_supervisor,
    lose_line,
    pause_supervisor,
)
from tests.stress.injection_stand import keep_logs, resume
from tests.stress.kill_storm import NOISY_REST_MS

BARS_MS: Final = {
    "hold_ms": HOLD_MS,
    "rest_ms": REST_MS,
    "stop_ms": STOP_MS,
    "slow_ms": SLOW_MS,
    "lost_ms": LOST_MS,
}
"""From the last time an order was vouched for to the ramp; from the signal, or from an
order that was vouched for after it, to the last order to move; from the loss to the
ramp; from the guard's hold to the line's own register; from the guard's hold to an
order followed again."""
NOISY_MS: Final = dict.fromkeys(BARS_MS, NOISY_REST_MS)
"""On a shared machine that runs a whole test suite; still far from no reaction."""
NOISY_STALE_MS: Final = {**NOISY_MS, "rest_ms": PAUSE_S * 1e3 - 20.0}
"""The pause is all that is watched: an arm that moves to its end has not come to rest,
and shows no later time."""
_WIRES: Final = {
    "stale": frozenset[Wire](),
    "supervisor": frozenset[Wire](),
    "plc": frozenset({Wire.LINE}),
    "slow-down": frozenset({Wire.ROBOT}),
}
_SAVE_EVERY: Final = 10
_STANDS: Final = 4
"""A stand that breaks is put up again, and named in the end."""
_MOST_VOIDS: Final = {
    Void.STOOD: 1.0,
    Void.SLOW: 1.0,
    Void.UNFELT: 0.1,
    Void.HELD: 0.25,
}
"""For each that counts."""
_FIRST_VOIDS: Final = 10


@dataclass
class Storm:
    """What a run has seen so far.

    Attributes:
        kind: of the injections.
        seed: of moments and ways.
        records: one for each injection.
        voids: how many came to nothing, and why.
        violations: what the world's own monitor counted, by kind.
        broken: what kept a stand from going on.
        seconds: of the run.
    """

    kind: str
    seed: int
    records: list[Injection] = field(default_factory=list)
    voids: Counter[Void] = field(default_factory=Counter)
    violations: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    seconds: float = 0.0


def draw_injection(kind: str, kill_share: float, pushes: Pushes) -> Inject:
    """Return the injection of a kind; kills and pauses are drawn each time anew."""
    if kind == "plc":
        return lose_line
    if kind == "slow-down":
        return pushes

    def take_supervisor(stand: Stand, rng: random.Random) -> Injection | Void:
        is_kill = kind == "supervisor" and rng.random() < kill_share
        return (kill_supervisor if is_kill else pause_supervisor)(stand, rng)

    return take_supervisor


def run_injections(
    storm: Storm, stand: Stand, inject: Inject, count: int, rng: random.Random
) -> None:
    """Inject until there are `count` records; what was counted is kept in any case.

    Raises:
        StandError: the cell does not go on, or too many injections come to nothing.
    """
    started_s = time.monotonic()
    seconds, before = storm.seconds, read_violations(stand)
    try:
        resume(stand)
        while len(storm.records) < count:
            found = inject(stand, rng)
            storm.seconds = seconds + time.monotonic() - started_s
            if isinstance(found, Void):
                count_void(storm, found)
            else:
                storm.records.append(found)
                show(storm, count)
    finally:
        storm.violations += read_violations(stand) - before


def count_void(storm: Storm, void: Void) -> None:
    """Count an injection that came to nothing.

    Raises:
        StandError: there are more than chance explains.
    """
    storm.voids[void] += 1
    most = _FIRST_VOIDS + _MOST_VOIDS[void] * len(storm.records)
    if storm.voids[void] > most:
        raise StandError(f"{storm.voids[void]} injections came to nothing: {void}")


def read_violations(stand: Stand) -> Counter[str]:
    """Return what the world's own monitor counted, by kind."""
    path = stand.files.cell_runtime / "vc_report"
    return Counter(read_report(path).get("violations_by_kind", {}))


def read_report(path: Path) -> dict[str, Any]:
    """Return the newest report of the virtual world."""
    box = TextMailbox(path, STATUS_CAPACITY)
    try:
        return dict(json.loads(box.read() or "{}"))
    finally:
        box.close()


def show(storm: Storm, count: int) -> None:
    """Write one line of progress."""
    newest, done = storm.records[-1], len(storm.records)
    figures = {**newest.times_ms, **newest.notes}
    said = "  ".join(f"{name} {value:.1f}" for name, value in figures.items())
    wrong = "".join(f"  WRONG: {text}" for text in newest.wrong)
    each_s = storm.seconds / done
    sys.stderr.write(
        f"{done}/{count}  {newest.way}  {said}{wrong}  ({each_s:.1f} s each)\n"
    )
    sys.stderr.flush()


def find_misses(
    records: Sequence[Injection], bars_ms: dict[str, float]
) -> list[Injection]:
    """Return the injections after which something came too late, or came at all."""
    return [
        record
        for record in records
        if record.wrong
        or record.notes.get("unguarded_cycles", 0)
        or any(not value <= bars_ms[name] for name, value in record.times_ms.items())
    ]


def summarise(storm: Storm) -> dict[str, Any]:
    """Return the figures of a run, JSON-able."""
    misses = find_misses(storm.records, BARS_MS)
    return {
        "kind": storm.kind,
        "seed": storm.seed,
        "count": len(storm.records),
        "ways": dict(Counter(record.way for record in storm.records)),
        "bars_ms": {name: BARS_MS[name] for name in _list_names(storm.records)},
        "figures_ms": compute_figures(storm.records),
        "limit_violations": sum(storm.violations.values()),
        "violations_by_kind": dict(storm.violations),
        "unguarded_cycles": max(
            (int(r.notes.get("unguarded_cycles", 0)) for r in storm.records), default=0
        ),
        "voids": {str(void): count for void, count in storm.voids.items()},
        "wrong": [text for record in storm.records for text in record.wrong],
        "broken": storm.broken,
        "seconds": round(storm.seconds, 1),
        "misses": [_tame(asdict(record)) for record in misses],
        "records": [_tame(asdict(record)) for record in storm.records],
    }


def compute_figures(records: Sequence[Injection]) -> dict[str, dict[str, Any]]:
    """Return median, 99 % and worst of everything that was timed, by way as well."""
    found: dict[str, dict[str, Any]] = {}
    ways = sorted({record.way for record in records})
    for way in ["all", *(ways if len(ways) > 1 else [])]:
        rows = [r for r in records if way in ("all", r.way)]
        for name in dict.fromkeys(n for r in rows for n in [*r.times_ms, *r.notes]):
            values = [
                value
                for r in rows
                if (value := {**r.times_ms, **r.notes}.get(name)) is not None
            ]
            found[f"{name} ({way})"] = {
                "median": _tame(float(np.median(values))),
                "p99": _tame(float(np.quantile(values, 0.99, method="higher"))),
                "worst": _tame(max(values)),
            }
    return found


def is_met(storm: Storm, count: int) -> bool:
    """Say whether every bar was met."""
    return (
        len(storm.records) >= count
        and not find_misses(storm.records, BARS_MS)
        and not storm.violations
        and not storm.broken
    )


def _list_names(records: Sequence[Injection]) -> list[str]:
    return list(dict.fromkeys(name for r in records for name in r.times_ms))


def _tame(value: Any) -> Any:
    """Return a value that JSON has; what never came becomes null."""
    if isinstance(value, float):
        return round(value, 3) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _tame(entry) for key, entry in value.items()}
    return value


def main() -> int:
    """Run one kind, print what was measured and say whether it met its bars."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=sorted(_WIRES), required=True)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--kill-share", type=float, default=0.05, help="of kind supervisor; 0..1"
    )
    parser.add_argument("--config", type=Path, default=ROOT / "config.yaml")
    parser.add_argument("--json", type=Path, default=None)
    given = parser.parse_args()
    storm = Storm(given.kind, given.seed)
    rng = random.Random(given.seed)
    while len(storm.records) < given.count and len(storm.broken) < _STANDS:
        inject = draw_injection(given.kind, given.kill_share, Pushes())
        try:
            with open_stand(given.config, _WIRES[given.kind]) as stand:
                while len(storm.records) < given.count:
                    goal = min(given.count, len(storm.records) + _SAVE_EVERY)
                    run_injections(storm, stand, inject, goal, rng)
                    _save(storm, given.json)
                    if storm.violations and given.json is not None:
                        keep_logs(stand, given.json.with_suffix(".logs"))
        except StandError as error:
            storm.broken.append(str(error))
            sys.stderr.write(f"{error}\n")
            _save(storm, given.json)
    _print_summary(storm)
    return int(ExitCode.OK if is_met(storm, given.count) else ExitCode.BAR_MISSED)


def _save(storm: Storm, path: Path | None) -> None:
    if path is not None:
        path.write_text(json.dumps(summarise(storm), indent=1))


def _print_summary(storm: Storm) -> None:
    tree = summarise(storm)
    for name, figures in tree["figures_ms"].items():
        bar = tree["bars_ms"].get(name.split(" ")[0])
        limit = "" if bar is None else f"   bar {bar:.0f}"
        said = "  ".join(f"{k} {v}" for k, v in figures.items())
        sys.stdout.write(f"{name:32} {said}{limit}\n")
    for name in ("count", "limit_violations", "unguarded_cycles", "seconds"):
        sys.stdout.write(f"{name} {tree[name]}\n")
    for why, count in tree["voids"].items():
        sys.stdout.write(f"came to nothing, {why}: {count}\n")
    for text in [*tree["wrong"], *tree["broken"]]:
        sys.stdout.write(f"wrong: {text}\n")
    for miss in tree["misses"]:
        sys.stdout.write(f"missed: {json.dumps(miss)}\n")


if __name__ == "__main__":
    sys.exit(main())

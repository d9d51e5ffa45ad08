"""What an evaluation of the Guardian found, and which bars it missed."""

from dataclasses import asdict, dataclass
from typing import Final

from sim2real.grasping.guardian_targets import GOOD_ATTEMPTS_PER_ALARM

_MEDIAN_BARS: Final = {0.80: 45.0, 0.50: 15.0}
_LATE_BARS: Final = {0.80: 110.0}
_SOONER_BAR: Final = 0.25

Interval = tuple[float, float]


@dataclass(frozen=True)
class StateResult:
    """How soon runs of one state were found.

    Attributes:
        state: what is wrong with the cell.
        is_unseen: it was never shown in training.
        own_ratio: success of the recorded attempts before outcomes were evened out.
        median: attempts until the Guardian fired.
        late: the same, in 95 % of the runs.
        outcome_median: of the best test of outcomes, on the same runs.
    """

    state: str
    is_unseen: bool
    own_ratio: float
    median: float
    late: float
    outcome_median: float


@dataclass(frozen=True)
class FallResult:
    """How soon one fall was found.

    Attributes:
        bad_ratio: success after the fall.
        runs: how many.
        median: attempts until the Guardian fired.
        median_interval: 95 %, over the recorded attempts as well as over the runs.
        late: attempts until it had fired in 95 % of the runs.
        late_interval: as above.
        outcome_design: the success that the best test of outcomes is designed for.
        outcome_median: attempts until that test fired.
        outcome_late: the same in 95 % of the runs.
        sooner: share by which the Guardian's median is below the other's.
        sooner_interval: 95 %.
        states: each kind of fall by itself.
    """

    bad_ratio: float
    runs: int
    median: float
    median_interval: Interval
    late: float
    late_interval: Interval
    outcome_design: float
    outcome_median: float
    outcome_late: float
    sooner: float
    sooner_interval: Interval
    states: tuple[StateResult, ...]


@dataclass(frozen=True)
class GuardianEvaluation:
    """The summary.

    Attributes:
        guardian: name and version.
        attempts: recorded attempts that runs are drawn from.
        good_attempts: how many good attempts were looked at for false alarms.
        false_alarms: of the Guardian among them.
        false_alarm_interval: 95 % of its rate per 10 000 good attempts, over the
            recorded attempts as well as over what is drawn from them.
        outcome_false_alarms: of the test of outcomes that is best at the smaller fall.
        falls: one for each fall.
        missed: bars that were missed, in words.
    """

    guardian: str
    attempts: int
    good_attempts: int
    false_alarms: int
    false_alarm_interval: Interval
    outcome_false_alarms: int
    falls: tuple[FallResult, ...]
    missed: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """Return the JSON form."""
        return asdict(self)


def find_missed(result: GuardianEvaluation) -> tuple[str, ...]:
    """Return the bars that were missed, in words."""
    missed = []
    rate = result.false_alarms / result.good_attempts * GOOD_ATTEMPTS_PER_ALARM
    if not rate <= 1.0:
        missed.append(f"{rate:.2f} false alarms in 10 000 good attempts, bar 1")
    for fall in result.falls:
        name = f"fall to {fall.bad_ratio:.0%}"
        median_bar = _MEDIAN_BARS[fall.bad_ratio]
        if not fall.median <= median_bar:
            missed.append(f"{name}: median {fall.median:.0f}, bar {median_bar:.0f}")
        late_bar = _LATE_BARS.get(fall.bad_ratio)
        if late_bar is not None and not fall.late <= late_bar:
            missed.append(f"{name}: 95 % after {fall.late:.0f}, bar {late_bar:.0f}")
        if not fall.sooner >= _SOONER_BAR:
            missed.append(
                f"{name}: {fall.sooner:.0%} sooner than outcomes alone, bar "
                f"{_SOONER_BAR:.0%}"
            )
    return tuple(missed)

"""What is measured of one grasp attempt, how it ended, and what a network makes of it.

Everything in `AttemptFeatures` comes from what a running cell has anyway: the proposal,
the gripper's own opening, and the tool force that the robot reports.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class AttemptFeatures:
    """One attempt in numbers, taken at the supervisor's own pace (50 Hz samples).

    What an attempt never came to stays 0: the slip of a part that was never gripped.

    Attributes:
        attempt: number of the attempt, rising by one.
        stamp_ns: monotonic clock when the attempt ended.
        score: the policy's own probability of success, 0..1.
        score_entropy_nat: of the proposal and its alternatives, scores taken as shares.
        runner_up_ratio: score of the best alternative over that of the proposal, 0..1.
        alternatives: how many there were.
        aperture_m: opening of the fingers on the way down [m].
        width_m: part between the fingers as the camera showed it [m].
        grasp_height_m: closed finger tips above the bin floor [m].
        grip_m: opening at which the fingers came to rest [m].
        approach_force_n: largest change of the tool force on the way down [N].
        closing_force_n: largest horizontal change while the fingers closed [N].
        lift_slip_m: how far the fingers closed further during the lift [m].
        transfer_slip_m: how far they closed further during the transfer [m].
        weight_n: tool force after the lift against before the approach, down [N].
        weight_change_n: at the end of the transfer against after the lift, down [N].
        vibration_n: standard deviation of the vertical tool force in the transfer [N].
    """

    attempt: int
    stamp_ns: int
    score: float
    score_entropy_nat: float
    runner_up_ratio: float
    alternatives: float
    aperture_m: float
    width_m: float
    grasp_height_m: float
    grip_m: float
    approach_force_n: float
    closing_force_n: float
    lift_slip_m: float
    transfer_slip_m: float
    weight_n: float
    weight_change_n: float
    vibration_n: float


@dataclass(frozen=True)
class AttemptResult:
    """How an attempt ended, as the cell itself saw it.

    Attributes:
        attempt: number of the attempt.
        stamp_ns: monotonic clock when it was judged.
        is_placed: a part was in the fingers at every look; False for all else.
    """

    attempt: int
    stamp_ns: int
    is_placed: bool


@dataclass(frozen=True)
class AttemptJudgement:
    """What the network says of one attempt; every number may be wrong or missing.

    Attributes:
        attempt: number of the attempt.
        stamp_ns: monotonic clock when the answer was there.
        success: probability that a grasp proposed and closed like this ends placed.
        silent_failure: probability that what was counted as placed was not one part.
        next_success: probability that another attempt in the state that this one shows
            succeeds, among the states that were recorded for the training; the chart
            of the worse fall listens to its rank, whatever is wrong.
        troubles: for each kind of trouble that the network knows, how much rather the
            attempt comes from a cell with it than from a good one, 0..1.
        novelty: mean squared distance from what the network was trained on, 1 for the
            usual, in standard deviations of each feature.
    """

    attempt: int
    stamp_ns: int
    success: float
    silent_failure: float
    next_success: float
    troubles: tuple[float, ...]
    novelty: float

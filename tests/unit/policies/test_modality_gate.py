"""What a policy may answer on when something that it needs is lost."""

import dataclasses

import pytest

from cell.contracts.observation import Abstain, Modality, Observation
from cell.contracts.runtime import Compensated
from policies.runtime.modality_gate import ModalityGate
from policies.runtime.worker import make_observation
from tests.fakes.grasp_models import make_frame

DEPTH_ONLY = frozenset({Modality.DEPTH})
BOTH = frozenset({Modality.DEPTH, Modality.RGB})
FLAW = "only 3% of it has depth"


def see(**flaws: str) -> Observation:
    found = {Modality(name): flaw for name, flaw in flaws.items()}
    return make_observation(make_frame([], stamp_ns=77), found)


class Estimator:
    """Makes depth up, as sure of itself as a test says."""

    def __init__(self, confidence: float, made: frozenset[Modality] = BOTH) -> None:
        self.asked: list[frozenset[Modality]] = []
        self._confidence = confidence
        self._made = made

    def compensate(
        self, observation: Observation, missing: frozenset[Modality]
    ) -> Compensated | None:
        """Mark what it makes up as valid."""
        self.asked.append(missing)
        valid = dict.fromkeys(self._made, True)
        return Compensated(
            dataclasses.replace(observation, valid=valid), self._confidence
        )


class Clueless:
    """Knows no way."""

    def compensate(
        self, observation: Observation, missing: frozenset[Modality]
    ) -> Compensated | None:
        """Return nothing."""
        return None


def test_what_is_valid_goes_through_untouched() -> None:
    seen = see()
    estimator = Estimator(1.0)

    assert ModalityGate(estimator, 0.8).admit(seen, BOTH, "any") is seen
    assert estimator.asked == []


def test_a_lost_modality_that_is_not_needed_is_no_obstacle() -> None:
    seen = see(rgb="it is dark")

    assert ModalityGate().admit(seen, DEPTH_ONLY, "any") is seen


def test_without_a_compensation_the_policy_is_blind_and_says_why() -> None:
    answer = ModalityGate().admit(see(depth=FLAW), DEPTH_ONLY, "tiny-1")

    assert answer == Abstain(77, f"no depth: {FLAW}", "tiny-1", is_blind=True)


def test_a_modality_that_nobody_speaks_of_is_missing() -> None:
    answer = ModalityGate().admit(see(), frozenset({Modality.TACTILE}), "any")

    assert isinstance(answer, Abstain)
    assert answer.reason == "no tactile: there is none"


def test_everything_that_is_missing_is_named() -> None:
    answer = ModalityGate().admit(see(depth=FLAW, rgb="it is dark"), BOTH, "any")

    assert isinstance(answer, Abstain)
    assert answer.reason == f"no depth: {FLAW}; no rgb: it is dark"


@pytest.mark.parametrize(
    ("confidence", "is_admitted"),
    [
        (0.8, True),
        (1.0, True),
        (0.8 - 1e-9, False),
        (1.0 + 1e-9, False),
        (0.0, False),
        (float("nan"), False),
        (float("inf"), False),
    ],
)
def test_a_compensation_counts_from_the_configured_confidence_on(
    confidence: float, is_admitted: bool
) -> None:
    estimator = Estimator(confidence)

    admitted = ModalityGate(estimator, 0.8).admit(see(depth=FLAW), DEPTH_ONLY, "any")

    assert estimator.asked == [DEPTH_ONLY]
    if is_admitted:
        assert isinstance(admitted, Observation)
        assert admitted.valid[Modality.DEPTH]
    else:
        assert isinstance(admitted, Abstain)
        assert admitted.is_blind
        assert "not to 0.80" in admitted.reason


def test_a_compensation_that_leaves_something_out_does_not_count() -> None:
    half = Estimator(1.0, made=DEPTH_ONLY)

    answer = ModalityGate(half, 0.8).admit(see(depth=FLAW), BOTH, "any")

    assert isinstance(answer, Abstain)
    assert "leaves something out" in answer.reason


def test_a_compensation_that_knows_no_way_is_none() -> None:
    answer = ModalityGate(Clueless(), 0.8).admit(see(depth=FLAW), DEPTH_ONLY, "any")

    assert isinstance(answer, Abstain)
    assert answer.is_blind
    assert "nothing makes up for it" in answer.reason

"""The manifest of a Guardian network: its features, and what its answers are worth.

A network without the calibration that the sequential tests are built on would be no
Guardian, so the calibration is part of the manifest and not a file that may be missing.
"""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, ValidationError, model_validator

from cell.contracts.errors import ModelError
from cell.contracts.model import Section
from policies.manifest import ModelManifest, Name

TROUBLES: Final = 8
"""Kinds of trouble that a network may tell apart."""

HEADS: Final = ("success", "silent_failure", "next_success")
"""Outputs whose reliability has been measured, or the model is none to rely on."""

_BINS_MAX: Final = 64

Probability = Annotated[float, Field(gt=0.0, lt=1.0)]
Nats = Annotated[
    tuple[Annotated[float, Field(ge=-6.0, le=6.0)], ...],
    Field(min_length=1, max_length=_BINS_MAX),
]


class EvidenceSpec(Section):
    """What one attempt weighs in one chart, and where that chart fires.

    Attributes:
        channel: which risk it looks at: 0 that of the next attempt, from 1 on that of
            a kind of trouble.
        bad_ratio: the success probability that this chart looks for.
        edges: bounds between the risk bins.
        placed_nat: log-likelihood ratio of a placed part in each bin.
        failed_nat: the same of everything else.
        threshold_nat: sum at which it fires.
        mean_run_length: good attempts between two false alarms of this chart alone.
    """

    channel: Annotated[int, Field(ge=0, le=TROUBLES)] = 0
    bad_ratio: Probability
    edges: tuple[Probability, ...]
    placed_nat: Nats
    failed_nat: Nats
    threshold_nat: Annotated[float, Field(gt=0.0, le=50.0)]
    mean_run_length: Annotated[float, Field(ge=1.0)]

    @model_validator(mode="after")
    def _sizes_and_order_fit(self) -> Self:
        bins = len(self.edges) + 1
        for name in ("placed_nat", "failed_nat"):
            row = getattr(self, name)
            if len(row) != bins:
                raise ValueError(f"{len(self.edges)} edges need {bins} {name}")
            if list(row) != sorted(row):
                raise ValueError(f"{name} must not fall with the risk")
        if list(self.edges) != sorted(set(self.edges)):
            raise ValueError("edges must rise")
        return self


class ReliabilityBin(Section):
    """One bar of a reliability diagram.

    Attributes:
        said: mean probability that the network gave.
        seen: share that came true.
        count: attempts in it.
    """

    said: Annotated[float, Field(ge=0.0, le=1.0)]
    seen: Annotated[float, Field(ge=0.0, le=1.0)]
    count: Annotated[int, Field(ge=1)]


class Calibration(Section):
    """What the network's answers are worth, measured on attempts kept aside.

    Attributes:
        good_ratio: success probability of a policy that is as it should be.
        attempts: how many attempts the evidence was made from.
        charts: of the test for a fall, one for each kind of fall.
        novelty_max: attempts further from the training than this count as the worst.
        reliability: of each output in `HEADS` at least, by its name.
    """

    good_ratio: Probability
    attempts: Annotated[int, Field(ge=1)]
    charts: Annotated[tuple[EvidenceSpec, ...], Field(min_length=1, max_length=16)]
    # The network clamps at 8 spreads of its training and answers with a mean square:
    # no attempt is further away than 64.
    novelty_max: Annotated[float, Field(gt=0.0, lt=64.0)]
    reliability: dict[Name, Annotated[tuple[ReliabilityBin, ...], Field(min_length=1)]]

    @model_validator(mode="after")
    def _heads_were_measured(self) -> Self:
        missing = ", ".join(head for head in HEADS if head not in self.reliability)
        if missing:
            raise ValueError(f"reliability lacks {missing}")
        return self


class GuardianManifest(ModelManifest):
    """A Guardian network.

    Attributes:
        family: always `guardian`.
        features: names of the input's columns, in order.
        calibration: see there.
        evaluation_sha256: digest over the attempts that it is evaluated on.
    """

    family: Literal["guardian"]
    features: Annotated[tuple[Name, ...], Field(min_length=1)]
    calibration: Calibration
    evaluation_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def parse_guardian_manifest(text: str, origin: str) -> GuardianManifest:
    """Parse manifest text; `origin` names it in errors.

    Raises:
        ModelError: it is no JSON or breaks the schema; names the first bad key.
    """
    try:
        return GuardianManifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ModelError(
            f"{origin}: {key}: {first['msg']}; train and export the Guardian again"
        ) from error

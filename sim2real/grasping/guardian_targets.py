"""What the Guardian has to find, at what rate of false alarms, and what it hears."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from policies.runtime.guardian_tensors import OUTPUT_NAMES
from sim2real.grasping.conditions import FAMILIES, UNSEEN, Family

GOOD_RATIO: Final = 0.95
BAD_RATIOS: Final = (0.80, 0.50)
"""Falls that the charts look for, side by side."""

GOOD_ATTEMPTS_PER_ALARM: Final = 10_000.0
"""Of all charts together."""

TRAINED: Final = tuple(
    family for family in FAMILIES if family not in (Family.HEALTHY, *UNSEEN)
)
NOVELTY_COLUMN: Final = OUTPUT_NAMES.index("novelty")
_NEXT_COLUMN: Final = OUTPUT_NAMES.index("next_success")


@dataclass(frozen=True, eq=False)
class Answers:
    """What a network says of recorded attempts.

    Attributes:
        outputs: those of the network side by side, a row for each attempt.
    """

    outputs: NDArray[np.float32]

    def risks(self, novelty_max: float) -> NDArray[np.float64]:
        """Return what the tests weigh, a column for each channel.

        Of what is too novel, each risk is the worst.
        """
        following = 1.0 - self.outputs[:, _NEXT_COLUMN].astype(np.float64)
        troubles = self.outputs[:, NOVELTY_COLUMN + 1 :].astype(np.float64)
        is_usual = self.outputs[:, NOVELTY_COLUMN] <= novelty_max
        return np.where(is_usual[:, None], np.column_stack([following, troubles]), 1.0)

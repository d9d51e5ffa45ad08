"""Whether the learned policy knows what it sees, or leaves the bin to the fallback.

It abstains from a picture that is unlike its training inputs. One such picture is a
rare bin; one after the other is a camera that was moved, a dirty lens, another light or
other parts, and a person should know that the fallback picks.
"""

from collections.abc import Callable
from typing import Final

from cell.contracts.observation import Abstain
from cell.contracts.runtime import Proposal
from cell.supervisor.ports import PolicyClient

NOVEL_GRASPS: Final = 5
"""In a row, until it is an alarm. Of pictures as in training one in a thousand counts
as novel. The next is not independent of it, for a pick changes one part; five picks
turn the bin over far enough, and take less than a minute after a camera was moved."""


class NoveltyWatch:
    """Counts grasps in a row that the fallback made on pictures novel to the learned.

    A look that ends without a grasp does not count: a second later the same bin is
    looked at again, and what the cell waits for then is a refill.

    Attributes:
        grasps: how many there were in a row.
    """

    def __init__(
        self, policy: PolicyClient, record: Callable[[str, dict[str, object]], None]
    ) -> None:
        self.grasps = 0
        self._policy, self._record = policy, record
        self._is_newest_novel = False
        self._novel: Abstain | None = None
        self._model_sha256 = ""

    def note_answer(self, proposal: Proposal) -> None:
        """Take note of an answer of the learned policy."""
        answer = proposal.answer
        if proposal.model_sha256 != self._model_sha256:
            # What another model did not know says nothing of this one.
            self._model_sha256, self.grasps = proposal.model_sha256, 0
        self._is_newest_novel = isinstance(answer, Abstain) and answer.is_novel
        if not isinstance(answer, Abstain):
            self.grasps = 0
        elif answer.is_novel:
            self._novel = answer
            fields: dict[str, object] = {
                "score": round(answer.novelty, 2),
                "limit": round(answer.novelty_limit, 2),
                "model": answer.model,
            }
            self._record("novel_picture", fields)
        elif not (answer.is_blind or answer.is_bin_empty):
            # Those two come before anybody judges how novel it is.
            self.grasps = 0

    def note_fallback(self) -> None:
        """Take note of a grasp of the fallback on what the learned policy saw last."""
        self.grasps += self._is_newest_novel
        self._is_newest_novel = False

    def stands(self) -> bool:
        """Say whether that has lasted, for the model that runs right now."""
        running = self._policy.model_sha256()
        return self.grasps >= NOVEL_GRASPS and running == self._model_sha256 != ""

    def describe(self) -> dict[str, object]:
        """Return the entries for the status."""
        return {"novel_grasps": self.grasps, "is_novel": self.stands()}

    def explain(self) -> str:
        """Return how unlike the newest picture was, for an alarm; empty without one."""
        if self._novel is None or not self.stands():
            return ""
        return (
            f"novelty {self._novel.novelty:.1f}, at most "
            f"{self._novel.novelty_limit:.1f}; {self.grasps} grasps in a row"
        )

"""Puts the Guardian of the learned policy together for the supervisor.

Only its manifest is read here: the network itself runs in a process of its own, and the
supervisor stays free of what runs networks.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from cell.contracts.attempt import AttemptFeatures, AttemptJudgement
from cell.contracts.drivers import Clock
from cell.contracts.errors import CellError, DriverUnreachableError
from cell.mailbox.text import TextMailbox
from cell.supervisor.ports import GuardianPeers
from ops.guardian_rules import make_rules
from ops.settings import Settings, compute_model_root, is_watched
from policies.guardian_client import GuardianWorkerClient
from policies.guardian_manifest import GuardianManifest
from policies.model_directory import read_guardian_directory
from policies.runtime.guardian_tensors import check_fits
from policies.runtime.guardian_wire import GUARDIAN_SOCKET
from safety.attempt_guardian import AttemptGuardian
from safety.guardian import GuardianRules

RELEASE_NAME: Final = "guardian_release"
NAME_CAPACITY: Final = 256


class ReleaseBox:
    """The name of who agreed to a return; one writer at a time, one reader."""

    def __init__(self, runtime: Path) -> None:
        """Create or attach; what was written before counts for nothing."""
        self._mailbox = TextMailbox(runtime / RELEASE_NAME, NAME_CAPACITY)
        self._version = self._mailbox.version()

    def write(self, person: str) -> None:
        """Hand a name over."""
        self._mailbox.write(person)

    def take(self) -> str:
        """Return a name that was written since the last look, else nothing."""
        version = self._mailbox.version()
        if version == self._version:
            return ""
        text = self._mailbox.read()
        if text is None:
            return ""
        self._version = version
        return text.strip()

    def close(self) -> None:
        """Unmap. The file stays."""
        self._mailbox.close()


class NoNetwork:
    """Stands in for a network that cannot be used."""

    def is_ready(self) -> bool:
        """Say no."""
        return False

    async def judge(self, features: AttemptFeatures) -> AttemptJudgement:
        """Refuse.

        Raises:
            DriverUnreachableError: always.
        """
        del features
        raise DriverUnreachableError("Guardian worker", "its model cannot be used")


def read_manifest(settings: Settings) -> GuardianManifest:
    """Return the manifest of the configured Guardian, checked against its files.

    Raises:
        ModelError: it cannot be used; names the key.
    """
    directory = compute_model_root(settings) / settings.guardian.model
    manifest = read_guardian_directory(directory).manifest
    check_fits(manifest)
    return manifest


def read_rules(settings: Settings) -> tuple[GuardianManifest, GuardianRules]:
    """Return manifest and rules of the configured Guardian.

    Raises:
        ModelError: they cannot be used; names the key.
    """
    manifest = read_manifest(settings)
    return manifest, make_rules(manifest.calibration, settings.guardian)


def make_guardian(
    settings: Settings, runtime: Path, clock: Clock
) -> tuple[GuardianPeers | None, GuardianWorkerClient | None]:
    """Return the Guardian and the client to run; None where none is needed.

    A model that cannot be used makes a Guardian that trusts nothing. The worker process
    meets the same model and complains about it.
    """
    if not is_watched(settings):
        return None, None
    try:
        manifest, rules = read_rules(settings)
    except CellError as error:
        structlog.get_logger().error("guardian_unusable", reason=str(error))
        return GuardianPeers(None, NoNetwork()), None
    client = GuardianWorkerClient(
        runtime / GUARDIAN_SOCKET,
        manifest.model_sha256,
        settings.guardian.deadline_s,
        clock,
    )
    take_release: Callable[[], str] = ReleaseBox(runtime).take
    peers = GuardianPeers(
        guardian=AttemptGuardian(rules),
        network=client,
        network_id=manifest.model_sha256,
        trusts_new_model=settings.guardian.trusts_new_model,
        take_release=take_release,
    )
    return peers, client

"""Loads the Guardian's network as its worker does; `check` goes the same way."""

from ops.guardian_watch import read_rules
from ops.settings import Settings, compute_model_root
from policies.runtime.guardian_network import GuardianNetwork, load_guardian


def load_watch(settings: Settings) -> GuardianNetwork:
    """Verify and load the configured network; its calibration has to make a test.

    Raises:
        ModelError: it cannot be used; names the key.
    """
    read_rules(settings)
    return load_guardian(compute_model_root(settings) / settings.guardian.model)

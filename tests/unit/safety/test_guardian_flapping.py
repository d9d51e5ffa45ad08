"""A policy that returns on what another one does well does not flap for ever."""

from dataclasses import replace

import numpy as np

from tests.unit.safety.test_guardian import BACK, RULES, Cell


def test_a_bad_policy_that_agrees_with_a_good_fallback_comes_back_twice_at_most() -> (
    None
):
    rng = np.random.default_rng(0)
    rules = replace(
        RULES,
        comeback=replace(BACK, attempts_min=50),
        constant_window=20,
        needs_release=False,
        trials_max=3,
        agreement_min=0.1,
    )
    cell = Cell(rules)
    withdrawals, was_permitted, locked_at = 0, True, 0
    for pick in range(20_000):
        if cell.permits:
            cell.try_grasp(is_placed=bool(rng.random() < 0.50))
        elif rng.random() < 0.30:
            cell.try_grasp(is_placed=bool(rng.random() < 0.97))
        else:
            cell.guardian.note_disagreement()
        withdrawals += was_permitted and not cell.permits
        was_permitted = cell.permits
        locked_at = locked_at or pick * cell.guardian.state.is_locked

    assert withdrawals == rules.falls_max
    assert 0 < locked_at < 1_000
    assert not cell.permits

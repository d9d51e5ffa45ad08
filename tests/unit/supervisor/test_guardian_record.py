"""The record of trust: one entry for each model, and the withdrawn ones stay."""

import json
from typing import Any

import pytest

from cell.contracts.guardian import GuardianMemory
from cell.supervisor.guardian_record import MODELS_KEPT, RECORD, SUMS, GuardianRecord

NETWORK, OTHER_NETWORK = "n" * 64, "m" * 64
TRUSTED = GuardianMemory(was_trusted=True)
WITHDRAWN = GuardianMemory(
    was_trusted=False, doubt="it fell", trials=1, falls=2, is_locked=False
)
LOCKED = GuardianMemory(was_trusted=False, doubt="it fell", falls=3, is_locked=True)


def recall(record: GuardianRecord, subject: str) -> GuardianMemory:
    return record.recall(subject, trusts_new_model=True)


def live_on(record: GuardianRecord, network: str = NETWORK) -> GuardianRecord:
    """Return the record of the next life."""
    return GuardianRecord(json.dumps(record.describe()), network)


def make_record(**models: GuardianMemory) -> GuardianRecord:
    record = GuardianRecord(None, NETWORK)
    for subject, memory in models.items():
        record.keep(subject, memory)
    return record


def test_a_new_cell_has_nothing_against_any_model() -> None:
    record = GuardianRecord(None, NETWORK)

    assert recall(record, "a") == TRUSTED
    distrusted = record.recall("a", trusts_new_model=False)
    assert not distrusted.was_trusted
    assert "new" in distrusted.doubt


def test_what_is_known_of_a_model_comes_back_whole() -> None:
    record = live_on(make_record(a=WITHDRAWN, b=LOCKED, c=TRUSTED))

    assert [recall(record, name) for name in "abc"] == [WITHDRAWN, LOCKED, TRUSTED]


def test_sums_are_those_of_each_model() -> None:
    risen = GuardianMemory(was_trusted=True, sums_nat=(6.5, 0.0))
    record = live_on(make_record(a=risen, b=TRUSTED))

    assert recall(record, "a") == risen
    assert recall(record, "b").sums_nat == ()


def test_sums_of_the_charts_of_another_network_count_as_none() -> None:
    record = make_record(a=GuardianMemory(was_trusted=True, sums_nat=(6.5,)))

    assert recall(live_on(record, OTHER_NETWORK), "a") == TRUSTED


def test_a_run_without_a_guardian_hands_the_sums_on() -> None:
    risen = GuardianMemory(was_trusted=True, sums_nat=(6.5,))

    later = live_on(live_on(make_record(a=risen), ""))

    assert recall(later, "a") == risen


@pytest.mark.parametrize("sums", [None, [6.5], {"a": 6.5}, {"a": [6.5, "x"]}])
def test_sums_that_are_none_are_left(sums: Any) -> None:
    tree = make_record(a=WITHDRAWN).describe()
    tree[SUMS]["sums_nat"] = sums

    assert recall(GuardianRecord(json.dumps(tree), NETWORK), "a") == WITHDRAWN
    tree[SUMS] = sums
    assert recall(GuardianRecord(json.dumps(tree), NETWORK), "a") == WITHDRAWN


@pytest.mark.parametrize("memory", [WITHDRAWN, LOCKED])
def test_a_withdrawn_model_is_never_forgotten_for_trusted_ones(
    memory: GuardianMemory,
) -> None:
    record = make_record(a=memory)
    for number in range(10 * MODELS_KEPT):
        record.keep(f"other {number}", TRUSTED)
    record = live_on(record)

    assert recall(record, "a") == memory
    assert recall(record, "newest").was_trusted
    assert len(record.describe()[RECORD]["models"]) == MODELS_KEPT + 1


def test_where_only_withdrawn_ones_are_left_a_new_one_is_not_trusted() -> None:
    record = make_record()
    for number in range(MODELS_KEPT):
        assert recall(record, f"model {number}").was_trusted
        record.keep(f"model {number}", WITHDRAWN)

    memory = recall(record, "new")

    assert not memory.was_trusted
    assert "too many" in memory.doubt


def test_where_a_withdrawn_one_had_to_give_way_none_is_trusted_for_being_new() -> None:
    record = make_record(locked=LOCKED)
    for number in range(MODELS_KEPT + 2):
        record.keep(f"model {number}", WITHDRAWN)
    for number in range(5 * MODELS_KEPT):
        record.keep(f"trusted {number}", TRUSTED)
    record = live_on(record)

    # It may be the one that gave way.
    assert not recall(record, "model 0").was_trusted
    assert not recall(record, "never seen").was_trusted
    assert recall(record, "locked") == LOCKED
    assert len(record.describe()[RECORD]["models"]) == MODELS_KEPT + 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("was_trusted", 1),
        ("is_locked", None),
        ("trials", -1),
        ("trials", True),
        ("falls", 1.5),
        ("falls", -1),
    ],
)
def test_a_record_of_other_kinds_trusts_nothing(key: str, value: Any) -> None:
    tree = make_record(a=TRUSTED, b=TRUSTED).describe()
    tree[RECORD]["models"]["b"][key] = value

    record = GuardianRecord(json.dumps(tree), NETWORK)

    assert not recall(record, "a").was_trusted
    assert record.describe() == {}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"guardian_record": {}}'])
def test_behind_a_damaged_record_no_model_is_trusted_for_being_new(text: str) -> None:
    record = GuardianRecord(text, NETWORK)
    assert not recall(record, "a").was_trusted
    record.keep("a", TRUSTED)
    record = live_on(record)

    assert recall(record, "a").was_trusted
    assert not recall(record, "b").was_trusted


def test_what_does_not_say_that_it_is_whole_is_not() -> None:
    tree = make_record(a=TRUSTED).describe()
    tree[RECORD]["is_complete"] = "yes"
    record = GuardianRecord(json.dumps(tree), NETWORK)

    assert recall(record, "a").was_trusted
    assert not recall(record, "b").was_trusted

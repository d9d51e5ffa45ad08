"""When too much force, again and again, needs a person."""

import pytest

from cell.contracts.servo import HoldReason
from cell.contracts.units import ns_from_s
from cell.supervisor.causes import Cause
from cell.supervisor.force_contacts import ForceContacts, ForceError, make_veto

FORCE, ZONE = HoldReason.TCP_FORCE, HoldReason.KEEP_OUT_ZONE
COUNT, WINDOW_NS = ForceContacts.LIMIT.count, ForceContacts.LIMIT.window_ns


def test_as_many_as_the_limit_within_its_window_need_a_person() -> None:
    contacts = ForceContacts()
    step_ns = (WINDOW_NS - 1) // (COUNT - 1)

    said = [contacts.note(i * step_ns) for i in range(COUNT)]

    assert said == [False] * (COUNT - 1) + [True]


def test_as_many_in_a_longer_time_do_not() -> None:
    contacts = ForceContacts()
    step_ns = WINDOW_NS // (COUNT - 1) + 1

    assert not any(contacts.note(i * step_ns) for i in range(3 * COUNT))


def test_after_a_person_was_asked_for_they_are_counted_anew() -> None:
    contacts = ForceContacts()

    said = [contacts.note(ns_from_s(i)) for i in range(2 * COUNT)]

    assert said == 2 * ([False] * (COUNT - 1) + [True])


@pytest.mark.parametrize(
    ("reasons", "is_force"),
    [
        ([FORCE, FORCE, FORCE], True),
        ([ZONE, FORCE, FORCE], False),
        ([FORCE, FORCE, ZONE], False),
        ([ZONE, ZONE, ZONE], False),
    ],
)
def test_only_force_each_time_is_a_matter_of_force(
    reasons: list[HoldReason], is_force: bool
) -> None:
    error = make_veto(reasons)

    assert isinstance(error, ForceError) is is_force
    assert error.cause is Cause.COMMAND_VETOED
    assert error.detail == reasons[-1].name

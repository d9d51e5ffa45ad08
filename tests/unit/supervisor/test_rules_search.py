"""The real rules on the real ladder: every state that few causes together can reach.

The rules of the causes fall into few classes, and causes of one class differ by name
only. So each choice of up to three causes is one of the choices of classes below. What
cannot flap is searched with its rule as it stands: time makes no difference to it. The
budgets of what can are counted down to two, in ticks, for 5 times in 10 s and 10 in
10 minutes have too many states; the shape of the rule stays.
"""

import itertools
from collections import defaultdict
from dataclasses import replace

import pytest

from cell.contracts.ladder import Budget, CauseRule, LadderRules, LadderState, Rung
from cell.supervisor.causes import Cause
from cell.supervisor.rungs import make_rules
from safety.ladder import Ladder
from tests.unit.safety.test_ladder_search import check_edge, make_events, walk

# Minutes on a busy machine.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

RULES = make_rules()


def list_classes() -> dict[CauseRule, list[str]]:
    """Return the different rules, each with the causes that have it."""
    classes = defaultdict(list)
    for name, rule in RULES.causes.items():
        classes[rule].append(name)
    return dict(classes)


CLASSES = list_classes()
STEADY = [rule for rule in CLASSES if rule.flapping is None]
FLAPPING = [rule for rule in CLASSES if rule.flapping is not None]


def shrink(rule: CauseRule) -> CauseRule:
    """Return a rule that flaps, in ticks and with a budget of two."""
    return replace(rule, quiet_ns=1, flapping=Budget(2, 2))


def name_rules(*rules: CauseRule) -> dict[str, CauseRule]:
    """Name each rule after its first cause; repeated ones are told apart."""
    return {f"{CLASSES[rule][0]}_{n}": rule for n, rule in enumerate(rules)}


def search(rules: LadderRules) -> int:
    """Check every edge of the graph, and the way out of its states; count the edges."""
    ladder, count = Ladder(rules), 0
    ends: set[LadderState] = set()
    for before, event, after in walk(ladder, make_events(list(rules.causes))):
        check_edge(rules, before.state, event, after.state)
        assert not (after.owes_acknowledgement and after.state.permits_motion), event
        assert not (after.owes_release and after.state.permits_motion), event
        ends.add(after.state)
        count += 1
    for end in ends:
        if end.rung is Rung.TERMINATE:
            continue
        state = ladder.observe(end, frozenset(), frozenset(), 0, is_moving=False)
        state = ladder.acknowledge(state, "anna")
        assert ladder.release(state, "anna").permits_motion
    return count


def test_every_cause_is_in_one_of_the_classes_that_are_searched() -> None:
    named = [name for names in CLASSES.values() for name in names]

    assert sorted(named) == sorted(cause.value for cause in Cause)
    assert len(FLAPPING) == 1
    assert len(STEADY) + len(FLAPPING) == len(CLASSES) <= 10


@pytest.mark.parametrize("first", STEADY, ids=lambda rule: CLASSES[rule][0])
def test_up_to_three_causes_that_do_not_flap_keep_the_laws(first: CauseRule) -> None:
    later = STEADY[STEADY.index(first) :]
    for second, third in itertools.combinations_with_replacement(later, 2):
        rules = LadderRules(name_rules(first, second, third), RULES.returns)

        assert search(rules) > 100


@pytest.mark.parametrize("other", CLASSES, ids=lambda rule: CLASSES[rule][0])
def test_one_that_flaps_beside_any_other_keeps_the_laws(other: CauseRule) -> None:
    flaps = shrink(FLAPPING[0])
    beside = shrink(other) if other.flapping else other
    rules = LadderRules({"flaps": flaps, "beside": beside}, Budget(2, 2))

    assert search(rules) > 1_000

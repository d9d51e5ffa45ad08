"""Every state the ladder can reach, with every event: what no path leads to.

Time is counted in ticks and ages are cut off beyond the longest span that any rule asks
about, which makes the states finitely many without changing what the ladder does next;
that it does not is a property of its own below.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cell.contracts.ladder import (
    Budget,
    CauseRule,
    LadderRules,
    LadderState,
    Rung,
    Trace,
)
from safety.ladder import Ladder

BEYOND = 3
"""Ticks: older than this is as old as for ever, for every rule below."""

UNKNOWN = "unknown"
"""A cause without a rule."""

SLOW = CauseRule(Rung.DEGRADE, Rung.DEGRADE)
HOLD = CauseRule(Rung.HOLD, Rung.HOLD, quiet_ns=1)
LINK = CauseRule(Rung.LATCH, Rung.STOP, is_mended_by_release=True)
LATCH = CauseRule(Rung.LATCH, Rung.LATCH)
END = CauseRule(Rung.TERMINATE, Rung.TERMINATE)
BLINK = CauseRule(Rung.HOLD, Rung.HOLD, 1, Budget(2, 3))
MIXED = CauseRule(Rung.HOLD, Rung.DEGRADE, 2)
# Each set is small enough for all its states to be visited.
RULES = {
    "kinds": LadderRules({"slow": SLOW, "hold": HOLD, "link": LINK, "latch": LATCH}),
    "ends": LadderRules({"hold": HOLD, "link": LINK, "end": END}),
    "flaps": LadderRules({"blink": BLINK}, Budget(2, 3)),
    "turns": LadderRules(
        {"blink": replace(BLINK, flapping=Budget(2, 2)), "mixed": MIXED}, Budget(2, 2)
    ),
}
NAMES = {
    "kinds": ["slow", "hold", "link", "latch"],
    "ends": ["hold", "link", "end", UNKNOWN],
    "flaps": ["blink", UNKNOWN],
    "turns": ["blink", "mixed"],
}
Step = Callable[[Ladder, LadderState], LadderState]


@dataclass(frozen=True)
class Event:
    """Something that may happen, at the same instant as the event before it."""

    name: str
    step: Step
    struck: frozenset[str] = frozenset()
    is_moving: bool = False


@dataclass(frozen=True)
class Node:
    """A state, and what an onlooker who knows no ladder says is still owed."""

    state: LadderState
    owes_acknowledgement: bool = False
    owes_release: bool = False


def look(struck: frozenset[str], present: frozenset[str], *, is_moving: bool) -> Event:
    def step(ladder: Ladder, state: LadderState) -> LadderState:
        return ladder.observe(state, struck, present, 0, is_moving=is_moving)

    return Event("look", step, struck, is_moving)


def make_events(names: list[str]) -> list[Event]:
    """Return everything that may happen: named, unnamed, and with nobody there."""
    pairs = itertools.combinations(names, 2)
    struck = [(), *((name,) for name in names), *pairs]
    looks = [
        look(frozenset(causes), frozenset(present), is_moving=is_moving)
        for causes in struck
        for present in ((), names)
        for is_moving in (False, True)
    ]
    return [
        *looks,
        Event("wait", lambda _, state: grow_older(state)),
        Event("resume", lambda ladder, state: ladder.resume(state, 0)),
        Event("release", lambda ladder, state: ladder.release(state, "plc")),
        Event("unnamed", lambda ladder, state: ladder.release(state, " ")),
        Event("acknowledge", lambda ladder, state: ladder.acknowledge(state, "anna")),
        Event("unnamed", lambda ladder, state: ladder.acknowledge(state, "")),
        Event("terminate", lambda ladder, state: ladder.terminate(state, "defect")),
    ]


def grow_older(state: LadderState) -> LadderState:
    """Let a tick pass: the present stays at 0, all stamps go back by one."""

    def age(stamp_ns: int) -> int:
        return max(stamp_ns - 1, -BEYOND)

    def age_trace(trace: Trace) -> Trace:
        # Only a hold that may end by itself asks when its cause was seen last.
        seen_ns = age(trace.seen_ns) if trace.rung is Rung.HOLD else 0
        onsets_ns = tuple(age(stamp_ns) for stamp_ns in trace.onsets_ns)
        return replace(trace, seen_ns=seen_ns, onsets_ns=onsets_ns)

    return replace(
        state,
        traces=tuple(age_trace(trace) for trace in state.traces),
        returns_ns=tuple(age(stamp_ns) for stamp_ns in state.returns_ns),
    )


def follow(node: Node, event: Event, after: LadderState) -> Node:
    """Return the next node: what is owed follows from events, not from the ladder."""
    before = node.state
    owes_acknowledgement = node.owes_acknowledgement
    owes_release = node.owes_release
    if after.rung >= Rung.LATCH > before.rung:
        owes_acknowledgement = True
    if after.rung >= Rung.STOP > before.rung:
        owes_release = True
    if event.name == "acknowledge" and before.rung is Rung.LATCH:
        owes_acknowledgement = False
    if event.name == "release" and not owes_acknowledgement:
        owes_release = False
    return Node(after, owes_acknowledgement, owes_release)


Edge = tuple[Node, Event, Node]


@cache
def find_edges(kind: str) -> list[Edge]:
    """Return every edge of one graph."""
    return list(walk(Ladder(RULES[kind]), make_events(NAMES[kind])))


def walk(ladder: Ladder, events: list[Event]) -> Iterator[Edge]:
    """Yield every edge of the graph of reachable states, breadth first."""
    seen, queue = {Node(LadderState())}, [Node(LadderState())]
    for node in queue:
        for event in events:
            after = follow(node, event, event.step(ladder, node.state))
            yield node, event, after
            if after not in seen:
                seen.add(after)
                queue.append(after)


@pytest.mark.parametrize("kind", RULES)
def test_no_path_leads_from_a_latch_to_motion_without_a_named_acknowledgement(
    kind: str,
) -> None:
    edges = find_edges(kind)

    for _, event, after in edges:
        assert not (after.owes_acknowledgement and after.state.permits_motion), event
        assert not (after.owes_release and after.state.permits_motion), event
    assert len(edges) > 10_000
    assert any(after.owes_release for _, _, after in edges)
    latched = [after for _, _, after in edges if after.owes_acknowledgement]
    assert latched or kind == "turns"


@pytest.mark.parametrize("kind", RULES)
def test_every_event_is_answered_in_every_state_and_keeps_the_laws(kind: str) -> None:
    for before, event, after in find_edges(kind):
        check_edge(RULES[kind], before.state, event, after.state)


def check_edge(
    rules: LadderRules, before: LadderState, event: Event, after: LadderState
) -> None:
    """Assert what holds for every single step."""
    asked = [rules.causes.get(cause, LATCH) for cause in event.struck]
    least = max((r.moving if event.is_moving else r.still for r in asked), default=0)
    causes = [trace.cause for trace in after.traces]
    assert causes == sorted(set(causes))
    assert after.rung >= max((trace.rung for trace in after.traces), default=0)
    assert bool(after.end_reason) is (after.rung is Rung.TERMINATE)
    assert not after.acknowledged_by or after.rung is Rung.LATCH
    if before.rung is Rung.TERMINATE:
        assert after.rung is Rung.TERMINATE
    match event.name:
        case "wait":
            assert after.rung is before.rung
        case "look":
            assert after.rung >= least
            if not before.permits_motion:
                assert after.rung >= before.rung
        case "unnamed":
            assert after is before
        case "resume":
            assert after is before or before.rung is Rung.HOLD
        case "release":
            assert after is before or not before.needs_acknowledgement
        case "acknowledge":
            assert after.rung is before.rung
        case _:
            assert after.rung is Rung.TERMINATE


@pytest.mark.parametrize("kind", RULES)
def test_a_person_leads_out_of_every_state_but_the_last(kind: str) -> None:
    ladder = Ladder(RULES[kind])
    for end in {after.state for _, _, after in find_edges(kind)}:
        if end.rung is Rung.TERMINATE:
            continue
        state = ladder.observe(end, frozenset(), frozenset(), 0, is_moving=False)
        state = ladder.acknowledge(state, "anna")

        assert ladder.release(state, "anna").permits_motion


def test_nothing_but_a_release_ends_a_hold_whose_cause_flaps() -> None:
    ladder = Ladder(LadderRules({"blink": BLINK}))
    looks = [
        look(frozenset(struck), frozenset(), is_moving=False)
        for struck in ((), ("blink",))
    ]
    alone = [*looks, Event("resume", lambda ladder, state: ladder.resume(state, 0))]
    flapped = [
        after.state
        for _, _, after in walk(ladder, alone)
        if after.state.rung is Rung.STOP
    ]
    assert flapped
    for state in flapped:
        later = state
        for event in itertools.chain.from_iterable(itertools.repeat(alone, 5)):
            later = event.step(ladder, grow_older(later))
            assert later.rung is Rung.STOP


all_rules = {
    name: rule for rules in RULES.values() for name, rule in rules.causes.items()
}
names_of_all = [*all_rules, UNKNOWN]
one_look = st.tuples(
    st.frozensets(st.sampled_from(names_of_all), max_size=3),
    st.frozensets(st.sampled_from(names_of_all), max_size=3),
    st.booleans(),
)
one_event = st.one_of(one_look, st.sampled_from(["resume", "release", "acknowledge"]))


@given(
    st.lists(st.tuples(st.integers(0, 3), one_event), max_size=30),
    st.integers(-(10**18), 10**18),
)
def test_only_differences_of_time_count_and_only_up_to_the_longest_span(
    script: list[tuple[int, object]], shift_ns: int
) -> None:
    ladder = Ladder(LadderRules(all_rules, Budget(2, 3)))
    plain, cut, now_ns = LadderState(), LadderState(), shift_ns
    for gap, event in script:
        now_ns += gap
        for _ in range(gap):
            cut = grow_older(cut)
        plain = apply(ladder, plain, event, now_ns)
        cut = apply(ladder, cut, event, 0)

        assert outline(plain) == outline(cut)


def apply(
    ladder: Ladder, state: LadderState, event: object, now_ns: int
) -> LadderState:
    if isinstance(event, tuple):
        struck, present, is_moving = event
        return ladder.observe(state, struck, present, now_ns, is_moving=is_moving)
    if event == "resume":
        return ladder.resume(state, now_ns)
    if event == "release":
        return ladder.release(state, "plc")
    return ladder.acknowledge(state, "anna")


def outline(state: LadderState) -> object:
    """Return a state without its stamps."""
    traces = [(t.cause, t.rung, t.is_seen, len(t.onsets_ns)) for t in state.traces]
    return state.rung, traces, state.acknowledged_by, len(state.returns_ns)

"""The vector form of the listener against its table, and the page against the table."""

import importlib.util
from itertools import product
from pathlib import Path

import pytest

from fastmld._native import lib
from fastmld.batch import Folds
from fastmld.groups import LAST_REPORTER, NO_DEADLINE, REPORTED
from fastmld.listener_v1 import CLEAR, KEEP, OUTCOMES, SET, TRANSITIONS, Action, Event, State, hear

ROOT = Path(__file__).parent.parent
NOW_MS = 1000
LEFT_MS = 50  # what the timer of a Delaying row has left


def fold_of(event: Event, state: State) -> Folds:
    """What csrc/classify.c's fold says of one event alone."""
    fold = Folds.of_size(1)
    effects = {Event.IMMEDIATE_QUERY: (SET, SET), Event.REPORT_HEARD: (KEEP, CLEAR)}
    if_idle, if_delaying = effects.get(event, (KEEP, KEEP))
    reset = event in (Event.IMMEDIATE_QUERY, Event.REPORT_HEARD)
    fold.key[0] = state | reset << 3 | if_idle << 4 | if_delaying << 6
    fold.deadline_ms[0] = NOW_MS + LEFT_MS if state is State.DELAYING else NO_DEADLINE
    fold.delay_ms[0] = {Event.QUERY: LEFT_MS - 1, Event.LONGER_QUERY: LEFT_MS}.get(event, -1)
    return fold


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (state, event)
        for state, event in product(
            (State.IDLE, State.DELAYING, State.DELAYED_JOIN),
            (Event.QUERY, Event.LONGER_QUERY, Event.IMMEDIATE_QUERY, Event.REPORT_HEARD),
        )
        if (state, event) in TRANSITIONS
    ],
)
def test_the_vector_form_does_what_the_table_says(state: State, event: Event) -> None:
    target, actions = TRANSITIONS[state, event]
    heard = hear(fold_of(event, state), NOW_MS)
    outcome = OUTCOMES[heard.outcome[0]]
    assert heard.starts[0] == (Action.START_TIMER in actions)
    assert outcome["state"] == target
    if Action.START_TIMER in actions:
        assert outcome["timer"] == lib.FASTMLD_TIMER_DRAW
    elif Action.STOP_TIMER in actions:
        assert outcome["timer"] == lib.FASTMLD_TIMER_STOP
    elif state is not State.IDLE:
        assert outcome["timer"] == lib.FASTMLD_TIMER_KEEP
    flags = LAST_REPORTER | REPORTED if Action.SET_FLAG in actions else 0
    assert outcome["set"] == flags
    assert (outcome["clear"] & LAST_REPORTER != 0) == (Action.CLEAR_FLAG in actions)


@pytest.mark.parametrize("if_delaying", [KEEP, SET, CLEAR])
def test_what_is_owed_is_owed_until_somebody_else_reports(if_delaying: int) -> None:
    fold = fold_of(Event.REPORT_HEARD, State.OWING)
    fold.key[0] = State.OWING | (if_delaying != KEEP) << 3 | if_delaying << 6
    outcome = OUTCOMES[hear(fold, NOW_MS).outcome[0]]
    assert outcome["state"] == (State.IDLE if if_delaying == CLEAR else State.OWING)


def test_every_state_has_a_transition_for_every_event_that_can_reach_it() -> None:
    frames = {Event.QUERY, Event.IMMEDIATE_QUERY, Event.REPORT_HEARD}
    for state in (State.IDLE, State.DELAYING, State.DELAYED_JOIN):
        assert frames | {Event.STOP_LISTENING} <= {event for origin, event in TRANSITIONS if origin is state}


def test_the_page_of_states_is_made_from_the_table() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec and spec.loader
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert (ROOT / "docs" / "state-machine.md").read_text() == generate.state_machine(), "run: make docs"

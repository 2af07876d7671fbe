"""The vector form of the listener against its table, and the page against the table."""

import importlib.util
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from fastmld._native import FOLD
from fastmld.groups import NO_DEADLINE
from fastmld.listener_v1 import CLEAR, KEEP, SET, TRANSITIONS, Action, Event, State, hear

ROOT = Path(__file__).parent.parent
NOW_MS = 1000
LEFT_MS = 50  # what the timer of a Delaying row has left


def fold_of(event: Event, state: State) -> np.ndarray:
    """What csrc/classify.c's fold says of one event alone."""
    fold = np.zeros(1, FOLD)
    fold["state"] = state
    fold["deadline_ms"] = NOW_MS + LEFT_MS if state is State.DELAYING else NO_DEADLINE
    fold["delay_ms"] = {Event.QUERY: LEFT_MS - 1, Event.LONGER_QUERY: LEFT_MS}.get(event, -1)
    fold["answers"] = event is Event.IMMEDIATE_QUERY
    fold["reset"] = event in (Event.IMMEDIATE_QUERY, Event.REPORT_HEARD)
    if event is Event.IMMEDIATE_QUERY:
        fold["flag_if_idle"] = fold["flag_if_delaying"] = SET
    if event is Event.REPORT_HEARD:
        fold["flag_if_delaying"] = CLEAR
    return fold


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (state, event)
        for state, event in product(
            (State.IDLE, State.DELAYING),
            (Event.QUERY, Event.LONGER_QUERY, Event.IMMEDIATE_QUERY, Event.REPORT_HEARD),
        )
        if (state, event) in TRANSITIONS
    ],
)
def test_the_vector_form_does_what_the_table_says(state: State, event: Event) -> None:
    target, actions = TRANSITIONS[state, event]
    heard = hear(fold_of(event, state), NOW_MS)
    assert heard.starts[0] == (Action.START_TIMER in actions)
    assert heard.stops[0] == (Action.STOP_TIMER in actions)
    assert heard.rests[0] == (state is target is State.IDLE)
    assert target is (State.DELAYING if heard.starts[0] else State.IDLE if heard.stops[0] else state)
    flag = SET if Action.SET_FLAG in actions else CLEAR if Action.CLEAR_FLAG in actions else KEEP
    assert heard.flag[0] == flag


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

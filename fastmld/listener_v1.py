"""RFC 2710's listener: one table of transitions, and the same for columns. Pure: values in, values out.

An address that is listened to is in one of three states; one that is not has no row at all.

    idle_listener       no timer runs
    delaying_listener   a timer runs, and a Report is sent when it ends
    delayed_join        nothing has been said yet, and nothing will be for a while (rule N14): frames have no effect

and a flag says whether we were the last to report it. Two more are states of the column only: an address of which
nothing is ever said (rule N12) shows itself as an idle listener, and one whose timer ended while the budget had no
Report for it as a delaying one: it owes that Report, whatever is asked, unless somebody else's is heard.

The table says what each event does (RFC 2710 section 5; rules N6 to N11). A Query is one of three events, by its
Maximum Response Delay and the time that a timer has left.
"""

from __future__ import annotations

from enum import Enum, IntEnum, auto
from itertools import product
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from fastmld._native import MOVE, MOVES, RUNS, lib
from fastmld.batch import Folds
from fastmld.groups import LAST_REPORTER, REPEATS, REPORTED

STATES: Final = ("idle_listener", "delaying_listener", "delayed_join")
STATE_OF_KEY: Final = np.uint8(7)  # the bits of a fold's key that are the state
KEEP, SET, CLEAR = 0, 1, 2  # effects on the last-reporter flag, as csrc/classify.c folds them


class State(IntEnum):
    """Codes of the state column, in the bits of csrc/fastmld.h. NON_LISTENER: a row that was left."""

    NON_LISTENER = 0
    DELAYED_JOIN = RUNS
    IDLE = MOVES
    DELAYING = RUNS | MOVES
    OWING = 4
    SILENT = 5  # as if a timer ran that never ends


# By code: what it is for those who look, as an index into STATES; and whether a Query with delay 0 is answered at once.
SHOWN: Final = np.zeros(8, np.uint8)
SHOWN[[State.DELAYING, State.OWING]] = STATES.index("delaying_listener")
SHOWN[State.DELAYED_JOIN] = STATES.index("delayed_join")
ANSWERS: Final = np.zeros(8, np.bool_)
ANSWERS[[State.IDLE, State.DELAYING]] = True


class Event(Enum):
    """What can happen to a row."""

    START_LISTENING = auto()
    START_LISTENING_LATER = auto()
    STOP_LISTENING = auto()
    QUERY = auto()  # its delay is positive, and less than what the timer has left, if one runs
    LONGER_QUERY = auto()  # its delay is not less than what the timer has left
    IMMEDIATE_QUERY = auto()  # its delay is 0
    REPORT_HEARD = auto()
    TIMER_EXPIRED = auto()


class Action(Enum):
    """What a transition does besides changing the state."""

    SEND_REPORT = auto()
    SEND_DONE = auto()  # only if the flag is set
    SET_FLAG = auto()
    CLEAR_FLAG = auto()
    START_TIMER = auto()
    STOP_TIMER = auto()


_S, _E, _A = State, Event, Action
TRANSITIONS: Final[dict[tuple[State, Event], tuple[State, tuple[Action, ...]]]] = {
    (_S.NON_LISTENER, _E.START_LISTENING): (_S.DELAYING, (_A.SEND_REPORT, _A.SET_FLAG, _A.START_TIMER)),
    (_S.NON_LISTENER, _E.START_LISTENING_LATER): (_S.DELAYED_JOIN, (_A.START_TIMER,)),
    (_S.DELAYED_JOIN, _E.TIMER_EXPIRED): (_S.DELAYING, (_A.SEND_REPORT, _A.SET_FLAG, _A.START_TIMER)),
    (_S.DELAYED_JOIN, _E.STOP_LISTENING): (_S.NON_LISTENER, (_A.STOP_TIMER,)),
    (_S.DELAYED_JOIN, _E.QUERY): (_S.DELAYED_JOIN, ()),
    (_S.DELAYED_JOIN, _E.LONGER_QUERY): (_S.DELAYED_JOIN, ()),
    (_S.DELAYED_JOIN, _E.IMMEDIATE_QUERY): (_S.DELAYED_JOIN, ()),
    (_S.DELAYED_JOIN, _E.REPORT_HEARD): (_S.DELAYED_JOIN, ()),
    (_S.DELAYING, _E.STOP_LISTENING): (_S.NON_LISTENER, (_A.STOP_TIMER, _A.SEND_DONE)),
    (_S.DELAYING, _E.QUERY): (_S.DELAYING, (_A.START_TIMER,)),
    (_S.DELAYING, _E.LONGER_QUERY): (_S.DELAYING, ()),
    (_S.DELAYING, _E.IMMEDIATE_QUERY): (_S.IDLE, (_A.STOP_TIMER, _A.SEND_REPORT, _A.SET_FLAG)),
    (_S.DELAYING, _E.REPORT_HEARD): (_S.IDLE, (_A.STOP_TIMER, _A.CLEAR_FLAG)),
    (_S.DELAYING, _E.TIMER_EXPIRED): (_S.IDLE, (_A.SEND_REPORT, _A.SET_FLAG)),
    (_S.IDLE, _E.STOP_LISTENING): (_S.NON_LISTENER, (_A.SEND_DONE,)),
    (_S.IDLE, _E.QUERY): (_S.DELAYING, (_A.START_TIMER,)),
    (_S.IDLE, _E.IMMEDIATE_QUERY): (_S.IDLE, (_A.SEND_REPORT, _A.SET_FLAG)),
    (_S.IDLE, _E.REPORT_HEARD): (_S.IDLE, ()),
}


_STARTS = np.uint16(256)
_NOT_AT_ALL, _AT_ANY_TIME, _IF_SOONER = range(3)  # when a Query starts a timer


class Heard(NamedTuple):
    """What a batch does to rows, column by column."""

    starts: npt.NDArray[np.bool_]  # the timer starts anew
    outcome: npt.NDArray[np.uint16]  # an index into OUTCOMES


def hear(folds: Folds, now_ms: int) -> Heard:
    """Apply folded events to rows.

    The answers to Queries with delay 0 are not here: but for ANSWERS, they depend on no state.
    """
    may_start = _MAY_START.take(folds.key)  # a look-up by [] takes three times as long
    starts = may_start == _AT_ANY_TIME
    starts |= (may_start == _IF_SOONER) & (folds.delay_ms < folds.deadline_ms - now_ms)
    starts &= folds.delay_ms > 0
    return Heard(starts, folds.key | starts * _STARTS)


def move(state: State, timer: int, said: int = KEEP, clear: int = 0) -> npt.NDArray[np.void]:
    """(1,) MOVE: a new state, what becomes of the timer, and of the flag."""
    moves = np.zeros(1, MOVE)
    moves["state"], moves["timer"] = state, timer
    moves["set"] = LAST_REPORTER | REPORTED if said == SET else 0
    moves["clear"] = clear | (LAST_REPORTER if said == CLEAR else 0)
    return moves


def _tables() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.void]]:
    """The vector form of TRANSITIONS, by the key of csrc/fastmld.h's folds; the last also by "the timer starts"."""
    may_start = np.zeros(256, np.uint8)
    outcomes = np.zeros(512, MOVE)
    effects = (KEEP, SET, CLEAR)
    for state, reset, if_idle, if_delaying in product(State, (0, 1), effects, effects):
        key = state | reset << 3 | if_idle << 4 | if_delaying << 6
        # A Report that was heard takes a debt away; a Query after it with delay 0 brings it back.
        moved = state in (State.IDLE, State.DELAYING) or (state is State.OWING and if_delaying == CLEAR)
        runs_on = state is State.DELAYING and not reset
        may_start[key] = _NOT_AT_ALL if not moved else _IF_SOONER if runs_on else _AT_ANY_TIME
        said = if_idle if state is State.IDLE else if_delaying
        for starts in (0, 1):
            outcome = key | starts << 8
            if not moved:
                outcomes[outcome] = move(state, lib.FASTMLD_TIMER_KEEP)[0]
            elif starts:
                outcomes[outcome] = move(State.DELAYING, lib.FASTMLD_TIMER_DRAW, said, reset * REPEATS)[0]
            elif runs_on:
                outcomes[outcome] = move(State.DELAYING, lib.FASTMLD_TIMER_KEEP, said)[0]
            else:
                outcomes[outcome] = move(State.IDLE, lib.FASTMLD_TIMER_STOP, said, reset * REPEATS)[0]
    return may_start, outcomes


_MAY_START, OUTCOMES = _tables()

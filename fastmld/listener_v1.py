"""RFC 2710's listener: one table of transitions, and the same for columns. Pure: values in, values out.

An address that is listened to is in one of three states; one that is not has no row at all.

    idle_listener       no timer runs
    delaying_listener   a timer runs, and a Report is sent when it ends
    delayed_join        nothing has been said yet, and nothing will be for a while (rule N14): frames have no effect

and a flag says whether we were the last to report it. The table says what each event does (RFC 2710 section 5;
rules N6 to N11). A Query is one of three events, by its Maximum Response Delay and the time that a timer has left.
"""

from __future__ import annotations

from enum import Enum, IntEnum, auto
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

STATES: Final = ("idle_listener", "delaying_listener", "delayed_join")
KEEP, SET, CLEAR = 0, 1, 2  # effects on the last-reporter flag, as csrc/classify.c folds them


class State(IntEnum):
    """Codes of the state column. NON_LISTENER marks a row that was left."""

    IDLE = 0
    DELAYING = 1
    DELAYED_JOIN = 2
    NON_LISTENER = 3


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


class Heard(NamedTuple):
    """What a batch does to rows, column by column."""

    starts: npt.NDArray[np.bool_]  # the timer starts anew: Delaying
    stops: npt.NDArray[np.bool_]  # the timer ran, and does no more: Idle
    rests: npt.NDArray[np.bool_]  # no timer ran, and none does: still Idle
    flag: npt.NDArray[np.uint8]  # KEEP, SET or CLEAR


def hear(folds: npt.NDArray[Any], now_ms: int) -> Heard:
    """Apply folded events to rows that are Idle or Delaying.

    folds: (N,) of csrc/fastmld.h's fastmld_fold: the state of each row, and all that a batch says about it. The
    answers to Queries with delay 0 are not here: they depend on no state.
    """
    delaying = folds["state"] == State.DELAYING
    runs = delaying & (folds["reset"] == 0)
    delay_ms = folds["delay_ms"]
    starts = (delay_ms > 0) & (~runs | (delay_ms < folds["deadline_ms"] - now_ms))
    return Heard(
        starts,
        delaying & ~runs & ~starts,
        ~delaying & ~starts,
        np.where(delaying, folds["flag_if_delaying"], folds["flag_if_idle"]),
    )

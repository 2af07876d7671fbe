"""Writes docs/state-machine.md from the transition table of fastmld/listener_v1.py: `make docs`."""

from pathlib import Path

from fastmld.listener_v1 import TRANSITIONS, Action, Event, State

STATE = {
    State.NON_LISTENER: "Non-Listener",
    State.DELAYED_JOIN: "Delayed Join",
    State.IDLE: "Idle Listener",
    State.DELAYING: "Delaying Listener",
}
EVENT = {
    Event.START_LISTENING: "first join",
    Event.START_LISTENING_LATER: "first join, delayed",
    Event.STOP_LISTENING: "last leave",
    Event.QUERY: "Query, delay less than what the timer has left, or no timer",
    Event.LONGER_QUERY: "Query, delay not less than what the timer has left",
    Event.IMMEDIATE_QUERY: "Query, delay 0",
    Event.REPORT_HEARD: "Report heard",
    Event.TIMER_EXPIRED: "timer ends",
}
ACTION = {
    Action.SEND_REPORT: "send Report",
    Action.SEND_DONE: "send Done if the flag is set",
    Action.SET_FLAG: "set flag",
    Action.CLEAR_FLAG: "clear flag",
    Action.START_TIMER: "start timer",
    Action.STOP_TIMER: "stop timer",
}


def state_machine() -> str:
    """The page."""
    lines = [
        "# The MLDv1 listener's states",
        "",
        "Made by `make docs` from `TRANSITIONS` in `fastmld/listener_v1.py`; `tests/test_listener_v1.py` holds the two",
        "together, and the table to the vector form that runs. The flag: we were the last to report it.",
        "",
    ]
    for state in STATE:
        lines += [f"## {STATE[state]}", "", "| event | next state | actions |", "| --- | --- | --- |"]
        for (origin, event), (target, actions) in TRANSITIONS.items():
            if origin is state:
                done = ", ".join(ACTION[action] for action in actions) or "none"
                lines.append(f"| {EVENT[event]} | {STATE[target]} | {done} |")
        lines.append("")
    lines += [
        "Not in the table, because they are not one address's events: an interface that stops talking sends Done for",
        "each address whose flag is set (unless it was its carrier that was lost), clears flags, stops timers;",
        "when it talks again, each address starts listening anew. ff02::1 and scopes 0 and 1 are Idle for ever.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("state-machine.md").write_text(state_machine())

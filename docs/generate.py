"""Writes what the documents take from elsewhere: `make docs`.

docs/state-machine.md is made from the transition table of fastmld/listener_v1.py; the figures in docs/performance.md
from docs/performance.json, which is a report of `fastmld bench`, without its curves and the values of single rounds:
`make docs REPORT=report.json` puts another in its place.
"""

import json
import sys
from pathlib import Path
from typing import Any

from fastmld_bench.goals import GOALS
from fastmld_bench.judgement import markdown
from fastmld_bench.report import read

from fastmld.listener_v1 import TRANSITIONS, Action, Event, State

HERE = Path(__file__).parent
FIGURES = HERE / "performance.json"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"

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


def performance(page: str) -> str:
    """docs/performance.md, with the figures that there are."""
    report: dict[str, Any] = {"goals": [goal.id for goal in GOALS], "rows": []}
    if FIGURES.exists():
        report = read(FIGURES)
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{markdown(report)}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    for path in sys.argv[1:]:
        report = read(Path(path))
        rows = [{name: said for name, said in row.items() if name != "values"} for row in report["rows"]]
        FIGURES.write_text(json.dumps(report | {"series": {}, "rows": rows}, indent=1) + "\n")
    (HERE / "state-machine.md").write_text(state_machine())
    page = HERE / "performance.md"
    page.write_text(performance(page.read_text()))

"""Run in a namespace: a Runtime on an interface, with listeners that do what standard input says.

steps.py IFACE [SETTINGS as JSON]. A line is a JSON list of what is done at once: lists [SOCKET, CALL, GROUP, SOURCE or
list of sources]. A call is one of those of RFC 3678 to a socket: "join", "leave", "join_source", "leave_source",
"block", "unblock", and "include" or "exclude", which set a filter; "close" is for all groups of the socket. Each line
is answered with an object: the filters that the interface has now, its status and its counters.
"""

import json
import os
import select
import sys
from ipaddress import IPv6Address

from fastmld import Engine
from fastmld.runtime import Runtime

interface, settings = [*sys.argv[1:], "{}"][:2]
listeners: dict[tuple[str, str], tuple[str, set[str]]] = {}


def asked(name: str, call: str, group: str, named: object) -> tuple[str, set[str]]:
    """What a socket asks for after a call: RFC 3678 sections 4.1 and 5.1.1."""
    mode, sources = listeners.get((name, group), ("include", set()))
    match call:
        case "join":
            return "exclude", set()
        case "leave":
            return "include", set()
        case "join_source" | "block":
            return ("include" if call == "join_source" else "exclude"), sources | {str(named)}
        case "leave_source" | "unblock":
            return mode, sources - {str(named)}
        case "include" | "exclude":
            return call, set(named)  # type: ignore[call-overload]
    raise ValueError(call)


def do(now_ms: int, name: str, call: str, group: str, named: object) -> None:
    """One call; a socket is a listener by its name."""
    for each in [one for socket, one in listeners if socket == name] if call == "close" else [group]:
        mode, sources = asked(name, "leave" if call == "close" else call, each, named)
        if mode == "exclude" or sources:
            listeners[name, each] = mode, sources
        else:
            del listeners[name, each]
        runtime.engine.listen(lan, each, mode, sorted(sources), listener=name, now_ms=now_ms)
    runtime.wake()


def filters() -> dict[str, tuple[str, list[str]]]:
    """Of each group that is listened to."""
    found = {}
    for group in sorted({group for _, group in listeners}):
        mode, sources = runtime.engine.filter(lan, group)
        found[group] = mode, [str(IPv6Address(source.tobytes())) for source in sources]
    return found


with Runtime(Engine()) as runtime:
    lan = runtime.open(interface, **json.loads(settings))
    print(flush=True)
    pending = b""
    while True:
        now_ms = runtime.now_ms()
        runtime.work(now_ms)
        next_ms = runtime.next_ms(now_ms)
        wait_s = None if next_ms is None else max(0, next_ms - runtime.now_ms()) / 1000
        if 0 not in select.select([0, runtime.fileno()], [], [], wait_s)[0]:
            continue
        octets = os.read(0, 65536)
        if not octets:
            break
        *lines, pending = (pending + octets).split(b"\n")
        for line in lines:
            now_ms = runtime.now_ms()
            for calls in json.loads(line):
                do(now_ms, *calls)
            runtime.work(runtime.now_ms())
            said = {"filters": filters(), **runtime.engine.status(lan)._asdict(), **runtime.counters(lan)}
            print(json.dumps(said), flush=True)

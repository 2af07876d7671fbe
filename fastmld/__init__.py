"""fastmld: IPv6 Multicast Listener Discovery for interfaces that no kernel stands behind."""

from fastmld.batch import FrameBatch
from fastmld.engine import KINDS, VERDICTS, Engine, Status
from fastmld.errors import (
    ClockWentBackwards,
    FastMLDError,
    GroupTableFull,
    InvalidAddress,
    NotListening,
    TooManySources,
    UnknownInterface,
)
from fastmld.groups import NO_DEADLINE
from fastmld.listener_v1 import STATES

__all__ = [
    "KINDS",
    "NO_DEADLINE",
    "STATES",
    "VERDICTS",
    "ClockWentBackwards",
    "Engine",
    "FastMLDError",
    "FrameBatch",
    "GroupTableFull",
    "InvalidAddress",
    "NotListening",
    "Status",
    "TooManySources",
    "UnknownInterface",
]
__version__ = "0.1.0"

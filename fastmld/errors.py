"""What the engine raises. A frame is never an exception: it has a verdict."""


class FastMLDError(Exception):
    """The root of them all."""


class NotListening(FastMLDError):
    """An address was left that was never joined, or more often than it was joined. Nothing changed."""


class GroupTableFull(FastMLDError):
    """A join would exceed the interface's max_groups. Nothing changed."""


class UnknownInterface(FastMLDError):
    """An interface index that add_interface never gave, or that was removed."""


class InvalidAddress(FastMLDError, ValueError):
    """An address that cannot be read, or is not of the kind that is needed."""


class ClockWentBackwards(FastMLDError, ValueError):
    """now_ms is less than the engine has already seen."""


class TooManySources(FastMLDError, ValueError):
    """A source list is longer than the interface's max_sources. Nothing changed."""

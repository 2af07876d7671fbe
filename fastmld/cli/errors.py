"""How a verb ends when it cannot do its work."""


class CommandError(Exception):
    """One line for people, and a status: 1 a check failed, 2 usage or bad input, 3 the environment refuses.

    It has the face of typer's own errors, so that `main` needs to know only one kind.
    """

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code

    def format_message(self) -> str:
        return str(self)

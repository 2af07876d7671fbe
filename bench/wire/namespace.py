"""Network namespaces: a process that holds each, commands run in it, veth pairs between two.

Works as root and as an ordinary user, wherever user namespaces are allowed. A namespace lives as long as its holder,
and the holder as long as its standard input: nothing outlives whoever made it, however that ends.
"""

from __future__ import annotations

import json
import subprocess
from contextlib import suppress
from typing import Self

IN_OWN_USER_NAMESPACE = ("unshare", "-Urn")
AS_ROOT = ("unshare", "-n")  # keeps root's own privileges: BPF is for those


class Refused(Exception):
    """This machine lets us make no namespaces, or not do in them what we need; says why."""


class Namespace:
    """One network namespace. `owner`: one whose user namespace it shares, so that veth can join the two."""

    def __init__(self, owner: Namespace | None = None, unshare: tuple[str, ...] = IN_OWN_USER_NAMESPACE) -> None:
        self._started: list[subprocess.Popen[str]] = []
        make = unshare if owner is None else [*owner.enter, "unshare", "-n"]
        try:
            self._holder = subprocess.Popen(
                [*make, "sh", "-c", "echo $$; exec cat"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        except FileNotFoundError as error:
            raise Refused(f"{error.filename} is not installed") from None
        said = self._holder.stdout.readline().strip()
        if not said:
            reason = self._holder.stderr.read().strip()
            self.close()
            raise Refused(reason or "unshare failed")
        self.pid = int(said)
        user = [] if unshare == AS_ROOT else ["--preserve-credentials", "-U"]
        self.enter = ["nsenter", *user, "-n", "-t", said]
        self.run("ip", "link", "set", "lo", "up")

    def run(self, *command: str, says: str = "", check: bool = True) -> str:
        """Run a command in here, on what `says` has to say; what it answers. Raises Refused."""
        done = subprocess.run([*self.enter, *command], input=says, capture_output=True, text=True, timeout=60)
        if check and done.returncode:
            raise Refused(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def ip(self, arguments: str, check: bool = True) -> str:
        """Run ip(8)."""
        return self.run("ip", *arguments.split(), check=check)

    def sysctl(self, key: str, value: object) -> None:
        """Set a value under net: of an interface as ipv6.conf.v0.accept_dad."""
        path = "/proc/sys/net/" + key.replace(".", "/")
        self.run("sh", "-c", f"echo {value} > {path}")

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command in here, with pipes for its input and output; it ends with the namespace at the latest."""
        process = subprocess.Popen(
            [*self.enter, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._started.append(process)
        return process

    def mac(self, interface: str) -> str:
        """The MAC address of an interface."""
        return str(json.loads(self.ip(f"-j link show dev {interface}"))[0]["address"])

    def close(self) -> None:
        """End what was started here, then the namespace."""
        for process in [*self._started, self._holder]:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                with suppress(BrokenPipeError):
                    pipe.close()


class Lab:
    """Namespaces that can be joined with veth pairs."""

    kind: type[Namespace] = Namespace

    def __init__(self, unshare: tuple[str, ...] = IN_OWN_USER_NAMESPACE) -> None:
        self._unshare = unshare
        self._namespaces: list[Namespace] = []

    def namespace(self) -> Namespace:
        """A new namespace. Raises Refused."""
        namespace = self.kind(self._namespaces[0] if self._namespaces else None, self._unshare)
        self._namespaces.append(namespace)
        return namespace

    @property
    def first(self) -> Namespace:
        """The namespace that was made first."""
        return self._namespaces[0]

    def veth(self, left: Namespace, name: str, right: Namespace, peer: str) -> None:
        """A cable: `name` in one namespace, `peer` in the other, both up, with link-local addresses usable at once."""
        self.lay(left, name, right, peer)
        for namespace, interface in ((left, name), (right, peer)):
            namespace.sysctl(f"ipv6.conf.{interface}.accept_dad", 0)
        for namespace, interface in ((left, name), (right, peer)):
            namespace.ip(f"link set {interface} up")

    @staticmethod
    def lay(left: Namespace, name: str, right: Namespace, peer: str) -> None:
        """A cable whose ends are still down."""
        left.ip(f"link add {name} type veth peer name {peer} netns {right.pid}")

    def close(self) -> None:
        """Take everything down, the first namespace last: it owns the others."""
        for namespace in reversed(self._namespaces):
            namespace.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

"""The one interface behind which an operating system hides. `posix` and `windows` are its halves.

Every method takes and gives plain data. Paths are in the machine's own form. Expected failures raise `Refused`.
"""

from __future__ import annotations

from typing import Any, Callable, Optional, Protocol, Sequence

State = dict[str, Any]  # JSON-ready


class System(Protocol):
    """What an operating system must be able to do for the agent."""

    def describe(self) -> State:
        """{"os": "linux", "release": str, "architecture": str, "hostname": str}"""

    def particulars(self) -> State:
        """What only machines of its kind have to tell of themselves, by name; see `particulars.py`."""

    # -- files
    def access_of(self, path: str) -> str:
        """Who may use it, in the words that `grant` takes; anything else as the system itself puts it."""

    def grant(self, path: str, access: str) -> None:
        """Give a file or directory its access: "administrators", "everyone" (reads; administrators write) or
        "only <user>"; for a file with " +x" when it is a program. Where access is a list, also "read by <user>"
        (and administrators). Called before the file has its name."""

    def look_over(self, path: str, account: str, top: bool, mend: bool) -> State:
        """Whose the file, directory or link itself is. `mend`: let only administrators, and `account`, change it.

        {"link": whether it leads elsewhere without an administrator's doing, "owner": "" for administrators, `account`
        and the one the desk comes as, else a name, "wide": whether others may change it, or could before}. Nothing
        is mended that is a link or belongs to another. `top`: what it inherits is no decision of ours.
        """

    def account_of(self, spec: State) -> Optional[str]:
        """Who writes in the `state` folder of such a service, as `look_over` takes it; "" for administrators alone.

        None where the system itself makes that folder.
        """

    def replace(self, temporary: str, path: str) -> None:
        """Put `temporary` where `path` is, atomically and durably: readers see the old or the new."""

    def born_private(self, directory: str, prefix: str) -> tuple[int, str]:
        """A new, empty file that only administrators can open: (descriptor to write to, path).

        It can be moved into `directory` in one step. What a killed agent left there with that prefix goes first.
        """

    def clear_private(self, path: str) -> None:
        """Take away what is left of what `born_private` made, if that can be done."""

    def make_private(self, path: str) -> None:
        """A directory that only administrators can enter."""

    # -- processes
    def detach(self, arguments: Sequence[str], log: str) -> int:
        """Start a process that outlives this session; its output goes to `log`. Gives its id."""

    def is_alive(self, pid: int, started: str) -> bool:
        """Whether the process that `detach` started still runs (and is not another with its number)."""

    def started(self, pid: int) -> str:
        """An identity of the process beyond its number, stable while it lives; "" when there is none."""

    def stop(self, pid: int) -> None:
        """End a process that `detach` started, with its whole tree."""

    def this_boot(self) -> str:
        """An identity of this start of the machine: another one after every restart."""

    def watch(self, command: Sequence[str]) -> None:
        """Run `command` now, outside of this session, again when it is killed, and at every start of the machine.
        The one before it goes."""

    def unwatch(self) -> None:
        """No more of that from now on; what runs goes on to its end."""

    # -- who is where
    def listeners(self) -> list[State]:
        """[{"address", "port", "process", "program"}] of everything that listens on TCP; process 0 when unknown."""

    def runs(self, service: str, process: int) -> bool:
        """Whether that process belongs to the service of ours with that name."""

    # -- the internet
    def learn_root(self, url: str) -> bool:
        """Have the system fetch the root certificate of that server, if it does so only when it needs one.

        Gives whether it may know more now."""

    # -- containers
    def docker(self) -> State:
        """{"folders": where docker may be beyond PATH, "environment": what it needs to reach its engine,
        "patience_s": how long the engine may take to come, "fixes": {"missing": sentence, "stopped": sentence}}"""

    # -- services
    def services(self, wanted: Sequence[State]) -> dict[str, Optional[State]]:
        """Per name: None or {"spec": {...}, "intact", "running", "enabled", "process"}."""

    def define_service(self, spec: State) -> None:
        """Write the service's definition and have it start with the machine. Does not start it."""

    def start_service(self, name: str) -> None:
        """(Re)start it: whatever ran under that name is gone first, with its whole process tree."""

    def reload_service(self, name: str) -> None:
        """Have a running service read its configuration again without dropping what it serves."""

    def remove_service(self, name: str) -> None:
        """Stop it with its whole process tree and forget it."""

    def restarts_of(self, name: str) -> int:
        """How often a service of ours has ended and come again by itself since it was last started."""

    def log_tail(self, name: str, lines: int) -> str:
        """The last lines that the service said."""


Progress = Callable[[State], None]


def no_progress(_: State) -> None:
    """For work that nobody watches."""

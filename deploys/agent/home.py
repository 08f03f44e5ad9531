"""What the agent keeps beside itself: the manifest, the lease, provenance, kept files, jobs. Administrators only.

The manifest lists every resource that earlier converges made. It says where to look and what may be removed;
it is a hint, never the truth: lost, the worst is one more look and one restart too many.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from typing import Any, Mapping, Optional

from .errors import Refused, fix_of, why_of
from .fresh import clear_rests, fresh
from .patience import clear_away, patiently
from .system import State, System

LEASE_S = 60
LEASE = {"run", "by", "desk", "since", "until"}


class Home:
    """The agent's directory on the machine."""

    def __init__(self, system: System, directory: Optional[str] = None) -> None:
        self.system = system
        self.directory = directory or os.path.dirname(os.path.abspath(sys.argv[0]))

    def path(self, *parts: str) -> str:
        return os.path.join(self.directory, *parts)

    def folder(self, name: str) -> str:
        """A directory of ours, made when first wanted."""
        path = self.path(name)
        if not os.path.isdir(path):
            self.system.make_private(path)
        return path

    # -- small JSON documents
    def read(self, name: str) -> Any:
        """The document, or None when it is absent or unreadable: then it is made anew."""
        try:
            return patiently(lambda: _load(self.path(name)))
        except (FileNotFoundError, ValueError, RecursionError):
            return None

    def write(self, name: str, document: Any) -> None:
        """Replace the document in one step; never readable by others, not even for a moment."""
        target = self.path(*name.split("/"))
        temporary = ""
        try:
            descriptor, temporary = fresh(os.path.dirname(target))
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(document, file)
                file.flush()
                os.fsync(file.fileno())
            self.system.replace(temporary, target)
        except OSError as error:
            if temporary:
                clear_away(temporary)
            fix = fix_of(error, "look at that path on the machine, then converge again")
            raise Refused(f"write {target}", why_of(error), fix) from error

    # -- the manifest: [{"kind", "id", "spec", ...}], oldest first
    def manifest(self) -> list[State]:
        entries = self.read("managed.json")
        if not isinstance(entries, list):
            return []
        return [each for each in entries if isinstance(each, dict) and "kind" in each and "id" in each]

    def entry(self, kind: str, name: str) -> State:
        for each in self.manifest():
            if (each["kind"], each["id"]) == (kind, name):
                return dict(each)
        return {}

    def remember(self, kind: str, name: str, **facts: Any) -> None:
        """Enter a resource, or renew what is known of it. Its place in the order stays."""
        entries = self.manifest()
        for each in entries:
            if (each["kind"], each["id"]) == (kind, name):
                before = dict(each)
                each.update(facts)
                if each != before:
                    self.write("managed.json", entries)
                return
        self.write("managed.json", [*entries, {"kind": kind, "id": name, **facts}])

    def forget(self, kind: str, name: str) -> None:
        entries = self.manifest()
        left = [each for each in entries if (each["kind"], each["id"]) != (kind, name)]
        if left != entries:
            self.write("managed.json", left)

    def put_entry(self, kind: str, name: str, entry: Optional[State]) -> None:
        """Have what is known of a resource be `entry`, or nothing. Its place in the order stays."""
        entries = self.manifest()
        if entry is None:
            self.forget(kind, name)
        elif not self.entry(kind, name):
            self.write("managed.json", [*entries, entry])
        else:
            self.write(
                "managed.json", [entry if (each["kind"], each["id"]) == (kind, name) else each for each in entries]
            )

    def unread(self, path: str) -> None:
        """What was started from `path` has not seen what is there now: it must start again, whoever converges."""
        for each in self.manifest():
            if path in each.get("inputs", {}):
                inputs = {name: sha256 for name, sha256 in each["inputs"].items() if name != path}
                self.remember(each["kind"], each["id"], inputs=inputs)

    def prove(self, inputs: Mapping[str, str]) -> None:
        """What read these files is well with them, {path: sha256}: they are the last good ones now.

        One that a newer converge has written since stays unproven: nobody has read it yet.
        """
        for path, sha256 in inputs.items():
            entry = self.entry("file", path)
            if entry.get("unproven") and entry.get("sha256") == sha256:
                self.remember("file", path, unproven=False)

    # -- one converge at a time, and who it was
    def take_lease(self, run: State) -> None:
        """Refuse when another desk changed this machine less than a minute ago and may be at it still.

        With each new run, what a killed one left half-written here goes: it may hold a secret.
        """
        held = self.read("lease.json")
        if not (isinstance(held, dict) and set(held) >= LEASE):
            held = {}
        now = time.time()
        others = held and held["run"] != run["id"] and held["desk"] != run["desk"]
        if others and 0 < held["until"] - now <= LEASE_S:  # a lease from further ahead: the clock was set back
            raise Refused(
                "change this machine",
                f"{held['by']} at {held['desk']} is converging it since {held['since']}",
                f"wait {int(held['until'] - now) + 1} s and try again",
            )
        if not held or held["run"] != run["id"]:
            clear_rests(self.directory, lambda pid: bool(self.system.started(pid)))
        since = held["since"] if held and held["run"] == run["id"] else run["when"]
        self.write(
            "lease.json",
            {"run": run["id"], "by": run["by"], "desk": run["desk"], "since": since, "until": now + LEASE_S},
        )

    def leave_provenance(self, run: State) -> None:
        """Who last changed this machine, from which commit, when."""
        self.write("provenance.json", {key: run[key] for key in ("commit", "when", "by", "desk")})

    # -- the last good version of a file
    def kept(self, path: str) -> str:
        """Where the version before the present one lies."""
        return os.path.join(self.folder("kept"), hashlib.sha256(path.encode()).hexdigest()[:32])


def _load(path: str) -> Any:
    with open(path, encoding="utf-8") as file:
        return json.load(file)

"""Published archives: fetched by the machine itself, proven by sha256, unpacked into a directory of their version."""

from __future__ import annotations

from pyinfra.api.operation import OperationMeta

from deploys.lib.paths import joined
from deploys.operations.resource import Found, Resource, wanted
from deploys.schema import Release


def release(name: str, release: Release, *, into: str) -> OperationMeta:
    """Have `release` unpacked at `place(into, release)`, whole or not at all. The version before it stays beside it.

    The switch to another version is the user's own: the service whose command names the new directory.
    """

    def differs(found: Found) -> str | None:
        held = (found or {"versions": {}})["versions"].get(release.version)
        if held is None:
            return f"version {release.version} is missing"
        if held["sha256"] != release.sha256:
            return f"version {release.version} was made from other bytes"
        return None if held["intact"] else f"version {release.version} was changed by hand"

    return wanted(name, Resource("release", into, differs, release.to_json, job=True), sha256=release.sha256)


def place(into: str, release: Release) -> str:
    """The directory of that version, in the machine's own form."""
    return joined(into, release.version)

"""Programs that come with an installer of their own."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api.operation import OperationMeta

from deploys.facts import report
from deploys.lib.versions import older
from deploys.operations.resource import Found, Resource, wanted
from deploys.schema import Installer


def installed(name: str, installer: Installer) -> OperationMeta:
    """Have the program installed: fetched by the machine, proven by sha256, run without a question, looked for after.

    A younger version is left alone: programs update themselves. It stays when it leaves the data: only its own
    uninstaller knows what belongs to it.
    """

    def differs(found: Found) -> str | None:
        if found is None:
            return "missing"
        if found["restart"]:
            report.note(host, f"{installer.name} is installed and waits for a restart")
        if installer.version and older(found["version"] or "0", installer.version):
            return f"version is {found['version'] or 'unknown'}, wanted is {installer.version}"
        return None

    request = {"url": installer.url, "sha256": installer.sha256, "arguments": list(installer.arguments)}
    return wanted(name, Resource("installer", installer.name, differs, lambda: request, job=True))

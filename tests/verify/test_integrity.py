"""Every file that was put there is there, as it was put there, for those who may have it."""

from __future__ import annotations

import ntpath
import posixpath
from collections.abc import Mapping
from typing import Any

import pytest

from .each import each, files, where
from .expected import WantedFile
from .machine import Machine
from .saying import fail, must, must_be, must_hash, shown


def manifest_of(machine: Machine) -> list[Mapping[str, Any]]:
    if machine.manifest is None:
        why = machine.why("manifest") or "it is no list of things"
        fail(f"{machine.name}: its manifest cannot be read ({why}), wanted what converge made there")
    return machine.manifest


@each("file", files)
def test_file_is_there_for_whom_it_may(machine: Machine, file: WantedFile) -> None:
    found = machine.files.get(file.path) or fail(f"{machine.name}: {file.path} is absent, wanted a {file.kind}")
    must_be(machine.name, file.path, found.kind, file.kind)
    must_be(machine.name, f"the access of {file.path}", found.access, file.access)


@where("agent")
def test_only_administrators_change_what_the_agents_home_lies_in(machine: Machine, agent: dict[str, Any]) -> None:
    """Others could put a home of theirs in its place, whose programs the next look would start."""
    split = ntpath if "windows" in machine.expected.groups else posixpath
    folder = split.dirname(agent["home"])
    if machine.changers is None:
        fail(f"{machine.name}: it cannot be told who may change {folder}, wanted administrators alone")
    must(
        not machine.changers,
        f"{machine.name}: {folder} may be changed by {shown(machine.changers)}, wanted administrators alone",
    )


@where("agent")
def test_managed_files_are_as_they_were_put(machine: Machine, agent: dict[str, Any], subtests: pytest.Subtests) -> None:
    """The manifest is read as data: which files there are, and which sha256 each was given."""
    noted = [each for each in manifest_of(machine) if each["kind"] in ("file", "directory")]
    must(noted, f"{machine.name}: its manifest names no file, wanted what converge made there")
    for entry in noted:
        path = entry["id"]
        with subtests.test(f"{machine.name}-{path}"):
            found = machine.files.get(path) or fail(f"{machine.name}: {path} is absent, wanted the {entry['kind']}")
            if entry["kind"] == "file" and "sha256" in entry:
                must_hash(machine.name, path, found.sha256, entry["sha256"])


@where("ollama")
def test_release_is_as_it_was_unpacked(machine: Machine, ollama: dict[str, Any]) -> None:
    """Size, time and permissions of each file, against the note that unpacking left beside them."""
    join = ntpath.join if "windows" in machine.expected.groups else posixpath.join
    path = join(ollama["home"], ollama["release"]["version"])
    once = machine.unpacked_once
    if once is None:
        fail(f"{machine.name}: {path} does not tell what was unpacked there, wanted the release")
    changed = sorted(
        name for name in once.keys() | machine.unpacked.keys() if once.get(name) != machine.unpacked.get(name)
    )
    must(
        not changed, f"{machine.name}: {path} was changed by hand ({shown(changed[:5])}), wanted it as it was unpacked"
    )


@where("agent")
def test_provenance_is_told(machine: Machine, agent: dict[str, Any]) -> None:
    told = machine.provenance
    if told is None:
        why = machine.why("provenance") or "it tells nothing"
        fail(f"{machine.name}: its provenance cannot be read ({why}), wanted who converged it")
    absent = [name for name in ("commit", "when", "by") if not told.get(name)]
    must(not absent, f"{machine.name}: its provenance does not tell {shown(absent)}, wanted commit, when and by")

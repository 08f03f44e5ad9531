"""Files and directories: looked at by hash and access, replaced in one step, the last good version kept."""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import hmac
import os
import shutil
import stat
from typing import Mapping, Optional

from ..errors import Refused, why_of
from ..fresh import fresh
from ..kind import OneByOne
from ..patience import clear_away, discard, patiently
from ..programs import run
from ..system import Progress, State

BLOCK = 1 << 20
IN_USE = 32  # Windows: another process has it open and shares it with nobody
OPEN_FIX = "close the program that has it open there, then converge again"


def sha256_of(path: str) -> str:
    digest = hashlib.sha256()
    with patiently(lambda: open(path, "rb")) as file:
        for block in iter(lambda: file.read(BLOCK), b""):
            digest.update(block)
    return digest.hexdigest()


class Files(OneByOne):
    """Kind `file`. Identity: its path. State: {"sha256", "access"} or None; a directory in its place is said."""

    def state(self, path: str) -> Optional[State]:
        try:
            if not stat.S_ISREG(os.lstat(path).st_mode):
                return {"sha256": None, "access": None, "is": "no regular file"}
            return {"sha256": sha256_of(path), "access": self.system.access_of(path)}
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            fix = OPEN_FIX if getattr(error, "winerror", None) == IN_USE else "look at its permissions"
            raise Refused(f"read {path}", why_of(error), fix) from error

    def ensure(self, request: State, progress: Progress) -> State:
        """Write beside, grant, checksum, check, keep the last good, replace.

        `request`: path, content (base64), sha256, optional check (arguments; "{file}" stands for the temporary),
        access (see `System.grant`), optional proven_by (kind and id of what proves it good).
        """
        path = request["id"]
        if os.path.isdir(path) and not os.path.islink(path):
            raise Refused(f"write {path}", "a directory is there", "move that directory away and converge again")
        content = base64.b64decode(request["content"])
        if hashlib.sha256(content).hexdigest() != request["sha256"]:
            raise Refused(f"write {path}", "it did not arrive whole", "converge again")
        present = self.state(path)
        if present and present["sha256"] not in (None, request["sha256"]) and not self.home.entry("file", path):
            self._keep_before_us(path)
        facts: State = {"sha256": request["sha256"]}
        self.home.remember("file", path)  # before the change: cut off after it, we still know that it is ours
        if present and present["sha256"] == request["sha256"]:
            self._regrant(path, request)
        else:
            self._replace(path, content, request, present)
            facts["unproven"] = bool(request.get("proven_by"))
        self.home.remember("file", path, **facts)  # in one step: which bytes wait for their proof
        return {"file": {path: self.state(path)}}

    def _regrant(self, path: str, request: State) -> None:
        try:
            self.system.grant(path, request["access"])
        except OSError as error:
            raise Refused(f"set the access of {path}", why_of(error), "look at its owner") from error

    def _replace(self, path: str, content: bytes, request: State, present: Optional[State]) -> None:
        temporary = ""
        try:
            os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
            descriptor, temporary = self._temporary(path)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            self.system.grant(temporary, request["access"])
            if sha256_of(temporary) != request["sha256"]:
                raise Refused(f"write {path}", "what the disk holds is not what was written", "check the disk")
            if request.get("check"):
                self._check(path, temporary, request["check"])
            if present and present["sha256"] and not self.home.entry("file", path).get("unproven"):
                self.keep(path)
            self.system.replace(temporary, path)
        except OSError as error:
            raise Refused(f"write {path}", why_of(error), _fix_for(error)) from error
        finally:
            if temporary:
                self.system.clear_private(temporary)

    def _temporary(self, path: str) -> tuple[int, str]:
        """A new file beside `path`, private. One that a killed agent left there for the same path goes first."""
        prefix = f".new-{hashlib.sha256(path.encode()).hexdigest()[:8]}-"
        return self.system.born_private(os.path.dirname(path), prefix)

    def _check(self, path: str, temporary: str, arguments: list[str]) -> None:
        """The program's own word that it would accept the file, before the file has its name."""
        command = [each.replace("{file}", temporary) for each in arguments]
        done = run(command)
        if done.code:
            why = done.why().replace(temporary, path)
            raise Refused(f"replace {path}", f"{arguments[0]} refuses it: {why}", "correct the template or its data")

    def keep(self, path: str) -> None:
        """Copy the present version, with its access, to where `put_back` finds it."""
        self._copy(path, self.home.kept(path))

    def _keep_before_us(self, path: str) -> None:
        """What somebody else had under that name comes back when the data no longer names it."""
        try:
            self._copy(path, self._before_us(path))
        except OSError as error:
            raise Refused(f"keep what is in {path}", why_of(error), _fix_for(error)) from error

    def _before_us(self, path: str) -> str:
        return self.home.kept(path) + "-before"

    def _copy(self, path: str, kept: str) -> None:
        descriptor, temporary = fresh(os.path.dirname(kept))
        os.close(descriptor)
        try:
            shutil.copyfile(path, temporary)
            self.home.write(
                os.path.join("kept", os.path.basename(kept) + ".json"),
                {"path": path, "access": self.system.access_of(path)},
            )
            self.system.replace(temporary, kept)
        finally:
            clear_away(temporary)

    def put_back(self, path: str) -> bool:
        """The last good version takes its name again. False when there is none."""
        sha256 = self._take_back(path, self.home.kept(path))
        if sha256:
            self.home.remember("file", path, unproven=False, sha256=sha256)
        return bool(sha256)

    def _take_back(self, path: str, kept: str) -> str:
        """Have `path` be the kept copy, with its access. Gives its sha256, "" where there is no such copy."""
        before = self.home.read(os.path.join("kept", os.path.basename(kept) + ".json"))
        if not before or not os.path.exists(kept):
            return ""
        with open(kept, "rb") as file:
            content = file.read()
        sha256 = hashlib.sha256(content).hexdigest()
        self._replace(path, content, {"id": path, "sha256": sha256, "access": before["access"]}, None)
        return sha256

    def put_back_unproven(self, inputs: Mapping[str, str]) -> list[str]:
        """Put back each of these files, {path: sha256}, that nothing has proven good since it was written.

        Gives those put back. None when a newer converge has written one of them since: it is that one's to judge.
        """
        entries = {path: self.home.entry("file", path) for path in inputs}
        if any(entry.get("sha256", inputs[path]) != inputs[path] for path, entry in entries.items()):
            return []
        return [path for path, entry in entries.items() if entry.get("unproven") and self.put_back(path)]

    def remove(self, request: State, progress: Progress) -> State:
        """What somebody else had under that name comes back; where nobody had anything, it is gone."""
        path = request["id"]
        try:
            if not self._take_back(path, self._before_us(path)):
                discard(path)
            self.home.forget("file", path)
            for kept in (self.home.kept(path), self._before_us(path)):
                discard(kept)
                discard(kept + ".json")
        except OSError as error:
            raise Refused(f"remove {path}", why_of(error), "see who has it open, then converge again") from error
        return {"file": {path: None}}

    def read(self, request: State) -> State:
        """Its text for a before/after. With `nonce` (a secret file) values come as keyed fingerprints only."""
        try:
            with open(request["id"], "rb") as file:
                text = file.read(BLOCK).decode("utf-8", "replace")
        except OSError:
            return {"text": ""}
        nonce = request.get("nonce")
        return {"text": "".join(fingerprinted(text, nonce)) if nonce else text}


def fingerprinted(text: str, nonce: str) -> list[str]:
    """`NAME=value` lines with each value as a keyed hash: comparable within one run, worth nothing after it."""
    lines = []
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        mark = hmac.new(nonce.encode(), value.encode(), hashlib.sha256).hexdigest()[:12]
        lines.append(f"{name}={mark}\n" if equals else "#\n")
    return lines


def _fix_for(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "free some disk space and converge again; the old file is untouched"
    if getattr(error, "winerror", None) == IN_USE:
        return f"{OPEN_FIX}; the old file is untouched"
    return "look at that path on the machine; the old file is untouched"


class Directories(OneByOne):
    """Kind `directory`. Identity: its path. State: {"access"} or None. Removed only when empty."""

    def state(self, path: str) -> Optional[State]:
        """A link to a directory counts as the directory that it leads to."""
        try:
            return {"access": self.system.access_of(os.path.realpath(path))} if os.path.isdir(path) else None
        except OSError as error:
            raise Refused(f"look at {path}", why_of(error), "look at its permissions") from error

    def ensure(self, request: State, progress: Progress) -> State:
        path = request["id"]
        try:
            if not os.path.isdir(path):
                os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
                os.mkdir(path, 0o700)  # one that somebody made just now is none of ours: File exists
                self.system.make_private(path)
            self.system.grant(path, request["access"])
        except OSError as error:
            raise Refused(f"make directory {path}", why_of(error), "move away what is there") from error
        self.home.remember("directory", path)
        return {"directory": {path: self.state(path)}}

    def remove(self, request: State, progress: Progress) -> State:
        path = request["id"]
        with contextlib.suppress(OSError):  # gone already, or somebody else's things are in it: they stay
            os.rmdir(path)
        self.home.forget("directory", path)
        return {"directory": {path: None}}

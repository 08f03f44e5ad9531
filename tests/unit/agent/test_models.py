"""Models: nothing is pulled that is not the pinned thing or does not fit, and success is what the last line says."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploys.agent.errors import Refused
from deploys.agent.home import Home
from deploys.agent.kinds.models import parts_of
from deploys.agent.main import Agent

from .ollama import RECORDED, FakeOllama, ToLoopback, digest_of, manifest_of
from .support import closed_port, speaks_ssh

TAG, ROLLBACK = "gemma3:4b", "gemma3:4b-rollback"
Samples = list[dict[str, Any]]


@pytest.fixture
def ollama() -> Iterator[FakeOllama]:
    fake = FakeOllama()
    yield fake
    fake.stop()


@pytest.fixture(autouse=True)
def registry(ollama: FakeOllama, monkeypatch: pytest.MonkeyPatch) -> ToLoopback:
    road = ToLoopback(ollama.port)
    monkeypatch.setattr(urllib.request, "_opener", urllib.request.build_opener(road))
    return road


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "not made yet" / "models"


def ensure(agent: Agent, ollama: FakeOllama, store: Path, digest: str, **more: Any) -> tuple[Any, Samples]:
    samples: Samples = []
    request: dict[str, Any] = {
        "kind": "model",
        "id": TAG,
        "verb": "ensure",
        "spec": {"api": ollama.url, "store": str(store)},
    }
    request |= {"digest": digest, "load": False, "context": 8192, **more}
    return agent.work(request, samples.append)["model"][TAG], samples


def refusal(agent: Agent, ollama: FakeOllama, store: Path, digest: str, **more: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        ensure(agent, ollama, store, digest, **more)
    return caught.value


def look(agent: Agent, url: str, store: Path, *tags: str) -> Any:
    return agent.kinds["model"].look({tag: {"api": url, "store": str(store)} for tag in tags or (TAG,)})


def put_into_store(store: Path, manifest: bytes, host: str = "registry.ollama.ai") -> Path:
    path = store / "manifests" / host / "library" / "gemma3" / "4b"
    path.parent.mkdir(parents=True)
    path.write_bytes(manifest)
    return path


def test_missing_model_is_pulled_and_proven(
    agent: Agent, ollama: FakeOllama, store: Path, registry: ToLoopback, home: Home
) -> None:
    digest = ollama.pushed(TAG, manifest_of("v1"))
    state, samples = ensure(agent, ollama, store, digest[:12])
    assert state["digest"] == digest
    assert (state["loaded"], state["rollback"]) == (0, None)
    assert registry.hosts == ["registry.ollama.ai"]
    assert ollama.changes() == ["/api/pull"]
    pulling = [each for each in samples if each["what"] == "pulling"]
    assert all(0 <= each["done"] <= each["total"] for each in pulling)
    assert pulling[-1]["done"] == pulling[-1]["total"] > 500_000
    assert samples[-1] == {"what": "success"}
    assert home.entry("model", TAG)["spec"]["api"] == ollama.url


def test_resident_model_is_loaded_for_good_with_its_context(agent: Agent, ollama: FakeOllama, store: Path) -> None:
    digest = ollama.pushed(TAG, manifest_of("v1"))
    state, _ = ensure(agent, ollama, store, digest, load=True, context=16384)
    assert state["loaded"] == 16384
    wanted = {"model": TAG, "keep_alive": -1, "options": {"num_ctx": 16384}}
    assert ("POST", "/api/generate", wanted) in ollama.asked


def test_held_model_is_only_loaded(agent: Agent, ollama: FakeOllama, store: Path, registry: ToLoopback) -> None:
    ollama.held[TAG] = digest_of(b"held")
    ensure(agent, ollama, store, ollama.held[TAG], load=True)
    assert ollama.changes() == ["/api/generate"]
    assert registry.hosts == []  # offline is fine when nothing is missing


def test_moved_tag_is_refused_before_a_byte_is_pulled(agent: Agent, ollama: FakeOllama, store: Path) -> None:
    ollama.held[TAG] = pinned = digest_of(manifest_of("v1"))
    moved = ollama.pushed(TAG, manifest_of("v2"))
    del ollama.held[TAG]
    error = refusal(agent, ollama, store, pinned)
    assert error.why == f"the tag has moved: the registry now has {moved[:12]}, pinned is {pinned[:12]}"
    assert f'digest="{moved}"' in error.fix
    assert ollama.changes() == []


def test_new_version_leaves_a_way_back(agent: Agent, ollama: FakeOllama, store: Path) -> None:
    before = ollama.held[TAG] = digest_of(manifest_of("v1"))
    digest = ollama.pushed(TAG, manifest_of("v2"))
    state, _ = ensure(agent, ollama, store, digest)
    assert (state["digest"], state["rollback"]) == (digest, before)
    assert ollama.changes() == ["/api/copy", "/api/pull"]
    assert ollama.held == {TAG: digest, ROLLBACK: before}


def test_tag_that_the_registry_does_not_have(agent: Agent, ollama: FakeOllama, store: Path) -> None:
    error = refusal(agent, ollama, store, "0" * 64)
    assert (error.what, error.why) == (f"pull {TAG}", "the registry does not have it")


def test_registry_in_trouble(agent: Agent, ollama: FakeOllama, store: Path) -> None:
    ollama.registry_status = 503
    assert refusal(agent, ollama, store, "0" * 64).why == "the registry says 503 Service Unavailable"


def test_offline_names_the_registry(agent: Agent, ollama: FakeOllama, store: Path, registry: ToLoopback) -> None:
    registry.port = closed_port()
    assert refusal(agent, ollama, store, "0" * 64).why == "registry.ollama.ai: Connection refused"


def test_disk_that_is_too_small_is_told_before_a_byte(agent: Agent, ollama: FakeOllama, store: Path) -> None:
    digest = ollama.pushed(TAG, manifest_of("v1", size=10**17))
    error = refusal(agent, ollama, store, digest)
    assert error.why.startswith("it takes 200000000.0 GB and ")
    assert ollama.changes() == []


def test_layers_that_are_there_need_no_room(agent: Agent, ollama: FakeOllama, store: Path) -> None:
    manifest = manifest_of("v1", size=shutil.disk_usage("/").total)
    for layer in (json.loads(manifest)["config"], *json.loads(manifest)["layers"]):
        blob = store / "blobs" / layer["digest"].replace(":", "-")
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.touch()
    assert ensure(agent, ollama, store, ollama.pushed(TAG, manifest))[0]["digest"] == digest_of(manifest)


BROKEN_PULLS = {
    "error inside a reply of 200": (RECORDED["pull_refused"]["body"], "connect: connection refused", "it resumes"),
    "disk full": (
        '{"status":"pulling manifest"}\n{"error":"write: no space left on device"}\n',
        "no space",
        "free some",
    ),
    "no last word": (
        '{"status":"pulling manifest"}\n{"status":"verifying sha256 digest"}\n',
        "stopped before the",
        "resumes",
    ),
    "nothing at all": ("", "stopped before the end", "it resumes"),
    "cut in a line": ('{"status":"pulling manifest"}\n{"status":"pul', "broke off in the middle", "it resumes"),
    "success without the thing": (
        RECORDED["pull_again"]["body"],
        "what came is nothing, pinned is",
        "check the digest",
    ),
}


@pytest.mark.parametrize("name", BROKEN_PULLS)
def test_pull_that_did_not_end_well(name: str, agent: Agent, ollama: FakeOllama, store: Path) -> None:
    ollama.said_on_pull, why, fix = BROKEN_PULLS[name]
    error = refusal(agent, ollama, store, ollama.pushed(TAG, manifest_of("v1")))
    assert why in error.why
    assert fix in error.fix


def test_what_came_is_not_what_is_pinned(agent: Agent, ollama: FakeOllama, store: Path) -> None:
    """The tag moved between our look at the registry and Ollama's."""
    digest = ollama.pushed(TAG, manifest_of("v1"))
    came = ollama.held[TAG] = digest_of(b"something else")
    ollama.said_on_pull = RECORDED["pull_moved_tag"]["body"]
    error = refusal(agent, ollama, store, digest)
    assert error.why == f"what came is {came[:12]}, pinned is {digest[:12]}"


def test_refusal_of_ollama_itself_is_told_in_its_words(agent: Agent, ollama: FakeOllama, store: Path) -> None:
    ollama.pushed(TAG, manifest_of("v1"))
    ollama.answer = lambda method, path, body: (  # type: ignore[method-assign]
        (400, RECORDED["pull_bad_name"]["body"])
        if path == "/api/pull"
        else FakeOllama.answer(ollama, method, path, body)
    )
    assert "invalid model name" in refusal(agent, ollama, store, digest_of(manifest_of("v1"))).why


class TestLook:
    def test_recorded_reply(self, agent: Agent, ollama: FakeOllama, store: Path) -> None:
        ollama.tags = lambda _: (200, RECORDED["tags_two"]["body"])  # type: ignore[method-assign]
        ollama.ps = lambda _: (200, RECORDED["ps_loaded"]["body"])  # type: ignore[method-assign]
        digest = "9a3be95662a5dbe3e063a6e20700abcde2aa2fec877d349785190fe0eb9f7ec1"
        wanted = {"digest": digest, "size": 502769, "loaded": 4096, "rollback": None}
        assert look(agent, ollama.url, store) == {TAG: wanted}

    def test_many_models_are_two_questions(self, agent: Agent, ollama: FakeOllama, store: Path) -> None:
        ollama.held = {TAG: "1" * 64, ROLLBACK: "2" * 64, "gemma4:12b": "3" * 64}
        ollama.loaded = {TAG}
        found = look(agent, ollama.url, store, TAG, "gemma4:12b", "gone:latest")
        assert found["gone:latest"] is None
        assert (found[TAG]["loaded"], found[TAG]["rollback"]) == (4096, "2" * 64)
        assert (found["gemma4:12b"]["loaded"], found["gemma4:12b"]["rollback"]) == (0, None)
        assert [path for _, path, _ in ollama.asked] == ["/api/tags", "/api/ps"]

    def test_while_ollama_is_down_its_store_tells(self, agent: Agent, store: Path) -> None:
        manifest = manifest_of("v1", size=7)
        put_into_store(store, manifest)
        found = look(agent, f"http://127.0.0.1:{closed_port()}", store, TAG, "gemma3:27b")
        assert found[TAG] == {"digest": digest_of(manifest), "size": 14, "loaded": 0, "rollback": None}
        assert found["gemma3:27b"] is None

    @pytest.mark.parametrize("damage", [b"", b"{}", b'{"config": {"si', b"[]", b"null"])
    def test_damaged_manifest_is_no_model(self, damage: bytes, agent: Agent, store: Path) -> None:
        put_into_store(store, damage)
        assert look(agent, f"http://127.0.0.1:{closed_port()}", store) == {TAG: None}

    @pytest.mark.parametrize("said", ["{}", "null", "[]", "<html>", '{"models": null}', ""])
    def test_something_else_on_that_port_is_no_ollama(
        self, said: str, agent: Agent, ollama: FakeOllama, store: Path
    ) -> None:
        ollama.tags = lambda _: (200, said)  # type: ignore[method-assign]
        assert look(agent, ollama.url, store) == {TAG: None}

    def test_port_that_speaks_no_http(self, agent: Agent, store: Path) -> None:
        with speaks_ssh() as url:
            assert look(agent, url, store) == {TAG: None}


class TestRemove:
    def remove(self, agent: Agent) -> Any:
        return agent.work({"kind": "model", "id": TAG, "verb": "remove"}, lambda _: None)

    def test_tag_and_our_alias_go_and_others_stay(
        self, agent: Agent, ollama: FakeOllama, store: Path, home: Home
    ) -> None:
        ollama.held = {TAG: "1" * 64, ROLLBACK: "2" * 64, "theirs:latest": "3" * 64}
        ensure(agent, ollama, store, "1" * 64)
        assert self.remove(agent) == {"model": {TAG: None}}
        assert ollama.held == {"theirs:latest": "3" * 64}
        assert home.manifest() == []

    def test_gone_already(self, agent: Agent, ollama: FakeOllama, home: Home) -> None:
        home.remember("model", TAG, spec={"api": ollama.url, "store": "/none"})
        self.remove(agent)
        assert home.manifest() == []

    def test_unknown_to_the_manifest_touches_nothing(self, agent: Agent, ollama: FakeOllama) -> None:
        self.remove(agent)
        assert ollama.asked == []

    def test_ollama_down_is_a_sentence_and_the_manifest_keeps_it(self, agent: Agent, home: Home) -> None:
        home.remember("model", TAG, spec={"api": f"http://127.0.0.1:{closed_port()}", "store": "/none"})
        with pytest.raises(Refused) as caught:
            self.remove(agent)
        assert caught.value.why == "Ollama: Connection refused"
        assert home.entry("model", TAG)

    def test_its_other_refusals_are_told(self, agent: Agent, ollama: FakeOllama, home: Home) -> None:
        home.remember("model", TAG, spec={"api": ollama.url, "store": "/none"})
        ollama.delete = lambda _: (500, '{"error":"disk is read-only"}')  # type: ignore[method-assign, assignment]
        with pytest.raises(Refused, match="disk is read-only"):
            self.remove(agent)


@pytest.mark.parametrize(
    ("tag", "parts"),
    [
        ("gemma3:4b", ("registry.ollama.ai", "library/gemma3", "4b")),
        ("ann/gemma:latest", ("registry.ollama.ai", "ann/gemma", "latest")),
        ("hf.co/google/gemma:Q4_K_M", ("hf.co", "google/gemma", "Q4_K_M")),
    ],
)
def test_where_a_tag_lies(tag: str, parts: tuple[str, str, str]) -> None:
    assert parts_of(tag) == parts

"""A bare Windows lacks the roots of the servers that we need: it is made to fetch them, and what is left is said."""

from __future__ import annotations

import hashlib
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.agent.archives import zipped
from tests.unit.agent.shop import Shop

from .benches import StandInBench
from .standin.machine import Machine
from .standin.processes import Process
from .standin.roots import Roots

PLACE = r"C:\Program Files\X"
UV, BASE = r"C:\uv\uv.exe", r"C:\python\python.exe"
MISSING = "error: Failed to fetch: `https://{host}/x/`\n  Caused by: invalid peer certificate: UnknownIssuer\n"


@pytest.fixture
def roots(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Roots:
    made = Roots(machine, tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.store))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    monkeypatch.setattr(urllib.request, "_opener", None)
    return made


@pytest.fixture
def shop(roots: Roots) -> Iterator[Shop]:
    """It speaks HTTPS, by a certificate whose root is the missing one."""
    made = Shop()
    made.server.socket = roots.server_side().wrap_socket(made.server.socket, server_side=True)
    yield made
    made.stop()


@pytest.fixture
def kinds(bench: StandInBench) -> dict[str, Any]:
    system = bench.load("windows.system").Windows()
    every: dict[str, Any] = bench.load("main").kinds(system, bench.load("home").Home(system, bench.home))
    return every


def host(shop: Shop) -> str:
    return f"127.0.0.1:{shop.server.server_address[1]}"


def release(shop: Shop) -> dict[str, Any]:
    archive = zipped({"x.exe": b"MZ"})
    shop.goods["o.zip"] = archive
    url = shop.url("o.zip").replace("http:", "https:")
    return {"id": PLACE, "version": "1.0", "url": url, "sha256": hashlib.sha256(archive).hexdigest()}


def test_a_download_has_windows_fetch_the_root_once(kinds: dict[str, Any], shop: Shop, roots: Roots) -> None:
    made = kinds["release"].ensure(release(shop), lambda _: None)["release"][PLACE]
    assert made["versions"]["1.0"]["intact"]
    assert roots.holds
    assert roots.asked == [host(shop)]


def test_what_is_known_is_not_asked_for(kinds: dict[str, Any], shop: Shop, roots: Roots) -> None:
    roots.fetch()
    kinds["release"].ensure(release(shop), lambda _: None)
    assert roots.asked == []


def test_a_root_that_nobody_has_is_named(bench: StandInBench, kinds: dict[str, Any], shop: Shop, roots: Roots) -> None:
    roots.fetches = False
    with pytest.raises(bench.load("errors").Refused) as refused:
        kinds["release"].ensure(release(shop), lambda _: None)
    assert refused.value.why.startswith("its certificate is not accepted: ")
    assert "internet" not in refused.value.fix
    assert roots.asked == [host(shop)], "once is enough"


def test_a_machine_without_curl_names_it_too(
    bench: StandInBench, kinds: dict[str, Any], shop: Shop, roots: Roots, machine: Machine
) -> None:
    machine.processes.programs.clear()
    machine.drive.wipe_file(r"C:\Windows\System32\curl.exe")
    with pytest.raises(bench.load("errors").Refused, match="its certificate is not accepted"):
        kinds["release"].ensure(release(shop), lambda _: None)


def test_a_model_s_registry(bench: StandInBench, kinds: dict[str, Any], shop: Shop, roots: Roots) -> None:
    """It is known after one try, and then answers: that it has no such model."""
    tag = f"{host(shop)}/library/gemma3:4b"
    request = {"id": tag, "spec": {"api": "http://127.0.0.1:1", "store": r"C:\models"}, "digest": "0" * 12}
    with pytest.raises(bench.load("errors").Refused, match="the registry does not have it"):
        kinds["model"].ensure({**request, "load": False, "context": 0}, lambda _: None)
    assert roots.asked == [host(shop)]
    roots.store.write_bytes(b"")
    roots.fetches = False
    urllib.request.install_opener(urllib.request.build_opener())
    with pytest.raises(bench.load("errors").Refused, match="its certificate is not accepted"):
        kinds["model"].ensure({**request, "load": False, "context": 0}, lambda _: None)


@pytest.fixture
def venv(machine: Machine, bench: StandInBench) -> dict[str, Any]:
    """uv asks two servers of different names: the index, and where it has its files."""
    known: set[str] = set()

    def curl(process: Process) -> int:
        known.add(process.arguments[-1])
        return 0

    def uv(process: Process) -> int:
        words = process.arguments
        if words[0] == "venv":
            machine.drive.write(rf"{words[-1]}\Scripts\python.exe", b"MZ")
            return 0
        for each in ("index.example", "files.example"):
            if f"https://{each}/" not in known:
                process.say(MISSING.format(host=each), error=True)
                return 2
        return 0

    machine.processes.install(UV, uv)
    machine.processes.install(BASE, lambda process: 0)
    machine.processes.install(r"C:\Windows\System32\curl.exe", curl)
    bench.write(r"C:\lock", b"x==1\n")
    request = {"id": r"C:\venvs", "name": "one", "lock": r"C:\lock", "sha256": hashlib.sha256(b"x==1\n").hexdigest()}
    return {**request, "python": BASE, "uv": UV, "program": r"Scripts\python.exe", "room_gb": 0.001}


def test_uv_gets_the_roots_that_it_missed(kinds: dict[str, Any], venv: dict[str, Any]) -> None:
    made = kinds["venv"].ensure(venv, lambda _: None)["venv"][r"C:\venvs"]["made"]
    assert made["one"]["intact"]


def test_uv_s_own_words_where_nothing_helps(
    bench: StandInBench, kinds: dict[str, Any], venv: dict[str, Any], machine: Machine
) -> None:
    machine.processes.install(r"C:\Windows\System32\curl.exe", lambda process: 6)
    with pytest.raises(bench.load("errors").Refused, match="invalid peer certificate"):
        kinds["venv"].ensure(venv, lambda _: None)

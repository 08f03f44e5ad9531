"""The store over loopback: ranges, the registry protocol, and faults that come and go."""

import hashlib
import http.client
import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.certificates import make_authority, make_certificate
from tests.lab.models import Published, publish
from tests.lab.store import byte_range, open_store

CONTENT = bytes(range(256)) * 1000
ARCHIVE = "/ollama/ollama/releases/download/v1/ollama.tar.zst"
TAG = "tiny:1b"
MANIFEST = "/v2/library/tiny/manifests/1b"


class Client:
    """Talks to both doors of a store."""

    def __init__(self, port: int, control_port: int, authority: Path) -> None:
        self.port, self.control_port = port, control_port
        self.trust = ssl.create_default_context(cafile=str(authority))
        self.trust.check_hostname = False  # by its address here; the machines know it by name

    def ask(
        self, path: str, method: str = "GET", host: str = "github.com", **headers: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.trust, timeout=5)
        connection.request(method, path, headers={"Host": host, **{k.replace("_", "-"): v for k, v in headers.items()}})
        answer = connection.getresponse()
        try:
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def control(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.control_port, timeout=5)
        connection.request(method, path, json.dumps(body) if body is not None else None)
        answer = connection.getresponse()
        said = json.loads(answer.read())
        connection.close()
        return answer.status, said

    def fault(self, **fields: Any) -> None:
        status, said = self.control("POST", "/faults", fields)
        assert status == 200, said


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Published]:
    root = tmp_path_factory.mktemp("store")
    archive = root / "downloads" / "github.com" / ARCHIVE.lstrip("/")
    archive.parent.mkdir(parents=True)
    archive.write_bytes(CONTENT)
    (root / "downloads" / "github.com" / "outside").symlink_to("/etc/hostname")
    model = publish(root / "registry", TAG, "Hello from the test.")
    publish(root / "registry", "tiny:2b", "Hello from another one.")
    return root, model


@pytest.fixture(scope="module")
def running(published: tuple[Path, Published], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    tls = tmp_path_factory.mktemp("tls")
    authority = make_authority(tls, "test")
    make_certificate(tls, "store", ("github.com", "registry.ollama.ai"))
    doors = open_store(published[0], tls / "store.crt", tls / "store.key", host="127.0.0.1", port=0, control_port=0)
    for door in doors:
        threading.Thread(target=door.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield Client(doors[0].server_address[1], doors[1].server_address[1], authority)
    for door in doors:
        door.shutdown()
        door.server_close()


@pytest.fixture
def store(running: Client) -> Client:
    running.control("DELETE", "/faults")
    running.control("DELETE", "/log")
    return running


def test_a_download_comes_whole_and_in_parts(store: Client) -> None:
    status, headers, body = store.ask(ARCHIVE)
    assert (status, body) == (200, CONTENT)
    assert headers["Accept-Ranges"] == "bytes"
    status, headers, body = store.ask(ARCHIVE, Range="bytes=100-199")
    assert (status, body) == (206, CONTENT[100:200])
    assert headers["Content-Range"] == f"bytes 100-199/{len(CONTENT)}"
    assert store.ask(ARCHIVE, Range=f"bytes={len(CONTENT) - 5}-")[2] == CONTENT[-5:]


def test_a_part_of_something_that_has_changed_comes_whole(store: Client) -> None:
    tag = store.ask(ARCHIVE)[1]["ETag"]
    assert store.ask(ARCHIVE, Range="bytes=5-9", If_Range=tag)[0] == 206
    assert store.ask(ARCHIVE, Range="bytes=5-9", If_Range='"another"')[0] == 200


def test_a_part_beyond_the_end_is_refused(store: Client) -> None:
    status, headers, _ = store.ask(ARCHIVE, Range=f"bytes={len(CONTENT)}-")
    assert status == 416
    assert headers["Content-Range"] == f"bytes */{len(CONTENT)}"


def test_head_has_the_size_and_no_body(store: Client) -> None:
    status, headers, body = store.ask(ARCHIVE, method="HEAD")
    assert (status, headers["Content-Length"], body) == (200, str(len(CONTENT)), b"")


@pytest.mark.parametrize("path", ["/nothing", "/../registry/blobs", "/outside", "/../../etc/passwd"])
def test_what_is_not_in_the_store_is_not_found(store: Client, path: str) -> None:
    assert store.ask(path)[0] == 404


def test_a_model_is_served_as_ollama_asks_for_it(store: Client, published: tuple[Path, Published]) -> None:
    status, _, body = store.ask(MANIFEST, host="registry.ollama.ai")
    assert status == 200
    assert hashlib.sha256(body).hexdigest() == published[1].digest
    manifest = json.loads(body)
    total = 0
    for layer in (manifest["config"], *manifest["layers"]):
        path = f"/v2/library/tiny/blobs/{layer['digest']}"
        status, headers, _ = store.ask(path, method="HEAD", host="registry.ollama.ai")
        assert (status, int(headers["Content-Length"])) == (200, layer["size"])
        status, headers, blob = store.ask(path, host="registry.ollama.ai")
        assert headers["Location"] == path, "Ollama refuses a registry that does not say where the blob really is"
        assert "sha256:" + hashlib.sha256(blob).hexdigest() == layer["digest"]
        total += layer["size"]
    assert total == published[1].size_bytes
    assert store.ask(f"/v2/library/tiny/manifests/sha256:{published[1].digest}")[2] == body
    assert store.ask("/v2/library/tiny/manifests/none")[0] == 404


def test_a_cut_connection_delivers_only_so_much_and_only_once(store: Client) -> None:
    store.fault(match="ollama.tar", cut_after_bytes=70_000, times=1)
    with pytest.raises(http.client.IncompleteRead) as cut:
        store.ask(ARCHIVE)
    assert cut.value.partial == CONTENT[:70_000]
    assert store.ask(ARCHIVE)[2] == CONTENT


def test_a_corrupt_body_has_the_right_length_and_one_wrong_bit(store: Client) -> None:
    store.fault(match="ollama.tar", corrupt=True)
    body = store.ask(ARCHIVE)[2]
    assert body[:-1] == CONTENT[:-1]
    assert body[-1] == CONTENT[-1] ^ 1


def test_a_moved_tag_serves_another_manifest(store: Client, published: tuple[Path, Published]) -> None:
    store.fault(match="manifests/1b$", instead="/v2/library/tiny/manifests/2b")
    body = store.ask(MANIFEST)[2]
    assert hashlib.sha256(body).hexdigest() != published[1].digest
    assert body == store.ask("/v2/library/tiny/manifests/2b")[2]


@pytest.mark.parametrize("status", [404, 500])
def test_a_status_can_be_ordered_and_taken_back(store: Client, status: int) -> None:
    store.fault(match="manifests", status=status)
    assert store.ask(MANIFEST)[0] == status
    assert store.ask(ARCHIVE)[0] == 200, "another path is left alone"
    store.control("DELETE", "/faults")
    assert store.ask(MANIFEST)[0] == 200


def test_a_slow_line_takes_its_time(store: Client) -> None:
    store.fault(match="ollama.tar", rate_bytes_s=len(CONTENT) / 0.2)
    finished = threading.Event()

    def ask() -> None:
        store.ask(ARCHIVE)
        finished.set()

    asking = threading.Thread(target=ask)
    asking.start()
    assert not finished.wait(0.1)
    assert finished.wait(5)


def test_what_was_asked_is_remembered(store: Client) -> None:
    store.ask(ARCHIVE, Range="bytes=0-1", User_Agent="tester")
    store.ask("/nothing", method="HEAD")
    _, log = store.control("GET", "/log")
    assert [(entry["method"], entry["path"], entry["status"]) for entry in log] == [
        ("GET", ARCHIVE, 206),
        ("HEAD", "/nothing", 404),
    ]
    assert (log[0]["range"], log[0]["agent"], log[0]["host"]) == ("bytes=0-1", "tester", "github.com")


@pytest.mark.parametrize("nonsense", [{"colour": "red"}, {"match": "("}, [1], "x"])
def test_an_unknown_fault_is_refused(store: Client, nonsense: Any) -> None:
    status, said = store.control("POST", "/faults", nonsense)
    assert status == 400
    assert said["error"]


def test_a_caller_who_says_nothing_holds_up_nobody(store: Client) -> None:
    import socket

    with socket.create_connection(("127.0.0.1", store.port)):
        assert store.ask(ARCHIVE)[0] == 200


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-0", (0, 0)),
        ("bytes=-3", (7, 9)),
        ("bytes=4-", (4, 9)),
        ("bytes=4-99", (4, 9)),
        ("bytes=-99", (0, 9)),
        ("lines=1-2", None),
        ("bytes=-", None),
    ],
)
def test_ranges_are_read_as_http_means_them(header: str | None, expected: tuple[int, int] | None) -> None:
    assert byte_range(header, 10) == expected

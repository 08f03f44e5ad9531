"""What real tools printed, and what verification reads in it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.verify import parse
from tests.verify.linux import key_from
from tests.verify.parse import Listener, Said

# iproute2 6.1, Debian 12: five programs of Python, one socket of another user's
SS = """\
LISTEN 0      128               0.0.0.0:2024  0.0.0.0:*
LISTEN 0      5               127.0.0.1:18001 0.0.0.0:* users:(("python3",pid=3380,fd=3))
LISTEN 0      5                       *:18002       *:* users:(("python3",pid=3381,fd=3))
LISTEN 0      5                   [::1]:18003    [::]:* users:(("python3",pid=3382,fd=3))
LISTEN 0      128    [::ffff:127.0.0.1]:18004       *:* users:(("python3",pid=3383,fd=3))
LISTEN 0      4096        127.0.0.53%lo:53    0.0.0.0:* users:(("systemd-resolve",pid=210,fd=18))
LISTEN 0      128               0.0.0.0:22    0.0.0.0:* users:(("sshd",pid=88,fd=3),("systemd",pid=1,fd=40))
"""


@pytest.mark.parametrize(
    ("access", "others"),
    [("root 0755", []), ("root 0700", []), ("www 0755", ["www"]), ("root 1777", ["its group", "everybody"])],
)
def test_who_besides_root_may_change(access: str, others: list[str]) -> None:
    assert parse.changers(access) == others


def test_listeners_of_ss() -> None:
    assert parse.listeners(SS) == [
        Listener("*", 2024, ()),
        Listener("127.0.0.1", 18001, (("python3", 3380),)),
        Listener("*", 18002, (("python3", 3381),)),
        Listener("::1", 18003, (("python3", 3382),)),
        Listener("::ffff:127.0.0.1", 18004, (("python3", 3383),)),
        Listener("127.0.0.53", 53, (("systemd-resolve", 210),)),
        Listener("*", 22, (("sshd", 88), ("systemd", 1))),
    ]


def test_a_listener_names_itself() -> None:
    assert str(parse.listeners(SS)[2]) == "* port 18002: python3 (pid 3381)"


@pytest.mark.parametrize(
    ("address", "loopback", "tailnet"),
    [
        ("127.0.0.1", True, False),
        ("127.0.0.53", True, False),
        ("::1", True, False),
        ("::ffff:127.0.0.1", True, False),
        ("100.64.0.1", False, True),
        ("100.127.255.254", False, True),
        ("fd7a:115c:a1e0::1", False, True),
        ("100.128.0.1", False, False),
        ("192.168.1.20", False, False),
        ("::ffff:192.168.1.20", False, False),
        ("fe80::1", False, False),
        ("*", False, False),
    ],
)
def test_who_hears_an_address(address: str, loopback: bool, tailnet: bool) -> None:
    assert (parse.is_loopback(address), parse.is_tailnet(address)) == (loopback, tailnet)


def test_lan_addresses_leave_out_our_own_bridges_and_the_tailnet() -> None:
    links = [
        ("lo", "127.0.0.1", "host"),
        ("eth0", "172.30.7.2", "global"),
        ("eth0", "fe80::42:acff:fe1e:702", "link"),
        ("wlan0", "2001:db8::7", "global"),
        ("tailscale0", "100.64.0.1", "global"),
        ("wg0", "100.64.0.9", "global"),
        ("docker0", "172.17.0.1", "global"),
        ("br-0f1e", "172.18.0.1", "global"),
    ]
    text = json.dumps(
        [{"ifname": name, "addr_info": [{"local": address, "scope": scope}]} for name, address, scope in links]
    )
    assert parse.lan_addresses(text) == ["172.30.7.2", "2001:db8::7"]


# OpenSSH 9.2, Debian 12, a few of its lines
SSHD = """\
port 22
listenaddress [::]:22
listenaddress 0.0.0.0:22
permitrootlogin without-password
kbdinteractiveauthentication no
x11forwarding yes
pubkeyauthoptions none
"""


def test_sshd_settings_speak_the_configurations_words() -> None:
    assert parse.sshd_settings(SSHD) == {
        "port": "22",
        "listenaddress": "[::]:22 0.0.0.0:22",
        "permitrootlogin": "prohibit-password",
        "kbdinteractiveauthentication": "no",
        "x11forwarding": "yes",
        "pubkeyauthoptions": "none",
    }


@pytest.mark.parametrize(
    ("said", "methods"),
    [
        ("owner@apex: Permission denied (publickey).\r\n", ["publickey"]),
        ("Welcome!\nowner@apex: Permission denied (publickey,password).", ["publickey", "password"]),
        ("ssh: connect to host apex port 22: Connection refused", None),
        ("ssh_config: Permission denied", None),
    ],
)
def test_methods_that_a_server_offers(said: str, methods: list[str] | None) -> None:
    assert parse.offered_methods(said) == methods


@pytest.mark.parametrize(
    ("one", "other"), [("1.98.10-t1a2b3", "1.90.0"), ("1.90.0", "1.90.0"), ("1.90.1", "1.90"), ("2.0", "1.104.3")]
)
def test_versions_compare_by_number(one: str, other: str) -> None:
    assert parse.version(one) >= parse.version(other)
    assert parse.version("1.9.9") < parse.version(other)


# ---- a script of many commands, run by a real shell


def test_every_command_keeps_its_own_words_and_exit_code(tmp_path: Path) -> None:
    commands = {
        "plain": "echo hello",
        "no-newline": "printf 'a\\n\\nb'",
        "fails": "echo out; echo why >&2; exit 3",
        "missing": "no-such-program-here",
        "comment": "echo a # b",
        "stdin": "cat",
        "nul": "printf 'A=1\\0B=x=y\\0'",
        "nothing": ":",
    }
    done = subprocess.run(
        ["sh", "-c", parse.script(commands, "==b0")], capture_output=True, text=True, env={**os.environ, "HOME": "/"}
    )
    found = parse.transcript(done.stdout, "==b0")
    assert list(found) == list(commands)
    assert found["plain"] == Said(0, "hello\n", "")
    assert found["no-newline"] == Said(0, "a\n\nb", "")
    assert found["fails"] == Said(3, "out\n", "why\n")
    assert found["fails"].trouble == "why"
    assert found["missing"].code == 127
    assert "no-such-program-here" in found["missing"].trouble
    assert found["stdin"] == found["nothing"] == Said(0, "", "")
    assert parse.environment(found["nul"].out) == {"A": "1", "B": "x=y"}


def test_a_command_that_never_ran_is_not_in_the_transcript() -> None:
    assert list(parse.transcript("\n==b0 out a\n1\n==b0 err a 0\n\n==b0 out b\n2", "==b0")) == ["a"]


def test_files_as_stat_and_sha256sum_see_them(tmp_path: Path) -> None:
    secret, folder, link = tmp_path / "a file", tmp_path / "folder", tmp_path / "link"
    secret.write_text("content")
    secret.chmod(0o600)
    folder.mkdir(mode=0o700)
    link.symlink_to(secret)
    paths = [str(secret), str(folder), str(link), str(tmp_path / "absent")]
    quoted = " ".join(f"'{each}'" for each in paths)
    stat = subprocess.run(["sh", "-c", f"LC_ALL=C stat {parse.STAT} -- {quoted}"], capture_output=True, text=True)
    sums = subprocess.run(["sha256sum", "--", *paths], capture_output=True, text=True)
    found = parse.files(stat.stdout, sums.stdout)
    owner = subprocess.run(["id", "-un"], capture_output=True, text=True).stdout.strip()
    assert set(found) == set(paths[:3])
    assert found[str(secret)] == ("regular file", f"{owner} 0600", hashlib.sha256(b"content").hexdigest())
    assert found[str(folder)] == ("directory", f"{owner} 0700", None)
    assert found[str(link)].kind == "symbolic link"


# ---- replies, fetched by a real curl


class Door(BaseHTTPRequestHandler):
    """Answers with what it was sent, streams a few events, or refuses."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Expect"):
            self.send_response_only(100)
            self.end_headers()
        self.send_response(401 if self.path == "/refuse" else 200)
        self.send_header("X-Answered-By", "door: 1")
        self.end_headers()
        self.wfile.write(json.dumps({"key": self.headers.get("Authorization"), "body": body.decode()}).encode())

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'data: {"n": 1}\n\n: comment\n\ndata: {"n": 2}\n\ndata: [DONE]\n\n')

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def door() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def fetched(command: str) -> parse.Reply:
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return parse.reply(Said(done.returncode, done.stdout, done.stderr))


def test_a_reply_with_its_headers_and_who_gave_it(door: str) -> None:
    reply = fetched(f"{parse.CURL} -d 'question' {door}/")
    assert (reply.status, reply.address, reply.trouble) == (200, "127.0.0.1", "")
    assert reply.headers["x-answered-by"] == "door: 1"
    assert reply.document["body"] == "question"


def test_a_refusal_is_a_reply_too(door: str) -> None:
    reply = fetched(f"{parse.CURL} -H 'Expect: 100-continue' -d x {door}/refuse")
    assert reply.status == 401
    assert str(reply).startswith("status 401: {")


def test_a_stream_is_its_events(door: str) -> None:
    assert [each["n"] for each in fetched(f"{parse.CURL} {door}/").events] == [1, 2]


def test_nobody_there_says_why() -> None:
    reply = fetched(f"{parse.CURL} --max-time 2 http://127.0.0.1:1/")
    assert reply.status == 0
    assert "connect" in str(reply).lower()


@pytest.mark.parametrize("key", ["sk-plain_1.2:3/4+5=", "with 'quotes' and \"more\"", r"back\slash", "a$b`c` d%s&e"])
def test_a_key_reaches_curl_without_being_an_argument(door: str, tmp_path: Path, key: str) -> None:
    file = tmp_path / "gateway.env"
    file.write_text(f"OTHER=1\nTHE_KEY={key}\nTHE_KEY_TOO=2\n")
    command = f"{key_from(str(file), 'THE_KEY')} | {parse.CURL} --config - -d x {door}/"
    assert key not in command
    assert fetched(command).document["key"] == f"Bearer {key}"


def test_a_key_in_single_quotes_is_read_as_compose_reads_it(door: str, tmp_path: Path) -> None:
    file = tmp_path / "gateway.env"
    file.write_text("THE_KEY='a key with blanks'\n")
    command = f"{key_from(str(file), 'THE_KEY')} | {parse.CURL} --config - -d x {door}/"
    assert fetched(command).document["key"] == "Bearer a key with blanks"


def test_whoever_answers_may_answer_anything() -> None:
    whole = parse.Reply(200, body='{"data": [{"id": "x"}], "choices": [{"text": ""}]}')
    assert (whole.at("data", 0, "id"), whole.rows("data")) == ("x", [{"id": "x"}])
    for body in ("<html>", "[]", '"data"', "null", '{"data": null}', '{"data": ["x"]}', '{"data": {"0": 1}}', ""):
        other = parse.Reply(200, body=body)
        assert other.at("data", 0, "id") is None, body
        assert other.rows("data") is None, body


def test_a_stream_that_was_cut_off_is_an_error() -> None:
    reply = parse.Reply(200, body='data: {"choices": []}\n\ndata: {"choices": [{"del')
    assert reply.events == [{"choices": []}, {"error": 'it was cut off: {"choices": [{"del'}]

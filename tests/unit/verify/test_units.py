"""A service as systemd knows it: what it runs now, and every line of its unit."""

from __future__ import annotations

import pytest

from tests.verify import expected_linux, parse
from tests.verify.expected import WantedService
from tests.verify.linux import service_of

# systemd 252, Debian 12
SHOWN = """\
MainPID=805
LoadState=loaded
ActiveState=active
FragmentPath=/etc/systemd/system/ollama.service
DropInPaths=
UnitFileState=enabled
NeedDaemonReload=no
"""
PATH = "/etc/systemd/system/ollama.service"
# What our own services' units say on the lab's machines.
TEXT = """\
[Unit]
Description=Ollama, the engine of the private AI system
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
DynamicUser=yes
StateDirectory=ollama
Environment=HOME=/var/lib/ollama
Environment="OLLAMA_NOTE=50%% of it"
StandardInput=file:/opt/litellm/gateway.env
ExecStart=/opt/ollama/0.40.2/bin/ollama serve
Restart=always
RestartSec=2
KillMode=control-group
TimeoutStopSec=20

[Install]
WantedBy=multi-user.target
"""
WANTED = WantedService(
    name="ollama",
    command=("/opt/ollama/0.40.2/bin/ollama", "serve"),
    environment={"HOME": "/var/lib/ollama", "OLLAMA_NOTE": "50% of it"},
    port=11434,
    state="/var/lib/ollama",
    account="own",
    secrets="/opt/litellm/gateway.env",
)


def test_a_service_as_systemd_knows_it() -> None:
    service = service_of(parse.properties(SHOWN), PATH, TEXT)
    assert service is not None
    assert (service.running, service.enabled, service.pids, service.edits) == (True, True, frozenset({805}), ())
    assert service.definition == expected_linux.definition(WANTED)


@pytest.mark.parametrize(
    ("line", "other"),
    [
        ("TimeoutStopSec=20", "TimeoutStopSec=90"),
        ("TimeoutStopSec=20", ""),
        ("RestartSec=2", "RestartSec=2\nNice=5"),
        ("DynamicUser=yes\n", ""),
        ("KillMode=control-group", "KillMode=process"),
        ("Restart=always", "Restart=on-failure"),
        ("Environment=HOME=/var/lib/ollama", "Environment=HOME=/root"),
        ("KillMode=control-group", "KillMode=control-group\nEnvironment=OLLAMA_HOST=0.0.0.0"),
        ("ollama serve", "ollama serve\nExecStart=/bin/true"),
        ("WantedBy=multi-user.target", "WantedBy=graphical.target"),
        ("StartLimitIntervalSec=0", "StartLimitIntervalSec=10"),
        ("StandardInput=file:/opt/litellm/gateway.env", "StandardInput=file:/tmp/x"),
        ("StateDirectory=ollama", "StateDirectory=other"),
    ],
)
def test_an_edit_of_any_line_shows(line: str, other: str) -> None:
    assert line in TEXT
    assert expected_linux.unit(TEXT.replace(line, other)) != expected_linux.definition(WANTED)


def test_a_description_and_a_comment_are_free() -> None:
    free = TEXT.replace("Description=Ollama, the engine", "# a word\n; another\nDescription=The engine")
    assert expected_linux.unit(free) == expected_linux.definition(WANTED)


@pytest.mark.parametrize(
    ("word", "other", "edit"),
    [
        ("DropInPaths=", "DropInPaths=/etc/a.conf /etc/b.conf", ("/etc/a.conf", "/etc/b.conf")),
        ("NeedDaemonReload=no", "NeedDaemonReload=yes", (f"{PATH} (changed since systemd read it)",)),
        (
            "FragmentPath=/etc",
            "FragmentPath=/run",
            (f"/run/systemd/system/ollama.service (it is what counts, not {PATH})",),
        ),
    ],
)
def test_what_was_put_beside_a_unit_shows(word: str, other: str, edit: tuple[str, ...]) -> None:
    service = service_of(parse.properties(SHOWN.replace(word, other)), PATH, TEXT)
    assert service is not None
    assert service.edits == edit


def test_a_stopped_or_disabled_service_shows() -> None:
    shown = SHOWN.replace("=active", "=failed").replace("=enabled", "=disabled")
    service = service_of(parse.properties(shown), PATH, TEXT)
    assert service is not None
    assert (service.running, service.enabled) == (False, False)


def test_a_unit_that_does_not_exist_is_no_service() -> None:
    assert service_of(parse.properties("LoadState=not-found\nActiveState=inactive\nMainPID=0\n"), PATH, "") is None
    assert service_of(parse.properties(""), PATH, "") is None

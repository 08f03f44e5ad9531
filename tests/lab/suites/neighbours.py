"""TP3, another project of the owner's on Apex: what it has there, and all of it in one snapshot, byte for byte.

Each system's own commands tell it; on Windows, where our stand-in is the system, the stand-in's inside. Nothing here
comes from `deploys`. On Windows TP3 is there from the first boot on, but for its container: that wants Docker Desktop.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .conftest import Machine

Snapshot = dict[str, Any]
WEB, DIRECT = 8090, 8091  # its container's port; on Linux, a service's beside it
ANSWERS_WITHIN_S = 30
HOME = r"C:\TP3"
ENVIRONMENT = r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Environment"
SERVICE = r"HKLM\SYSTEM\CurrentControlSet\Services\TP3"

# An image of its own: the machine's Python and nothing else, so that it shares nothing with ours.
CONTAINER = f"""
docker network create tp3
docker volume create tp3
tar -ch /usr/bin/python3 /usr/lib/python3* $(ldd /usr/bin/python3 | grep -o '/[^ ]*') 2>/dev/null |
    docker import - tp3/web:1
docker run -d --name tp3 --network tp3 --restart unless-stopped -p {WEB}:{WEB} -e TP3_MODE=production \
    -v {{data}}:/data:ro -v tp3:/state tp3/web:1 /usr/bin/python3 -m http.server {WEB} --directory /data
"""
ON_LINUX = f"""
mkdir -p /srv/tp3/data
chown desk:docker /srv/tp3/data
chmod 2750 /srv/tp3/data
printf '[web]\\r\\nport={WEB}\\r\\n' > /srv/tp3/data/settings.ini
echo 'theirs alone' > /srv/tp3/key
chmod 600 /srv/tp3/key
cd /etc/systemd/system
printf '[Service]\\nEnvironment=TP3_HOME=/srv/tp3\\n' > tp3.service
printf 'ExecStart=/usr/bin/python3 -m http.server {DIRECT} --directory /srv/tp3/data\\n' >> tp3.service
printf '[Install]\\nWantedBy=multi-user.target\\n' >> tp3.service
printf '[Service]\\nType=oneshot\\nExecStart=/bin/true\\n' > tp3-nightly.service
printf '[Timer]\\nOnCalendar=*-*-* 03:00:00\\n[Install]\\nWantedBy=timers.target\\n' > tp3-nightly.timer
echo '0 3 * * * root /srv/tp3/job' > /etc/cron.d/tp3
echo 'export TP3_HOME=/srv/tp3' > /etc/profile.d/tp3.sh
echo 'TP3_MODE=production' >> /etc/environment
iptables -N TP3
iptables -A TP3 -s 10.0.0.0/8 -p tcp --dport {DIRECT} -j ACCEPT
iptables -I INPUT -j TP3
systemctl daemon-reload
systemctl -q enable --now tp3.service tp3-nightly.timer
"""
AWAY_FROM_LINUX = """
systemctl -q disable --now tp3.service tp3-nightly.timer
rm -r /srv/tp3 /etc/systemd/system/tp3* /etc/cron.d/tp3 /etc/profile.d/tp3.sh
systemctl daemon-reload
sed -i /TP3/d /etc/environment
iptables -D INPUT -j TP3
iptables -F TP3
iptables -X TP3
"""
AWAY = """
docker rm -f tp3
docker rmi tp3/web:1
docker volume rm tp3
docker network rm tp3
"""
FOUND = "find /srv/tp3 /etc/systemd/system /etc/cron.d /etc/profile.d -path '*tp3*'"
UNIT = "MainPID,ActiveEnterTimestampMonotonic,NRestarts,UnitFileState,Environment"
LINUX = {
    "files": rf"{FOUND} -printf '%p %y %m %u %g %s %T@ %l\n' | sort; {FOUND} -type f -exec sha256sum {{}} + | sort",
    "tasks": "systemctl show tp3-nightly.timer -p UnitFileState,ActiveState,TimersCalendar",
    "services": f"systemctl show tp3 -p {UNIT}",
    "rules": "iptables -S | grep TP3",
    "variables": "grep -n TP3 /etc/environment",
}
# Docker tells the mounts of a container in any order.
CONTAINED = """
docker inspect tp3 | jq '.[].Mounts |= sort_by(.Destination)'
docker image inspect tp3/web:1
docker volume inspect tp3
docker network inspect tp3
tr '\\0' '\\n' < /proc/$(docker inspect -f '{{.State.Pid}}' tp3)/environ
"""


class Neighbour:
    """TP3 on one machine. `contained`: its container is there."""

    def __init__(self, machine: Machine, lan_ip: str) -> None:
        self.machine, self.lan_ip, self.contained = machine, lan_ip, False

    def arrive(self, contained: bool = True) -> None:
        """Bring what is not there: on Windows without Docker, all but the container is."""
        if not self.machine.windows:
            self.machine.sh(AWAY_FROM_LINUX, check=False)  # of a run that was cut
            self.machine.sh(f"set -e; {ON_LINUX}")
        if contained:
            self.bring_container()
        self.await_answers()

    def bring_container(self) -> None:
        self.machine.sh(AWAY, check=False)  # of a run that was cut
        data = self.machine.at(rf"{HOME}\data") if self.machine.windows else "/srv/tp3/data"
        self.machine.sh(f"set -e; {CONTAINER.format(data=data)}")
        self.contained = True
        self.await_answers()

    def leave(self) -> None:
        """Take away what `arrive` brought."""
        self.machine.sh(f"set -e; {AWAY}")
        self.contained = False
        if not self.machine.windows:
            self.machine.sh(f"set -e; {AWAY_FROM_LINUX}")

    def snapshot(self) -> Snapshot:
        """{part: everything of it}. Fails when a part is not there: nothing would be compared."""
        found = self._on_windows() if self.machine.windows else self._on_linux()
        if self.contained:
            found["container"] = self.machine.sh(f"set -e; {CONTAINED}")
        if self._ports():
            heard = [line.split()[3:] for line in self.machine.sh("ss -Hltnp").splitlines()]
            found["ports"] = [each for each in heard if int(each[0].rpartition(":")[2]) in self._ports()]
            found["answers"] = [self._answer(port) for port in self._ports()]
        missing = [part for part, each in found.items() if not each]
        assert not missing, f"the neighbour has no {missing} on {self.machine.name}"
        return found

    def _ports(self) -> list[int]:
        return [*([WEB] if self.contained else []), *([] if self.machine.windows else [DIRECT])]

    def _answer(self, port: int) -> str:
        """What the port says to somebody on the lab's LAN."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{self.lan_ip}:{port}/settings.ini", timeout=10) as answer:
            return f"{answer.status} {answer.read()!r}"

    def await_answers(self) -> None:
        """Return when all its ports answer."""
        end = time.monotonic() + ANSWERS_WITHIN_S
        for port in self._ports():
            while True:
                try:
                    self._answer(port)
                    break
                except (OSError, urllib.error.URLError):
                    assert time.monotonic() < end, f"the neighbour's port {port} does not answer"
                    time.sleep(0.2)

    def _on_linux(self) -> Snapshot:
        return {part: self.machine.sh(script) for part, script in LINUX.items()}

    def _on_windows(self) -> Snapshot:
        control = self.machine.control
        machines = control("registry", key=ENVIRONMENT)["values"]
        users = control("registry", key=r"HKCU\Environment")["values"]
        (path,) = (data for name, (_, data) in machines.items() if name.lower() == "path")
        moments = self.machine.sh(rf"find {self.machine.at(HOME)} -printf '%P %y %s %T@\n' | sort")
        return {
            "files": [control("files", below=HOME, itself=True), moments],
            "tasks": {name: each for name, each in control("tasks").items() if name.startswith(r"\TP3")},
            "rules": {name: each for name, each in control("firewall").items() if "TP3" in each},
            "services": [control("services")["TP3"], control("registry", key=SERVICE), *self._processes()],
            "registry": control("registry", key=r"HKLM\SOFTWARE\TP3"),
            "variables": [
                {name: each for name, each in machines.items() if "TP3" in name},
                {name: each for name, each in users.items() if "TP3" in name},
                [each for each in path.split(";") if "TP3" in each],
            ],
        }

    def _processes(self) -> list[dict[str, Any]]:
        return [each for each in self.machine.control("processes") if each["image"].startswith(HOME)]


@contextmanager
def living(machine: Machine, lab: dict[str, Any]) -> Iterator[Neighbour]:
    """TP3 beside ours on that machine, for a while."""
    neighbour = Neighbour(machine, lab["machines"][machine.name]["lan_ip"])
    try:
        neighbour.arrive()
        yield neighbour
    finally:
        neighbour.leave()


def differing(before: Snapshot, after: Snapshot) -> list[str]:
    """The parts that are not the same."""
    return sorted(part for part in before.keys() | after.keys() if before.get(part) != after.get(part))


def assert_untouched(before: Snapshot, after: Snapshot) -> None:
    """Byte for byte, or a failure that shows what was and what is."""
    parts = differing(before, after)
    told = json.dumps({part: [before.get(part), after.get(part)] for part in parts}, indent=1)
    assert not parts, f"of the neighbour are not as before: {parts}\n{told}"

"""What the lab's kernel is told of the firewall's rules."""

from __future__ import annotations

import pytest

from .standin.enforcing import chain

LAN = "172.30.9.0/24"


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ("Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=22|", " -p tcp --dport 22 -j RETURN"),
        ("Action=Block|Active=TRUE|Dir=In|Protocol=6|LPort=22|", " -p tcp --dport 22 -j DROP"),
        ("Action=Allow|Active=TRUE|Dir=In|LA4=100.64.0.1|", " -d 100.64.0.1 -j RETURN"),
        (
            "Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort2_10=80-90|RA4=100.64.0.0/255.192.0.0|",
            " -p tcp --dport 80:90 -s 100.64.0.0/255.192.0.0 -j RETURN",
        ),
        ("Action=Allow|Active=TRUE|Dir=In|Protocol=6|RA4=LocalSubnet|RA6=LocalSubnet|", f" -s {LAN} -j RETURN"),
        (
            "Action=Allow|Active=TRUE|Dir=In|RA4=10.0.0.1-10.0.0.9|",
            " -m iprange --src-range 10.0.0.1-10.0.0.9 -j RETURN",
        ),
    ],
)
def test_a_rule_becomes_one_line_before_the_last(rule: str, line: str) -> None:
    assert chain([f"v2.33|{rule}"], LAN).split("\n")[2:-3] == [f"-A WINDOWS{line}"]


@pytest.mark.parametrize(
    "rule",
    [
        "Action=Allow|Active=FALSE|Dir=In|Protocol=6|LPort=22|",
        "Action=Allow|Active=TRUE|Dir=Out|Protocol=6|LPort=22|",
        "Action=Allow|Active=TRUE|Dir=In|Protocol=17|LPort=22|",
        "Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=RPC|",
        "Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=22|RA6=fd7a::/48|",
        r"Action=Block|Active=TRUE|Dir=In|Protocol=6|App=C:\ollama.exe|",
    ],
)
def test_what_lets_in_no_tcp_over_ipv4_becomes_nothing(rule: str) -> None:
    assert chain([f"v2.33|{rule}"], LAN) == "*mangle\n:WINDOWS - [0:0]\n-A WINDOWS -j DROP\nCOMMIT\n"


def test_blocks_come_first() -> None:
    both = [f"v2.33|Action={action}|Active=TRUE|Dir=In|Protocol=6|LPort=22|" for action in ("Allow", "Block")]
    assert [line.rpartition(" ")[2] for line in chain(both, LAN).split("\n")[2:-2]] == ["DROP", "RETURN", "DROP"]

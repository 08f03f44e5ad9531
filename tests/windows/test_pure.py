"""The pure parts: access lists, firewall rules, task definitions, PATH entries. The same on every system."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploys.agent.windows import acl, rules, sddl, searchpath, taskxml

ANNA = "S-1-5-21-1-2-3-1001"
NAMES = {"anna": ANNA, "system": "S-1-5-18", "apex\\anna": ANNA}


def sid_of(name: str) -> str:
    try:
        return NAMES[name.lower()]
    except KeyError:
        raise OSError(1332, name) from None


def name_of(sid: str) -> str:
    if sid != ANNA:
        raise OSError(1332, sid)
    return "anna"


# -- access lists
flags = st.frozensets(st.sampled_from(["OI", "CI", "NP", "IO"]))
sids = st.sampled_from([*sddl.ALIASES.values(), ANNA])
aces = st.builds(sddl.Ace, st.booleans(), flags, st.integers(1, 0x1FFFFF), sids)
descriptors = st.builds(
    sddl.Descriptor,
    sids,
    st.booleans(),
    st.lists(aces, unique_by=lambda ace: (ace.allow, ace.flags, ace.sid)).map(frozenset),
)


@given(descriptors)
def test_what_is_rendered_parses_back(descriptor: sddl.Descriptor) -> None:
    assert sddl.parse(sddl.render(descriptor)) == descriptor


@given(descriptors, st.randoms(use_true_random=False))
def test_order_aliases_and_control_do_not_matter(descriptor: sddl.Descriptor, dice: Any) -> None:
    back = {sid: alias for alias, sid in sddl.ALIASES.items()}
    entries = []
    for ace in descriptor.aces:
        words = list(ace.flags)
        dice.shuffle(words)
        sid = back.get(ace.sid, ace.sid) if dice.random() < 0.5 else ace.sid
        mask = "FA" if ace.mask == 0x1F01FF else hex(ace.mask) if dice.random() < 0.5 else str(ace.mask)
        entries.append(f"({'A' if ace.allow else 'D'};{''.join(words)};{mask};;;{sid})")
    dice.shuffle(entries)
    control = dice.choice(("P", "PAI", "PAR")) if descriptor.protected else dice.choice(("", "AI"))
    assert sddl.parse(f"O:{descriptor.owner}G:SYD:{control}{''.join(entries)}") == descriptor


@pytest.mark.parametrize(  # recorded: descriptors of a Windows 11, research notes on the system, section 2
    ("text", "protected", "count"),
    [
        ("O:SYG:SYD:PAI(A;OICIIO;GA;;;CO)(A;OICI;FA;;;SY)(A;CI;DCLCRPCR;;;BU)", True, 3),
        ("O:BAD:AI(A;ID;FA;;;BA)(A;OICIIOID;SDGXGWGR;;;AU)", False, 2),
        ("D:(A;;FR;;;BU)(A;;FX;;;BU)", False, 1),
    ],
)
def test_recorded_descriptors(text: str, protected: bool, count: int) -> None:
    found = sddl.parse(text)
    assert (found.protected, len(found.aces)) == (protected, count)
    assert sddl.parse(sddl.render(found)) == found


@pytest.mark.parametrize(
    "text", ["", "O:BA", "D:NO_ACCESS_CONTROL", "D:(XA;;FA;;;BA;(1))", "D:(A;;FA;;;BA", "D:(A;;BA)", "D:(A;;XX;;;BA)"]
)
def test_what_is_no_descriptor(text: str) -> None:
    with pytest.raises(ValueError):
        sddl.parse(text)


def test_modify_is_what_the_generic_rights_make() -> None:
    (ace,) = sddl.parse("D:(A;;SDGXGWGR;;;AU)").aces
    assert ace.mask == sddl.MODIFY
    assert sddl.parse("D:(A;;0xa0000000;;;AU)") == sddl.parse("D:(A;;0x1200a9;;;AU)")


FILE_WORDS = ["administrators", "everyone", "only anna", "administrators +x", "everyone +x", "only anna +x"]
FILE_WORDS += ["read by anna", "read by anna +x"]


@pytest.mark.parametrize("words", FILE_WORDS)
def test_the_words_of_a_file_come_back(words: str) -> None:
    wanted = acl.wanted(words, False, sid_of)
    assert wanted is not None
    assert acl.words(sddl.parse(sddl.render(wanted)), False, name_of) == words
    assert wanted.protected
    assert wanted.owner == acl.ADMINISTRATORS


@pytest.mark.parametrize("words", ["administrators", "everyone", "only anna"])
def test_the_words_of_a_directory_come_back(words: str) -> None:
    wanted = acl.wanted(words, True, sid_of)
    assert wanted is not None
    assert acl.words(wanted, True, name_of) == words
    assert all(ace.flags == {"OI", "CI"} for ace in wanted.aces)


def test_who_gets_what() -> None:
    private = acl.wanted("administrators", False, sid_of)
    assert private is not None
    assert sddl.render(private) == ("O:S-1-5-32-544D:P(A;;0x1f01ff;;;S-1-5-18)(A;;0x1f01ff;;;S-1-5-32-544)")
    for words in FILE_WORDS:
        found = acl.wanted(words, False, sid_of)
        assert found is not None
        writers = {ace.sid for ace in found.aces if ace.mask & 0x116}
        assert writers <= {acl.SYSTEM, acl.ADMINISTRATORS, *([ANNA] if words.startswith("only") else [])}


def test_other_access_is_said_as_sddl() -> None:
    text = "O:S-1-5-18D:P(A;;0x1f01ff;;;S-1-5-18)"
    assert acl.words(sddl.parse(text), False, name_of) == text
    gone = sddl.parse("O:BAD:P(A;;FA;;;SY)(A;;FA;;;BA)(A;;0x1301bf;;;S-1-5-21-9-9-9-9)")
    assert acl.words(gone, False, name_of).startswith("O:S-1-5-32-544D:P(")
    for words in ("root:root 0644", "everyone +y"):
        assert acl.wanted(words, False, sid_of) is None
    assert acl.wanted("everyone +x", True, sid_of) is None
    assert acl.wanted("read by anna", True, sid_of) is None
    with pytest.raises(Exception, match="no user of that name"):
        acl.wanted("only nobody", False, sid_of)


# -- PATH
pieces = st.text(string.ascii_letters + "%:\\ ._-", min_size=1, max_size=12).filter(lambda each: each.strip(" \\/"))
paths = st.lists(st.one_of(pieces, st.just("")), max_size=6).map(";".join)


def expand(text: str) -> str:
    return text.replace("%SystemRoot%", "C:\\Windows")


@given(paths, pieces)
def test_an_entry_comes_and_goes_and_nothing_else_moves(path: str, entry: str) -> None:
    more = searchpath.with_entry(path, entry, expand)
    assert searchpath.holds(more, entry, expand)
    assert more.startswith(path)
    assert searchpath.with_entry(more, entry, expand) == more
    less = searchpath.without_entry(more, entry, expand)
    assert not searchpath.holds(less, entry, expand)
    rest = [each for each in path.split(";") if not searchpath.holds(each, entry, expand)]
    kept = [each for each in less.split(";") if each.strip()]
    assert kept == [each for each in rest if each.strip()]


@pytest.mark.parametrize("spelling", ["c:\\windows\\", "%SystemRoot%", '"C:\\Windows"', "C:/Windows"])
def test_one_folder_in_many_spellings(spelling: str) -> None:
    path = f"A;{spelling};;B;"
    assert searchpath.holds(path, "C:\\Windows", expand)
    assert searchpath.with_entry(path, "C:\\Windows", expand) == path
    assert searchpath.without_entry(path, "C:\\Windows", expand) == "A;;B;"


# -- firewall rules: recorded strings, research notes on the system, section 1
RECORDED = [
    "v2.32|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=4489|Name=RDPPORTLatest-TCP-In|",
    "v2.30|Action=Block|Active=TRUE|Dir=Out|RA4=13.232.55.12|Name=secevent1|",
    "v2.27|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=51500|Name='BC'|",
    "v2.10|Action=Allow|Active=TRUE|Dir=In|Protocol=6|Profile=Public|LPort=RPC|RPort=49000|LA4=192.168.1.0/255.255.255.0|"
    r"LA4=192.168.0.0/255.255.255.0|RA4=LocalSubnet|RA6=LocalSubnet|App=c:\path\foo.exe|Name=Firewall Rule Test|"
    "Security=Authenticate|Security2_9=An-NoEncap|",
]


@pytest.mark.parametrize("text", RECORDED)
def test_recorded_rules_are_read_whole(text: str) -> None:
    found = rules.tokens(text)
    assert found is not None
    assert "".join(f"{word}={value}|" for word, value in found) == text.partition("|")[2]
    assert rules.meaning(found)["name"] in text


def test_what_a_recorded_rule_means() -> None:
    found = rules.meaning(rules.tokens(RECORDED[3]) or [])
    assert found["local"] == ["192.168.0.0/24", "192.168.1.0/24"]
    assert found["remote"] == ["localsubnet"]
    assert (found["ports"], found["remote_ports"], found["profiles"]) == (["RPC"], ["49000"], ["public"])
    assert found["other"] == ["Security2_9=An-NoEncap", "Security=Authenticate"]


@pytest.mark.parametrize("text", ["", "v2.33|", "Action=Allow|", "v2.33|Action=Allow", "v2.33|Action|", "v2|A=b|"])
def test_what_is_no_rule(text: str) -> None:
    assert rules.tokens(text) is None


@given(
    st.fixed_dictionaries(
        {"action": st.sampled_from(["allow", "block"]), "direction": st.sampled_from(["in", "out"])},
        optional={
            "protocol": st.sampled_from(["tcp", "udp", "TCP"]),
            "ports": st.lists(st.one_of(st.integers(1, 65535), st.just("5000-5020")), max_size=3, unique=True),
            "remote": st.lists(
                st.sampled_from(
                    ["100.64.0.0/10", "10.0.0.7/32", "fd7a:115c:a1e0::/48", "LocalSubnet", "1.2.3.4-1.2.3.9"]
                ),
                unique=True,
            ),
            "profiles": st.lists(st.sampled_from(["Domain", "private", "public"]), unique=True),
            "program": st.sampled_from(["", r"C:\a b\c.exe"]),
            "enabled": st.booleans(),
        },
    ),
    st.randoms(use_true_random=False),
)
def test_a_rule_that_windows_wrote_means_what_was_wanted(spec: dict[str, Any], dice: Any) -> None:
    """However Windows spells it: version, masks, order, any profile left out."""
    wanted = rules.wanted("ours", spec)
    tokens = [f"Action={spec['action'].capitalize()}", f"Dir={spec['direction'].capitalize()}"]
    tokens.append(f"Active={'TRUE' if spec.get('enabled', True) else 'FALSE'}")
    if "protocol" in spec:
        tokens.append(f"Protocol={rules.PROTOCOLS[spec['protocol'].lower()]}")
    if len(spec.get("profiles", [])) < 3:
        tokens += [f"Profile={each.capitalize()}" for each in spec.get("profiles", [])]
    tokens += [f"LPort{'2_10' if '-' in str(each) else ''}={each}" for each in spec.get("ports", [])]
    spelt = {"100.64.0.0/10": "100.64.0.0/255.192.0.0", "10.0.0.7/32": "10.0.0.7"}
    tokens += [f"RA{'6' if ':' in each else '4'}={spelt.get(each, each)}" for each in spec.get("remote", [])]
    if "LocalSubnet" in spec.get("remote", []):
        tokens.append("RA6=LocalSubnet")
    tokens += [f"App={spec['program']}"] if spec.get("program") else []
    dice.shuffle(tokens)
    found = rules.tokens(f"v2.{dice.randint(10, 33)}|{'|'.join(tokens)}|Name=ours|")
    assert rules.meaning(found or []) == wanted


def test_refused_rules_and_those_of_others() -> None:
    allow = {"action": "allow", "direction": "in", "protocol": "tcp", "ports": [4000], "remote": ["100.64.0.0/10"]}
    ours = rules.wanted("ours", allow)
    assert rules.nonsense("ours", ours) == ""
    assert "bar" in rules.nonsense("a|b", ours)
    assert "every rule" in rules.nonsense("all", ours)
    assert "tcp or udp" in rules.nonsense("x", rules.wanted("x", {**allow, "protocol": "any"}))
    prompt = rules.wanted("python.exe", {"action": "block", "direction": "in", "program": r"C:\p\python.exe"})
    assert rules.blocks(prompt, ours)
    assert rules.blocks(prompt, rules.wanted("x", {**allow, "program": r"c:\P\PYTHON.exe"}))
    assert not rules.blocks(prompt, rules.wanted("x", {**allow, "program": r"C:\other.exe"}))
    assert not rules.blocks({**prompt, "enabled": False}, ours)
    assert not rules.blocks(rules.wanted("x", {**allow, "action": "block", "ports": [1]}), ours)
    assert not rules.blocks(rules.wanted("x", {**allow, "action": "block", "protocol": "udp"}), ours)
    tailscale = rules.wanted("Tailscale-In", {"action": "allow", "direction": "in", "local": ["100.64.0.7"]})
    assert rules.opens(tailscale, ours)
    assert not rules.opens(ours, ours)


# -- tasks
SPEC: dict[str, Any] = {
    "description": "what & why",
    "account": "system",
    "triggers": [{"at": "boot", "delay_s": 30}],
    "actions": [[r"C:\a b\c.exe", "one", "two words"]],
}


def plain(spec: dict[str, Any]) -> Any:
    return taskxml.tree(taskxml.decode(taskxml.render(spec, sid_of), bytes.decode), sid_of)


def test_every_setting_is_said() -> None:
    text = taskxml.render(SPEC, sid_of)[2:].decode("utf-16-le")
    for each in taskxml.DEFAULTS:
        assert f"<{each}>" in text
    assert "<ExecutionTimeLimit>PT0S<" in text
    assert "LogonType" not in text
    assert taskxml.render(SPEC, sid_of).startswith(b"\xff\xfe<\0")


def test_the_form_that_comes_back_is_equal() -> None:
    """By hand, after windows-tasks 1.2 (recorded): re-ordered, without defaults, a SID for the name."""
    mark = plain(SPEC)["mark"]
    back = (
        f'<?xml version="1.0" encoding="UTF-16"?><Task version="1.2" xmlns="{taskxml.NAMESPACE}"><RegistrationInfo>'
        f"<Date>2026-09-02T21:24:06.0342725</Date><Version>{mark}</Version><Description>what &amp; why</Description>"
        r"<URI>\ours\x</URI></RegistrationInfo><Principals><Principal id='Author'><UserId>S-1-5-18</UserId></Principal>"
        "</Principals><Settings><DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries><StopIfGoingOnBatteries>"
        "false</StopIfGoingOnBatteries><ExecutionTimeLimit>PT0S</ExecutionTimeLimit><MultipleInstancesPolicy>IgnoreNew"
        "</MultipleInstancesPolicy><Priority>5</Priority><IdleSettings><Duration>PT10M</Duration></IdleSettings>"
        "</Settings><Triggers><BootTrigger><Delay>PT30S</Delay></BootTrigger></Triggers><Actions Context='Author'>"
        r"<Exec><Command>C:\a b\c.exe</Command>"
        '<Arguments>one "two words"</Arguments></Exec></Actions></Task>'
    )
    found = taskxml.tree(taskxml.decode(back.encode(), bytes.decode), sid_of)
    assert found == plain(SPEC)


@pytest.mark.parametrize(
    "change",
    [
        {"account": "local service"},
        {"account": "anna"},
        {"triggers": []},
        {"triggers": [{"at": "boot", "delay_s": 60}]},
        {"triggers": [{"at": "logon", "user": "anna"}]},
        {"triggers": [{"at": "daily", "start": "2026-01-01T02:00:00"}]},
        {"triggers": [{"at": "every", "every_s": 300, "start": "2026-01-01T02:00:00"}]},
        {"actions": [[r"C:\a b\c.exe", "one two words"]]},
        {"enabled": False},
        {"battery": False},
        {"limit_s": 3600},
        {"priority": 7},
        {"instances": "queue"},
        {"catch_up": True},
        {"directory": r"C:\work"},
        {"description": "other"},
    ],
)
def test_every_difference_is_seen(change: dict[str, Any]) -> None:
    assert plain({**SPEC, **change}) != plain(SPEC)
    assert plain({**SPEC, **change}) == plain({**SPEC, **change})


def test_days_are_a_set_and_times_are_lengths() -> None:
    weekly = {"at": "weekly", "days": ["Monday", "Friday"], "start": "2026-01-01T02:00:00"}
    turned = {**weekly, "days": ["Friday", "Monday"]}
    one, two = plain({**SPEC, "triggers": [weekly]}), plain({**SPEC, "triggers": [turned]})
    assert {**one, "mark": ""} == {**two, "mark": ""}
    user = {**SPEC, "account": "Anna", "logon": "interactive", "elevated": True}
    assert plain(user)["account"] == ANNA
    assert plain(user)["level"] == "HighestAvailable"
    text = taskxml.render({**SPEC, "limit_s": 5400}, sid_of)[2:].decode("utf-16-le")
    assert taskxml.tree(taskxml.decode(text.replace("PT5400S", "PT1H30M").encode(), bytes.decode), sid_of) == plain(
        {**SPEC, "limit_s": 5400}
    )


def test_what_windows_adds_to_a_repetition_is_its_default() -> None:
    spec = {**SPEC, "triggers": [{"at": "every", "every_s": 300, "start": "2026-01-01T02:00:00"}]}
    text = taskxml.render(spec, sid_of)[2:].decode("utf-16-le")
    said = text.replace("</Interval>", "</Interval><StopAtDurationEnd>false</StopAtDurationEnd>")
    other = text.replace("</Interval>", "</Interval><StopAtDurationEnd>true</StopAtDurationEnd>")
    assert said != text
    for each, same in ((said, True), (other, False)):
        assert (taskxml.tree(taskxml.decode(each.encode(), bytes.decode), sid_of) == plain(spec)) is same


def test_triggers_of_one_kind_that_say_more_and_less() -> None:
    """One of everybody's logons and one of hers: a text beside a list, in any order."""
    one, two = {"at": "logon"}, {"at": "logon", "user": "Anna"}
    there, back = plain({**SPEC, "triggers": [one, two]}), plain({**SPEC, "triggers": [two, one]})
    assert there["triggers"] == back["triggers"]
    assert len(there["triggers"]) == 2


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp850"])
def test_decoding_by_the_bytes(encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="UTF-16"?>\r\n<Task xmlns="{taskxml.NAMESPACE}">größer</Task>'
    assert "größer" in taskxml.decode(text.encode(encoding), lambda raw: raw.decode("cp850"))


@pytest.mark.parametrize("text", ["", "no xml", "<Task />", "<a xmlns='x'/>"])
def test_what_is_no_task(text: str) -> None:
    assert taskxml.tree(text, sid_of) is None


def test_names_that_nobody_has_stay() -> None:
    principals = "<Principals><Principal><UserId>gone</UserId></Principal></Principals>"
    text = f'<Task xmlns="{taskxml.NAMESPACE}">{principals}</Task>'
    found = taskxml.tree(text, sid_of)
    assert found is not None
    assert found["account"] == "gone"


@given(st.lists(st.text(string.ascii_letters + ' \t"\\', max_size=8), max_size=4))
def test_arguments_come_apart_again(arguments: list[str]) -> None:
    from .standin.scheduler import split

    assert split(taskxml.command_line(arguments)) == arguments

"""What Windows' tools print, read by places and numbers. Each fixture says whether it was recorded on a real machine.

R: recorded, D: documented, A: assumed. Sources: SecretLUL/WinMedic `tests/fixtures` (German Windows 11), the fixtures
of kellyjonbrazil/jc (English Windows 10 and 11), and public logs.
"""

from __future__ import annotations

import pytest

from tests.verify import expected_windows
from tests.verify import windows_access as access
from tests.verify import windows_parse as read
from tests.verify.parse import Listener
from tests.windows.recorded import QUERYEX_IN_SPANISH

# R (jc, Windows 10), shortened: rows, widths and words as they were
NETSTAT = """

Active Connections

  Proto  Local Address          Foreign Address        State           PID
  TCP    0.0.0.0:445            0.0.0.0:0              LISTENING       4
  TCP    127.0.0.1:1031         127.0.0.1:1032         ESTABLISHED     10644
  TCP    127.0.0.1:1310         0.0.0.0:0              LISTENING       9328
  TCP    [::]:135               [::]:0                 LISTENING       1712
  TCP    [::1]:1025             [::]:0                 LISTENING       6088
  UDP    0.0.0.0:53             *:*                                    4808
"""
# R (the words), A (that they stand in these very columns)
NETSTAT_IN_GERMAN = """

Aktive Verbindungen

  Proto  Lokale Adresse         Remoteadresse          Status          PID
  TCP    0.0.0.0:445            0.0.0.0:0              ABHÖREN         4
  TCP    127.0.0.1:1031         127.0.0.1:1032         HERGESTELLT     10644
  TCP    127.0.0.1:1032         127.0.0.1:1031         WARTEND         0
  TCP    127.0.0.1:1310         0.0.0.0:0              ABHÖREN         9328
  TCP    [::]:135               [::]:0                 ABHÖREN         1712
  TCP    [::1]:1025             [::]:0                 ABHÖREN         6088
"""
# R (a public log of Windows 11 whose last column is Chinese), the PIDs changed
TASKLIST = """\
"svchost.exe","1712","Services","0","31,984 K","Unknown","NT AUTHORITY\\SYSTEM","0:00:00","暂缺"
"svchost.exe","9328","Services","0","8,204 K","Unknown","NT AUTHORITY\\LOCAL SERVICE","0:00:00","暂缺"
"dwm.exe","6088","Console","2","139,520 K","Running","Window Manager\\DWM-2","0:00:03","DWM Notification Window"
"""


@pytest.mark.parametrize("text", [NETSTAT, NETSTAT_IN_GERMAN])
def test_listeners_are_known_by_their_foreign_port(text: str) -> None:
    assert read.listeners(text, read.processes(TASKLIST)) == [
        Listener("*", 445, (("unknown program", 4),)),
        Listener("127.0.0.1", 1310, (("svchost.exe", 9328),)),
        Listener("*", 135, (("svchost.exe", 1712),)),
        Listener("::1", 1025, (("dwm.exe", 6088),)),
    ]


def test_processes_have_their_accounts() -> None:
    found = read.processes(TASKLIST)
    assert found[9328] == read.Task("svchost.exe", 9328, r"NT AUTHORITY\LOCAL SERVICE")
    assert len(found) == 3
    assert read.processes("INFO: No tasks are running which match the specified criteria.") == {}  # R


# R (build 22631)
QUERYEX = """\

SERVICE_NAME: sshd 
        TYPE               : 10  WIN32_OWN_PROCESS  
        STATE              : 4  RUNNING 
                                (STOPPABLE, NOT_PAUSABLE, ACCEPTS_SHUTDOWN)
        WIN32_EXIT_CODE    : 0  (0x0)
        SERVICE_EXIT_CODE  : 0  (0x0)
        CHECKPOINT         : 0x0
        WAIT_HINT          : 0x0
        PID                : 3204
        FLAGS              : 
"""  # noqa: W291
# R (WinMedic, German)
NO_SERVICE = (
    "[SC] EnumQueryServicesStatus:OpenService FEHLER 1060:\n\nDer angegebene Dienst ist kein installierter Dienst.\n"
)


def test_state_of_a_service() -> None:
    assert read.service_state(QUERYEX) == read.service_state(QUERYEX_IN_SPANISH) == (4, 3204)
    assert read.service_state(NO_SERVICE) is None


# R (jc, Windows 11), shortened
ROUTES = """\
===========================================================================
Interface List
 17...24 4b fe 5b 9b e6 ......Intel(R) I211 Gigabit Network Connection
===========================================================================

IPv4 Route Table
===========================================================================
Active Routes:
Network Destination        Netmask          Gateway       Interface  Metric
          0.0.0.0          0.0.0.0      192.168.1.1    192.168.1.169     35
        127.0.0.0        255.0.0.0         On-link         127.0.0.1    331
      192.168.1.0    255.255.255.0         On-link     192.168.1.169    291
    192.168.1.169  255.255.255.255         On-link     192.168.1.169    291
    192.168.213.1  255.255.255.255         On-link     192.168.213.1    291
        224.0.0.0        240.0.0.0         On-link     192.168.213.1    291
  255.255.255.255  255.255.255.255         On-link     192.168.1.169    291
===========================================================================
Persistent Routes:
  None

IPv6 Route Table
===========================================================================
Active Routes:
 If Metric Network Destination      Gateway
  1    331 ::1/128                  On-link
 11    291 fd18:4310:ad04:1::/64    fe80::4600:49ff:fee1:c6ee
 11    291 fd63:cc9c:65eb:3f95:85e:ed3a:ebbf:d3ea/128
                                    On-link
 11    291 fe80::4fae:1380:5a1b:8b6b/128
                                    On-link
  1    331 ff00::/8                 On-link
"""
# R (a German Windows in a public test), with the row of a tailnet added
ROUTES_IN_GERMAN = """\
IPv4-Routentabelle
===========================================================================
Aktive Routen:
     Netzwerkziel    Netzwerkmaske          Gateway    Schnittstelle Metrik
          0.0.0.0          0.0.0.0    192.168.50.66   192.168.50.140     25
        127.0.0.0        255.0.0.0   Auf Verbindung         127.0.0.1    331
   192.168.50.140  255.255.255.255   Auf Verbindung    192.168.50.140    281
       100.64.0.7  255.255.255.255   Auf Verbindung        100.64.0.7    261
===========================================================================
Ständige Routen:
  Keine
"""


def test_own_addresses_and_those_of_the_lan() -> None:
    six = "fd63:cc9c:65eb:3f95:85e:ed3a:ebbf:d3ea"
    assert read.lan_addresses(ROUTES) == ["192.168.1.169", "192.168.213.1", six]
    assert read.own_addresses(ROUTES_IN_GERMAN) == ["192.168.50.140", "127.0.0.1", "100.64.0.7"]
    assert read.lan_addresses(ROUTES_IN_GERMAN) == ["192.168.50.140"]


ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        # R: Windows 10 and 11
        (f"SHA256 hash of C:\\x:\n{ABC}\nCertUtil: -hashfile command completed successfully.\n", ("regular file", ABC)),
        # R: German
        (
            f"SHA256-Hash von C:\\x:\n{ABC}\nCertUtil: -hashfile-Befehl wurde erfolgreich ausgeführt.\n",
            ("regular file", ABC),
        ),
        # R: Windows 7 and 8, pairs with blanks
        (
            f"SHA256 hash of file C:\\x:\n{' '.join(map(''.join, zip(*[iter(ABC)] * 2, strict=True)))}\n",
            ("regular file", ABC),
        ),
        # R: a missing file
        ("CertUtil: -hashfile command FAILED: 0x80070002 (WIN32: 2 ERROR_FILE_NOT_FOUND)\n", ("", None)),
        # A: a directory
        ("CertUtil: -hashfile command FAILED: 0x80070005 (WIN32: 5 ERROR_ACCESS_DENIED)\n", ("directory", None)),
        # A: a file that somebody has open for himself alone
        (
            "CertUtil: -hashfile command FAILED: 0x80070020 (WIN32: 32 ERROR_SHARING_VIOLATION)\n",
            ("unreadable (0x80070020)", None),
        ),
        ("", ("unreadable (no answer)", None)),
    ],
)
def test_kind_and_hash(text: str, wanted: tuple[str, str | None]) -> None:
    assert read.hashed(text) == wanted


PRIVATE = "D:PAI(A;;FA;;;SY)(A;;FA;;;BA)"
OPEN = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;BU)"
# R: what a folder below C:\ProgramData inherits, so that every user may put files there
PLANTED = "D:AI(A;OICIID;FA;;;SY)(A;OICIID;FA;;;BA)(A;OICIIOID;GA;;;CO)(A;OICIID;0x1200a9;;;BU)(A;CIID;DCLCRPCR;;;BU)"


@pytest.mark.parametrize(
    ("sddl", "directory", "wanted"),
    [
        (PRIVATE, False, expected_windows.PRIVATE),
        (PRIVATE.replace("PAI", "P"), False, expected_windows.PRIVATE),
        ("D:PAI(A;;0x1f01ff;;;S-1-5-32-544)(A;;FA;;;S-1-5-18)S:(ML;;NW;;;HI)", False, expected_windows.PRIVATE),
        (OPEN, True, expected_windows.OPEN_DIRECTORY),
        (OPEN.replace("OICI", "").replace("0x1200a9", "FR"), False, expected_windows.OPEN_FILE),
        ("D:PAI(A;;FA;;;SY)(A;;FA;;;BA)", True, "SYSTEM everything (not below), administrators everything (not below)"),
        ("D:P(D;;FA;;;WD)(A;;FA;;;SY)", False, "SYSTEM everything, never everyone everything"),
        ("O:BAG:BA", False, "everybody everything (no list)"),
        (
            "D:AI(A;ID;FA;;;SY)(A;ID;FA;;;BA)(A;ID;0x1200a9;;;LS)",
            False,
            expected_windows.handed_down(f"LOCAL SERVICE runs, {expected_windows.PRIVATE}"),
        ),
    ],
)
def test_access_in_words(sddl: str, directory: bool, wanted: str) -> None:
    assert access.access(sddl, directory) == wanted


def test_everything_strange_about_access_shows() -> None:
    assert access.access(PLANTED, directory=True) == (
        "SYSTEM everything (CI ID OI), administrators everything (CI ID OI), users 0x116 (CI ID), "
        "users runs (CI ID OI), whoever creates everything (CI ID IO OI); not cut off from the folder above"
    )


@pytest.mark.parametrize(
    ("sddl", "wanted"),
    [
        (PRIVATE, False),
        (OPEN, True),
        ("D:P(A;;FA;;;BA)(A;;FA;;;S-1-5-21-1-2-3-1001)", True),
        ("D:P(A;;FA;;;BA)(A;OICIIO;FA;;;WD)", False),  # for what will come below
        ("D:P(A;;FA;;;BA)(A;;SDRC;;;WD)", False),  # may delete, not read
        ("", True),  # nobody knows
    ],
)
def test_whether_others_may_read(sddl: str, wanted: bool) -> None:
    assert access.others_read(sddl) is wanted


@pytest.mark.parametrize(
    ("sddl", "wanted"),
    [
        (OPEN, []),
        (OPEN.replace("BU", "AU"), []),  # D: what sshd gives its folder
        (PLANTED, ["users", "whoever creates"]),
        (f"{OPEN}(A;;0x1301bf;;;S-1-5-21-1-2-3-1001)(A;OICIIO;FW;;;WD)", ["a person", "everyone"]),
        (f"{OPEN}(A;;DT;;;AU)(D;;FA;;;WD)(A;;FA;;;{access.INSTALLER})", ["authenticated users"]),
        ("", ["everybody"]),
    ],
)
def test_who_else_may_change(sddl: str, wanted: list[str]) -> None:
    assert access.changers(sddl) == wanted


def test_saved_access_lists() -> None:
    saved = f"\ufefflitellm\r\n{OPEN}\r\nlitellm\\gateway.env\r\n{PRIVATE}\r\n"  # R: the form; A: these very lists
    assert access.access_lists(saved, "C:\\") == {r"C:\litellm": OPEN, r"C:\litellm\gateway.env": PRIVATE}
    found = read.files({r"c:\LiteLLM\gateway.env": f"x\n{ABC}\n", r"C:\none": "0x80070002", r"C:\y": ABC}, {})
    assert [(path, each.access) for path, each in found.items()] == [
        (r"c:\LiteLLM\gateway.env", "unknown"),
        (r"C:\y", "unknown"),
    ]
    lists = access.access_lists(saved, "C:\\")
    assert (
        read.files({r"c:\LiteLLM\Gateway.env": ABC}, lists)[r"c:\LiteLLM\Gateway.env"].access
        == expected_windows.PRIVATE
    )


def test_a_listing_of_files() -> None:
    # A: robocopy's columns
    text = "\n\t  \t\t   12 2026/11/22 14:00:01\tC:\\a b\\one two.txt\n\t\t 3 1970/01/01 00:00:10\tC:\\a b\\c\\d\n"
    assert read.listing(text, "C:\\A b") == {"one two.txt": [12, 1795356001], "c\\d": [3, 10]}
    assert read.listing("ERROR 2 (0x00000002) C:\\a b", "C:\\a b") == {}


# R (WinMedic and others): the form; names and values from several machines
REG = """\

HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Control\\Session Manager\\Environment
    ComSpec    REG_EXPAND_SZ    %SystemRoot%\\system32\\cmd.exe
    Note    REG_SZ    two  words    and more
    Empty    REG_SZ    
    Count    REG_DWORD    0x6aa69efc
    List    REG_MULTI_SZ    one\\0two
    (Standard)    REG_SZ    (Wert nicht festgelegt)

HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Control\\Session Manager\\Environment\\Below
"""  # noqa: W291


def test_the_registry() -> None:
    found = read.values(REG)
    assert found["comspec"] == read.Value("REG_EXPAND_SZ", r"%SystemRoot%\system32\cmd.exe")
    assert found["note"].data == "two  words    and more"
    assert found["empty"] == read.Value("REG_SZ", "")
    assert found["count"].data == "0x6aa69efc"
    assert found["list"].data == "one\\0two"
    assert len(read.registry(REG)) == 2
    assert read.values("ERROR: The system was unable to find the specified registry key or value.") == {}


def test_a_firewall_rule_in_one_form() -> None:
    # R: each token; that the network is kept with a mask or with a length, too
    mask = "v2.33|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=4000|RA4=100.64.0.0/255.192.0.0|Name=ours|"
    length = "v2.10|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=4000|RA4=100.64.0.0/10|Name=ours|"
    assert read.rule(mask) == read.rule(length)
    assert read.rule(mask)["RA4"] == ("100.64.0.0/10",)
    assert read.rule("v2.31|RA4=LocalSubnet|RA6=LocalSubnet|RA6=ff02::2|LPort=443|LPort=80|PFN=x|") == {
        "RA4": ("LocalSubnet",),
        "RA6": ("LocalSubnet", "ff02::2/128"),
        "LPort": ("443", "80"),
        "PFN": ("x",),
    }
    assert read.network("13.232.55.12") == read.network("13.232.55.12/32")


# R (WinMedic, German) shortened: GUIDs, names in capitals and hex numbers are in every language the same
POWERCFG = """\
GUID des Energieschemas: 381b4222-f694-41f0-9685-ff5bb260df2e  (Ausbalanciert)
  GUID-Alias: SCHEME_BALANCED
    GUID der Energieeinstellung: 29f6c1db-86da-48c5-9fdb-f2b67b1f44da  (Standbymodus nach)
      Minimal mögliche Einstellung: 0x00000000
      Maximal mögliche Einstellung: 0xffffffff
      Inkrement möglicher Einstellungen: 0x00000001
    Index der aktuellen Wechselstromeinstellung: 0x00000708
    Index der aktuellen Gleichstromeinstellung: 0x00000384
"""


def test_power_by_its_last_two_numbers() -> None:
    assert read.power(POWERCFG) == (1800, 900)
    assert read.power('Invalid Parameters -- try "/?" for help') is None


def test_a_feature_in_english() -> None:
    # R: the form of its blocks
    assert read.feature("\nFeature Name : X\nDisplay Name : Y\nState : Enable Pending\n\n") == "Enable Pending"
    assert read.feature("\nError: 0x800f080c\n") is None


def test_a_tasks_last_result_by_its_place() -> None:
    # R: the columns; the code of one that runs
    row = '"APEX","\\\\llm-harness\\\\x","N/A","Wird ausgeführt","Interaktiv","22.11.2026 14:00:00","267009","me"\n'
    assert read.last_result(row) == 0x41301
    assert read.last_result(row.replace("267009", "-2147024894")) == 0x80070002
    assert read.last_result(row.replace("267009", "?")) is None
    assert read.last_result("ERROR: The system cannot find the file specified.") is None


def test_a_task_is_no_task() -> None:
    assert read.task("FEHLER: Das System kann die angegebene Datei nicht finden.") == {}

"""versions.yaml: hashes that are hashes, addresses without surprises, and sources that agree with it."""

import re
from typing import Any

import pytest

from tests.lab.images import GATEWAY_LOCK
from tests.lab.settings import HERE, Lab, versions
from tests.lab.shell import Trouble

DATA = versions()
PINNED = [
    *((name, tool["release"]) for name, tool in DATA["tools"].items() if "release" in tool),
    ("compose", DATA["compose"]["release"]),
]


@pytest.mark.parametrize(("name", "release"), PINNED)
def test_a_release_is_an_https_address_of_its_version_and_a_sha256(name: str, release: dict[str, str]) -> None:
    assert release["url"].startswith("https://")
    assert release["version"] in release["url"]
    assert re.fullmatch(r"[0-9a-f]{64}", release["sha256"])


@pytest.mark.parametrize("name", DATA["tools"])
def test_a_build_pins_the_version_that_its_go_module_requires(name: str) -> None:
    recipe: dict[str, Any] = DATA["tools"][name]["build"]
    module = (HERE / "gotools" / name / "go.mod").read_text()
    sums = (HERE / "gotools" / name / "go.sum").read_text()
    required = re.search(r"^require (\S+) v(\S+)$", module, re.MULTILINE)
    assert required is not None
    assert required[2] == recipe["version"]
    assert f"{required[1]} v{recipe['version']} h1:" in sums
    assert all(package.startswith(required[1]) for package in recipe["packages"])


def test_go_is_new_enough_for_every_module() -> None:
    wanted = [re.search(r"^go (\S+)$", path.read_text(), re.MULTILINE) for path in HERE.glob("gotools/*/go.mod")]
    numbers = [tuple(map(int, found[1].split("."))) for found in wanted if found]
    assert max(numbers) <= tuple(map(int, DATA["go"]["at_least"].split(".")))
    assert DATA["go"]["at_least"] <= re.findall(r"==([\d.]+)", (HERE / "locks" / "go.txt").read_text())[0]


def test_the_gateway_lock_holds_the_version_and_not_the_stolen_ones() -> None:
    lock = GATEWAY_LOCK.read_text()
    assert f"\nlitellm=={DATA['gateway']['version']} " in lock
    assert not re.search(r"^litellm==1\.82\.[78]\b", lock, re.MULTILINE)


@pytest.mark.parametrize("path", [GATEWAY_LOCK, *HERE.glob("locks/*.txt")], ids=str)
def test_every_locked_package_has_hashes(path: Any) -> None:
    entries = re.split(r"\n(?=[a-z0-9])", "\n" + path.read_text())[1:]
    assert entries
    assert all("--hash=sha256:" in entry for entry in entries)


@pytest.mark.parametrize("tag", DATA["models"])
def test_a_model_names_itself_and_the_machine_it_stands_in_for(tag: str) -> None:
    family, size = re.match(r"(\w+):(\w+)-", tag).groups()  # type: ignore[union-attr]
    says = DATA["models"][tag]["says"]
    assert f"{family} {size}" in says
    assert re.search(r"on (Apex|G16)", says)


def test_two_labs_share_no_name_and_no_address() -> None:
    one, two = Lab(), Lab("other")
    assert one.prefix == "172.30.7"
    assert one.prefix != two.prefix
    assert one.label != two.label
    assert one.container("apex") == "lab-apex"
    assert two.volume("apex", "docker") == "other-apex-docker"


@pytest.mark.parametrize("name", ["", "Lab", "1lab", "a b", "lab;rm", "x" * 30])
def test_a_name_that_docker_would_choke_on_is_refused(name: str) -> None:
    with pytest.raises(Trouble, match="a lab's name"):
        Lab(name)

"""The shape of the tree: who may import whom, and what no file may say."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAX_LINES, MAX_FUNCTION_LINES = 300, 60

# What each part of the project may import of the project itself.
ALLOWED = {
    "host file": {"roles"},
    "roles": {"operations", "facts", "lib", "schema"},
    "operations": {"operations", "facts", "lib", "schema"},
    "facts": {"facts", "lib", "schema"},
    "lib": {"lib", "schema"},
    "schema": {"schema"},
    "group_data": {"schema", "lib"},
    "inventory": {"schema"},
    "agent": {"agent"},
    "scripts": {"scripts"},
    "tests/verify": {"tests"},
}


def tracked(*patterns: str) -> list[Path]:
    """Files that git knows, or will know: what is ignored is not ours."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", *patterns]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for path in map(ROOT.joinpath, filter(None, listed.split("\0"))) if path.is_file()]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def part_of(path: Path) -> str | None:
    """Which part of the project a file is, by its place."""
    name = relative(path)
    if name.startswith("deploys/"):
        pieces = name.split("/")
        return pieces[1] if len(pieces) > 2 else None if pieces[1] == "__init__.py" else "host file"
    for part in ("group_data", "scripts", "tests/verify"):
        if name.startswith(f"{part}/"):
            return part
    return "inventory" if name == "inventory.py" else None


def part_of_module(module: str) -> str | None:
    """Which part of the project a module is; None when it is none of the project's."""
    pieces = module.split(".")
    if pieces[0] == "deploys":
        return pieces[1] if len(pieces) > 1 else "deploys"
    return pieces[0] if pieces[0] in ("scripts", "tests", "group_data", "inventory", "agent") else None


def imports(path: Path, tree: ast.AST) -> Iterator[str]:
    """Every module that a file imports, wherever in it, relative ones made absolute."""
    package = relative(path).removesuffix(".py").split("/")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            if module == "deploys" or (node.level and not node.module):
                yield from (f"{module}.{each.name}" for each in node.names)
            else:
                yield module


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


PYTHON = tracked("*.py")
PARTS = [path for path in PYTHON if part_of(path)]


def ids(path: Path) -> str:
    return relative(path)


def test_every_part_is_there() -> None:
    """A walk that finds nothing proves nothing."""
    assert {part_of(path) for path in PARTS} >= {"host file", "roles", "operations", "facts", "lib", "schema", "agent"}
    assert {part_of(path) for path in PARTS} <= set(ALLOWED)


@pytest.mark.parametrize("path", PARTS, ids=ids)
def test_imports_go_one_way(path: Path) -> None:
    part = part_of(path)
    assert part
    own = f"deploys.roles.{path.stem}_"  # a role may be more than one file
    found = {module: part_of_module(module) for module in imports(path, parsed(path)) if not module.startswith(own)}
    assert {module: where for module, where in found.items() if where and where not in ALLOWED[part]} == {}


@pytest.mark.parametrize(
    ("place", "source", "module"),
    [
        ("deploys/roles/x.py", "from deploys.agent import files", "deploys.agent"),
        ("deploys/roles/x.py", "from deploys import agent", "deploys.agent"),
        ("deploys/roles/x.py", "def f():\n    import deploys.agent.kinds.files", "deploys.agent.kinds.files"),
        ("deploys/roles/x.py", "from .. import agent", "deploys.agent"),
        ("deploys/roles/x.py", "from ..agent.kinds.files import Files", "deploys.agent.kinds.files"),
    ],
)
def test_no_way_of_importing_is_overlooked(place: str, source: str, module: str) -> None:
    assert list(imports(ROOT / place, ast.parse(source))) == [module]
    assert part_of_module(module) == "agent"


def test_schema_knows_the_standard_library_and_one_error_class() -> None:
    paths = [path for path in PYTHON if part_of(path) == "schema"]
    found = {each for path in paths for each in imports(path, parsed(path))}
    others = {each for each in found if each.split(".")[0] not in sys.stdlib_module_names}
    assert {each for each in others if not each.startswith("deploys.schema")} == {"pyinfra.api.exceptions"}


AGENT = [path for path in PYTHON if part_of(path) == "agent"]
KNOWS_BOTH = ("deploys/agent/main.py", "deploys/agent/kinds/former.py")


class TestAgent:
    @pytest.mark.parametrize("path", AGENT, ids=ids)
    def test_is_python_3_9(self, path: Path) -> None:
        tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
        calls = [each for each in ast.walk(tree) if isinstance(each, ast.Call) and isinstance(each.func, ast.Name)]
        assert not [each for each in calls if each.func.id == "zip" and each.keywords], "its zip knows no `strict`"  # type: ignore[attr-defined]

    @pytest.mark.parametrize("path", AGENT, ids=ids)
    def test_needs_the_standard_library_alone(self, path: Path) -> None:
        for module in imports(path, parsed(path)):
            assert module.startswith("deploys.agent") or module.split(".")[0] in sys.stdlib_module_names, module

    @pytest.mark.parametrize("path", AGENT, ids=ids)
    def test_imports_itself_relatively(self, path: Path) -> None:
        """On the machine its package has another name."""
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                assert part_of_module(node.module or "") is None
            if isinstance(node, ast.Import):
                assert not [each.name for each in node.names if part_of_module(each.name)]

    @pytest.mark.parametrize("path", AGENT, ids=ids)
    def test_one_half_knows_nothing_of_the_other(self, path: Path) -> None:
        """Above them only who starts the right half knows either, and who remembers how a way in was."""
        own = path.parent.name
        found = {each.split(".")[2] for each in imports(path, parsed(path)) if each.count(".") > 1}
        assert found & {"posix", "windows"} <= ({"posix", "windows"} if relative(path) in KNOWS_BOTH else {own})

    @pytest.mark.parametrize("path", AGENT, ids=ids)
    def test_annotations_are_never_evaluated(self, path: Path) -> None:
        """`X | None` would stop Python 3.9."""
        text = path.read_text(encoding="utf-8")
        assert "from __future__ import annotations" in text or "def " not in text


ROLES = [path for path in PYTHON if part_of(path) == "roles" and path.name != "__init__.py"]
SYSTEMS = re.compile(r"\b(windows|linux|posix|win32|systemd|systemctl|powershell|cmd\.exe)\b", re.IGNORECASE)
SHELL = re.compile(
    r"(\bsudo |\bsh -c\b|\brm -|\bmkdir |\bchmod |\bcurl |\becho |&&|\|\||\$\(|2>&1|/dev/null|\bapt(-get)? install)"
)


def strings(tree: ast.AST) -> Iterator[str]:
    """Every string of the code that is no docstring."""
    documented = (ast.Module, ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)
    docs = {id(node.body[0].value) for node in ast.walk(tree) if isinstance(node, documented) and _has_doc(node)}  # type: ignore[attr-defined]
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value


def _has_doc(node: ast.Module | ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef) -> bool:
    return bool(node.body) and isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant)


@pytest.mark.parametrize("path", ROLES, ids=ids)
class TestRoles:
    def test_name_no_operating_system(self, path: Path) -> None:
        tree = parsed(path)
        names = [each.id for each in ast.walk(tree) if isinstance(each, ast.Name)]
        assert [text for text in [*strings(tree), *names] if SYSTEMS.search(text)] == []

    def test_hold_no_shell(self, path: Path) -> None:
        assert [text for text in strings(parsed(path)) if SHELL.search(text)] == []

    def test_name_every_operation(self, path: Path) -> None:
        """What a person reads while it runs."""
        tree = parsed(path)
        modules = operation_modules(path, tree)
        for call in (each for each in ast.walk(tree) if isinstance(each, ast.Call)):
            function = call.func
            if not (isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name)):
                continue
            module = modules.get(function.value.id)
            if module and function.attr in operations_of(module):
                assert "name" in {each.arg for each in call.keywords}, f"line {call.lineno}: {ast.unparse(function)}"


def operation_modules(path: Path, tree: ast.AST) -> dict[str, Path]:
    """{the name in this file: the module of deploys/operations}"""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "deploys.operations":
            for each in node.names:
                found[each.asname or each.name] = ROOT / "deploys" / "operations" / f"{each.name}.py"
    return found


def operations_of(module: Path) -> set[str]:
    """The functions of an operations module whose first argument is the operation's `name`."""
    functions = [each for each in parsed(module).body if isinstance(each, ast.FunctionDef)]
    return {each.name for each in functions if each.args.args and each.args.args[0].arg == "name"}


def test_operations_are_found() -> None:
    assert {"config", "copied", "directory"} <= operations_of(ROOT / "deploys" / "operations" / "files.py")


SOURCES = [path for path in PYTHON if not relative(path).startswith("tests/") and "templates/" not in relative(path)]


@pytest.mark.parametrize("path", SOURCES, ids=ids)
class TestSize:
    def test_file_is_read_in_one_sitting(self, path: Path) -> None:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        allowed = LONG_FILES.get(relative(path), MAX_LINES)
        assert lines <= allowed

    def test_function_fits_a_screen(self, path: Path) -> None:
        for node in ast.walk(parsed(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                assert (node.end_lineno or 0) - node.lineno < MAX_FUNCTION_LINES, node.name


# One thing each, that would not read better in two files.
LONG_FILES = {"deploys/lib/litellm.py": 350, "deploys/lib/litellm_check.py": 350}

TEXTS = [path for path in tracked() if path.suffix not in {".png", ".gguf", ".ico", ".gz"}]
# Assembled, so that this file does not hold them itself.
REGISTRIES = ["pypi" + ".org", "files.python" + "hosted.org", "registry.npm" + "js.org", "proxy.go" + "lang.org"]
PLAYED = ("tests/lab/settings.py", REGISTRIES[0])  # the lab plays it to machines that have no internet
REGISTRIES += ["deb.deb" + "ian.org", "archive.ubu" + "ntu.com", "sum.go" + "lang.org"]


def text_of(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")


def test_no_file_names_a_package_registry() -> None:
    """pip, apt and npm have their own configuration: it is read when it is needed."""
    found = [(relative(path), name) for path in TEXTS for name in REGISTRIES if name in text_of(path)]
    assert found == [PLAYED]


# The usual top directories of a system: a path in them can be the product's own.
USUAL = [
    "bin",
    "boot",
    "dev",
    "etc",
    "home",
    "lib",
    "lib64",
    "media",
    "mnt",
    "opt",
    "private",
    "proc",
    "root",
    "run",
    "sbin",
    "srv",
    "sys",
    "tmp",
    "usr",
    "var",
    "Users",
]


def test_no_file_names_a_place_of_this_checkout() -> None:
    """The tree works wherever it is cloned to: no file names where it lies now, or what lies beside it."""
    places = {ROOT}
    if ROOT.parts[1] not in USUAL and len(ROOT.parts) > 2:
        places |= {each for each in ROOT.parent.iterdir() if each.is_dir()}
    found = [(relative(path), place) for path in TEXTS for place in places if names_place(text_of(path), str(place))]
    assert found == []


def names_place(text: str, place: str) -> bool:
    return place in text and bool(re.search(rf"(?<![\w.]){re.escape(place)}(?![\w-])", text))


LOCKS = [path for path in tracked() if re.fullmatch(r".*\.lock|.*requirements.*\.txt", path.name)]
ENTRY = re.compile(r"^([A-Za-z0-9][\w.-]*)(\[[\w,-]+\])?==(\S+)", re.MULTILINE)


def test_there_is_a_lock() -> None:
    assert ROOT / "requirements.lock" in LOCKS


@pytest.mark.parametrize("path", LOCKS, ids=ids)
class TestLocks:
    def test_every_entry_has_its_hashes(self, path: Path) -> None:
        text = text_of(path)
        logical = re.sub(r"\\\n\s*", " ", text).splitlines()
        entries = [line for line in logical if line.strip() and not line.lstrip().startswith(("#", "-"))]
        assert entries
        assert [line for line in entries if not ENTRY.match(line)] == []
        assert [line.split()[0] for line in entries if not re.search(r"--hash=sha256:[0-9a-f]{64}\b", line)] == []

    def test_builds_that_stole_credentials_are_in_none(self, path: Path) -> None:
        versions = [version for name, _, version in ENTRY.findall(text_of(path)) if name.lower() == "litellm"]
        assert not {"1.82.7", "1.82.8"} & set(versions)


def test_no_data_pins_a_build_that_stole_credentials() -> None:
    """Only what refuses them may name them."""
    pinned = re.compile(r"litellm(?:==|:v?)1\.82\.[78]\b")
    found = [
        relative(path) for path in TEXTS if not relative(path).startswith("tests/") and pinned.search(text_of(path))
    ]
    assert found == []

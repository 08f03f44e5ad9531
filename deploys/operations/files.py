"""Files and directories, the same on every system. Access is said in words: see `Access`."""

from __future__ import annotations

import base64
import difflib
import hashlib
import secrets as randomness
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import jinja2
from pyinfra import host
from pyinfra.api.operation import OperationMeta

from deploys.facts import link
from deploys.lib.fingerprint import fingerprinted
from deploys.operations.resource import Found, Resource, wanted
from deploys.schema import Nonsense

REPOSITORY = Path(__file__).parents[2]
SHOWN_LINES = 30

Access = str
"""`administrators`, `everyone` (reads; administrators write) or `only <user>`; with ` +x` for a program.

Where a system keeps lists of who may what, also `read by <user>`: administrators, and that user reads."""

_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(REPOSITORY / "templates"),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # noqa: S701  configuration files, no HTML
)


def rendered(template: str, **variables: Any) -> str:
    """The text of `templates/<template>`. Raises Nonsense in one sentence for whatever is wrong with it."""
    try:
        text = _templates.get_template(template).render(**variables)
    except jinja2.TemplateSyntaxError as error:
        raise Nonsense(f"templates/{template} line {error.lineno}: {error.message}") from error
    except jinja2.TemplateNotFound as error:
        raise Nonsense(f"templates/{error.name} does not exist") from error
    except jinja2.UndefinedError as error:
        raise Nonsense(f"templates/{template}: {error.message}") from error
    if "*MASKED*" in text:
        raise Nonsense(f"templates/{template}: a hidden value came out as *MASKED*: pass the value itself")
    return text


def config(
    name: str,
    dest: str,
    *,
    text: str,
    access: Access = "everyone",
    secret: bool = False,
    newline: Literal["lf", "crlf"] | None = None,
    valid: Callable[[str], None] | None = None,
    check: Sequence[str] = (),
    proven_by: tuple[str, str] | None = None,
    guard: Mapping[str, Any] | None = None,
) -> OperationMeta:
    """Have `dest` hold `text`: validated, written beside, checksummed, replaced in one step, the last good one kept.

    + valid: called with the text on the desk; raises Nonsense to refuse it
    + check: a program of the machine that must accept the new file first; `{file}` stands for it
    + proven_by: kind and id of what shows whether it is good (a service, a compose project): sick, it is put back
    + secret: its text is never shown, and leaves the desk only on stdin
    + newline: how its lines end; without it as `text` has them
    + guard: from `guarded.guard`, for a file of the way in
    """
    if valid:
        valid(text)
    if newline:
        text = text.replace("\r\n", "\n").replace("\n", {"lf": "\n", "crlf": "\r\n"}[newline])
    content = text.encode()
    sha256 = hashlib.sha256(content).hexdigest()

    def differs(found: Found) -> str | None:
        if found is None:
            return "missing"
        if found["sha256"] != sha256:
            return found.get("is") or "content differs"
        return _access_differs(found, access)

    def request() -> dict[str, Any]:
        return {
            "content": base64.b64encode(content).decode(),
            "sha256": sha256,
            "access": access,
            "check": list(check),
            "proven_by": list(proven_by) if proven_by else None,
        }

    def difference(found: Found) -> str:
        same = found is not None and found["sha256"] == sha256
        return "" if same else before_after(dest, text, is_there=found is not None, secret=secret)

    resource = Resource("file", dest, differs, request, difference=difference, guard=guard)
    return wanted(name, resource, sha256=sha256)


def before_after(path: str, text: str, *, is_there: bool, secret: bool) -> str:
    """A unified difference between what the machine has and `text`; values of a secret file as `••••` only."""
    nonce = randomness.token_hex(16) if secret else None
    before = link.ask(host, "read", {"id": path, "nonce": nonce})["text"] if is_there else ""
    after = "".join(fingerprinted(text, nonce)) if nonce else text
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "there", "wanted", n=1, lineterm="")
    shown = [line for line in lines if not line.startswith(("---", "+++"))]
    if secret:
        shown = [line.partition("=")[0] + ("=••••" if "=" in line else "") for line in shown]
    if len(shown) > SHOWN_LINES:
        shown[SHOWN_LINES:] = [f"... and {len(shown) - SHOWN_LINES} lines more"]
    return "\n".join(shown)


def copied(name: str, dest: str, *, source: str, access: Access = "everyone", **more: Any) -> OperationMeta:
    """Have `dest` be the same as `source`, a file of this repository."""
    return config(name, dest, text=text_of(source), access=access, **more)


def text_of(source: str) -> str:
    """The text of a file of this repository."""
    return (REPOSITORY / source).read_text(encoding="utf-8")


def directory(name: str, path: str, *, access: Access = "everyone") -> OperationMeta:
    """Have a directory with that access. It leaves with the data only when it is empty."""

    def differs(found: Found) -> str | None:
        return "missing" if found is None else _access_differs(found, access)

    return wanted(name, Resource("directory", path, differs, lambda: {"access": access}), {"access": access})


def _access_differs(found: Mapping[str, Any], access: Access) -> str | None:
    return None if found["access"] == access else f"access is {found['access']}, not {access}"

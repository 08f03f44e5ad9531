"""Folders of ours that were there before us: what somebody planted in them must not come to count as ours.

Below C:\\ and ProgramData, and wherever else everybody may make folders, a user could have made ours first. Owner and
access of the folder itself are set; what lies in it would stay that user's, and be run with our rights.
"""

from __future__ import annotations

import os
from typing import Optional

from ..errors import Refused, why_of
from ..home import Home
from ..system import State, System

KINDS = ("directory", "release", "venv", "service")


def others_may_change(system: System, home: Home, kind: str, name: str, spec: State) -> bool:
    """Whether others may change what is in the folder of a resource that is not noted as ours; False without one.

    Raises Refused when it, or anything below it, belongs to somebody else or leads elsewhere. `spec`: as the desk asks
    for the resource, or has it made. Looks only.
    """
    folder = _folder(system, home, kind, name, spec)
    return folder is not None and _survey(system, *folder, mend=False)


def adopt(system: System, home: Home, kind: str, name: str, spec: State) -> None:
    """Let nobody else change that folder or what is in it any more. Raises Refused as `others_may_change` does."""
    folder = _folder(system, home, kind, name, spec)
    if folder is not None:
        _survey(system, *folder, mend=True)


def _folder(system: System, home: Home, kind: str, name: str, spec: State) -> Optional[tuple[str, str]]:
    """(path, account that may write there besides administrators or ""); None for none, ours already, or not there.

    A folder that is given to a user is that user's: there is nothing to protect.
    """
    noted = home.entry(kind, name) if kind in KINDS else {}
    path: str = spec.get("state") or "" if kind == "service" else name
    if kind == "service":
        ours = noted.get("spec", {}).get("state") == path
    else:
        ours = bool(noted) or spec.get("access", "").startswith("only ")
    if kind not in KINDS or ours or not path or not os.path.lexists(path):
        return None
    account = system.account_of(spec) if kind == "service" else ""
    return None if account is None else (path, account)


def _survey(system: System, path: str, account: str, mend: bool) -> bool:
    """The folder first: closed, nobody puts anything into it behind our back; then each one in it before its own."""
    try:
        found = _one(system, path, path, account, top=True, mend=mend)
        if os.path.islink(path):  # an administrator's own
            found = _one(system, path, os.path.realpath(path), account, top=True, mend=mend) or found
        folders = [os.path.realpath(path)] if os.path.isdir(path) else []
        while folders:
            with os.scandir(folders.pop()) as entries:
                for each in entries:
                    found = _one(system, path, each.path, account, top=False, mend=mend) or found
                    if each.is_dir(follow_symlinks=False):
                        folders.append(each.path)
    except OSError as error:
        raise Refused(f"take over {path}", why_of(error), "see who works in it, then converge again") from error
    return found


def _one(system: System, path: str, at: str, account: str, *, top: bool, mend: bool) -> bool:
    found = system.look_over(at, account, top, mend)
    if found["link"]:
        why = f"{at} is a link to another place"
    elif found["owner"]:
        why = f"{at} belongs to {found['owner']}, who could have put anything there"
    else:
        return bool(found["wide"])
    fix = f"see who made that; move {path} away, or have administrators own all of it, and converge again"
    raise Refused(f"take over {path}", why, fix)

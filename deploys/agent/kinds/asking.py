"""One token through the gateway's door: what shows that it does not only listen."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request

from ..errors import Refused, why_of
from ..system import State


def ask_token(ask: State, who: str) -> None:
    """`ask`: url, model, key_file, key_name, within_s: the key never leaves this machine. Raises Refused."""
    key = value_in(ask["key_file"], ask["key_name"])
    body = {"model": ask["model"], "max_tokens": 1, "messages": [{"role": "user", "content": "hello"}]}
    request = urllib.request.Request(
        ask["url"],
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {key}"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=ask["within_s"]) as reply:
            json.load(reply)["choices"][0]["message"]
    except urllib.error.HTTPError as error:
        said = error.read(2000).decode(errors="replace").replace(key, "***")
        raise Refused(f"get a token from {who}", f"it says {error.code}: {said[:300]}", "see what it says") from error
    except (OSError, ValueError, LookupError, TypeError, http.client.HTTPException) as error:
        raise Refused(f"get a token from {who}", why_of(error), "see its log on the machine") from error


def value_in(path: str, name: str) -> str:
    """The value of `NAME=value` in an environment file."""
    try:
        with open(path, encoding="utf-8") as file:
            for line in file:
                key, _, value = line.rstrip("\n").partition("=")
                if key == name:
                    return value
    except OSError as error:
        raise Refused(f"read {name}", why_of(error), "converge again") from error
    raise Refused(f"read {name}", f"{path} does not name it", "converge again")

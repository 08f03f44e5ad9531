"""Asking the internet from a machine that may not know a server's root certificate yet.

A bare Windows holds few of them: it fetches the others when one of its own programs meets a server that needs them.
Python and uv only look at what is there.
"""

from __future__ import annotations

import http.client
import ssl
import urllib.request
from typing import Optional

from .system import System

TRUST_FIX = "check that machine's clock and whose certificates it trusts, then converge again"


def ask(system: System, request: urllib.request.Request, timeout_s: float) -> http.client.HTTPResponse:
    """As `urlopen`, and once more when the system could learn a root certificate. Raises what `urlopen` does."""
    try:
        reply: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=timeout_s)
    except OSError as error:
        if untrusted(error) is None or not system.learn_root(request.full_url):
            raise
        urllib.request.install_opener(urllib.request.build_opener())  # the one before knows what was known then
        reply = urllib.request.urlopen(request, timeout=timeout_s)
    return reply


def untrusted(error: BaseException) -> Optional[str]:
    """Why the server's certificate was not accepted; None for any other error."""
    reason = getattr(error, "reason", error)
    if not isinstance(reason, ssl.SSLCertVerificationError):
        return None
    return f"its certificate is not accepted: {reason.verify_message}"

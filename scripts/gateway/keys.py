"""Runs inside LiteLLM, beside config.yaml: who may come in. Without a database LiteLLM itself answers a missing key
with 500 and a wrong one with 400; a door should say 401.

config.yaml loads it with `general_settings.custom_auth: keys.user_api_key_auth`.
"""

from __future__ import annotations

import hmac
import os

from fastapi import Request
from litellm.proxy._types import LitellmUserRoles, ProxyException, UserAPIKeyAuth

MASTER_KEY = os.environ["LITELLM_MASTER_KEY"]


async def user_api_key_auth(request: Request, api_key: str) -> UserAPIKeyAuth:
    """The one key of the house opens every lane. Raises 401 for any other, in constant time."""
    given = (api_key or "").removeprefix("Bearer ")
    if not hmac.compare_digest(given.encode(), MASTER_KEY.encode()):
        raise ProxyException(message="this key opens nothing here", type="auth_error", param="api_key", code=401)
    return UserAPIKeyAuth(api_key=given, key_alias="master", user_role=LitellmUserRoles.PROXY_ADMIN)

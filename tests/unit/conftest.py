"""How all unit tests run: property tests by number of examples, never by the clock of a busy machine."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("house", deadline=None, max_examples=40)
settings.load_profile("house")

"""What most kinds of resources have in common: each resource is looked at by itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Optional

from .home import Home
from .system import State, System


class OneByOne(ABC):
    """A kind that knows the state of one resource from its identity alone."""

    def __init__(self, system: System, home: Home) -> None:
        self.system = system
        self.home = home

    def look(self, asked: dict[str, State]) -> dict[str, Optional[State]]:
        return {name: self.state(name) for name in asked}

    @abstractmethod
    def state(self, name: str) -> Optional[State]:
        """The resource as it is, None when it is not there. Raises Refused when that cannot be seen."""

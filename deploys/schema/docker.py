"""What the data says of Docker where it is no service of the system."""

from __future__ import annotations

from collections.abc import Sequence

from deploys.schema.base import Data, data
from deploys.schema.system import Feature, Installer, RegistryValue


@data
class DockerDesktop(Data):
    """Docker as a program of one user, in whose session its engine runs. A machine without this data has a service.

    `user`: that user, as the system spells the name. What a container is given must be readable for it.
    `features`, `installers`: what it takes, in that order; `settings`: that it starts when its user logs on.
    `starter`: the task that starts the containers with the machine.
    """

    user: str
    installers: Sequence[Installer]
    features: Sequence[Feature] = ()
    settings: Sequence[RegistryValue] = ()
    starter: str = "start-containers"

    def refuse_nonsense(self) -> None:
        if not self.user.strip():
            self.refuse("user", "names nobody: its engine runs in a user's session")

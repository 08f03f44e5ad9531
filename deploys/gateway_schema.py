"""What the data says of the gateway where it runs without a container. Same manners as `schema`."""

from __future__ import annotations

from deploys.schema import Data, Release, data


@data
class Program(Data):
    """A program: of a published archive, whose versions lie below `home`, or without one the machine's own."""

    program: str
    home: str = ""
    release: Release | None = None

    def refuse_nonsense(self) -> None:
        if (self.release is None) != (self.home == ""):
            self._refuse("home", "must say where the release's versions lie, and nothing without a release")


@data
class GatewayNative(Data):
    """The gateway without a container on a system: a virtual environment made by uv, run as a service of ours.

    `inside`: the environment's own Python, in it. `state`: all that the service's account may write.
    `index`: where packages come from; none is uv's own default. `room_gb`: what must be free to make it.
    """

    uv: Program
    python: Program
    venvs: str
    inside: str
    state: str
    service: str = "litellm"
    ollama_url: str = "http://127.0.0.1:11434"
    index: str | None = None
    room_gb: float = 3.0

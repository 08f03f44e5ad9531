"""All lanes at once, until they are stopped."""

import argparse
import asyncio
import contextlib

from .lanes import Clouds


async def _main(host: str) -> None:
    clouds = Clouds(host)
    await clouds.start()
    print(f"clouds: {', '.join(f'{name} {lane.port}' for name, lane in clouds.lanes.items())}", flush=True)
    print(f"clouds: control {clouds.control_port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The lab's cloud lanes and Slack.")
    parser.add_argument("--host", default="0.0.0.0", help="address to bind (default: all)")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main(parser.parse_args().host))

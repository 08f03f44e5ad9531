"""Converge G16, the desk and client:  pyinfra inventory.py deploys/g16.py"""

from pyinfra import host

from deploys.roles import brain, machine, models, ollama, retired, ssh, system, tailscale

if "g16" in host.groups:
    with machine.converging():
        # The way in comes first: everything else travels on it.
        tailscale.healthy()
        ssh.harden()

        # Then the machine itself, whatever of it the data names.
        system.apply()

        # Its own small model, for when the road to Apex is cut.
        ollama.serve()
        models.hold()

        # The command that asks.
        brain.install()

        # Last, the burial of what the data no longer names.
        retired.remove()

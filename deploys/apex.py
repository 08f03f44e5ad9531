"""Converge Apex, the machine that thinks:  pyinfra inventory.py deploys/apex.py"""

from pyinfra import host

from deploys.roles import docker, gateway, machine, models, ollama, retired, ssh, system, tailscale

if "apex" in host.groups:
    with machine.converging():
        # The way in comes first: everything else travels on it.
        tailscale.healthy()
        ssh.harden()

        # Then what runs containers, where bootstrap could not bring it: it may want the restart that comes next.
        docker.ready()

        # Then the machine itself: who may come in, that it never sleeps, what must not stand in our way.
        system.apply()

        # Then the engine, then what it serves, then the door to it.
        ollama.serve()
        models.hold()  # slow on a bare machine: gigabytes, resumable
        gateway.serve()

        # Last, the burial of what the data no longer names.
        retired.remove()

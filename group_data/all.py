"""What all machines agree on."""

from deploys.lib.transport import low_latency
from deploys.schema import Tailnet

# A frozen link fails after these, in and between commands, instead of hanging for ever.
_timeout = 60
ssh_paramiko_connect_kwargs = {
    "transport_factory": low_latency,
    "timeout": 15,
    "banner_timeout": 20,
    "auth_timeout": 20,
    "channel_timeout": 20,
}
ssh_connect_retries = 2  # the first connection over a fresh tailnet path can take ten seconds

# An unknown host key ends that machine: connect once by hand (`ssh apex`) and compare what it shows.
ssh_strict_host_key_checking = "yes"

tailnet = Tailnet(oldest_version="1.90.0", key_days_left=14)

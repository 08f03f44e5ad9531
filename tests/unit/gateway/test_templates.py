"""templates/gateway/: the files as a person and as Docker read them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import yaml

from deploys.lib.litellm import environment
from tests.unit.gateway.samples import GATEWAY, VALUES, render, sample_config, sample_wiring

BRIDGE = dataclasses.replace(GATEWAY, network="bridge", port=4400)


def compose(gateway: Any, bind_address: str = "100.64.0.1") -> Any:
    return yaml.safe_load(render("compose.yaml.j2", gateway=gateway, bind_address=bind_address))["services"]["litellm"]


def test_no_secret_stands_in_the_config() -> None:
    assert not any(value in sample_config() for value in VALUES.values())


def test_the_config_reads_as_one_block_for_each_lane_and_route() -> None:
    assert "  # route, private: local\n  - model_name: private\n" in sample_config()
    assert "    - default: [cerebras, gemini]\n" in sample_config()
    general = yaml.safe_load(sample_config())["general_settings"]
    assert general == {"master_key": "os.environ/LITELLM_MASTER_KEY", "custom_auth": "keys.user_api_key_auth"}


def test_on_the_hosts_network_litellm_itself_binds_the_tailnet_address() -> None:
    service = compose(GATEWAY)
    assert service["network_mode"] == "host"
    assert "ports" not in service
    assert service["command"][2:6] == ["--host", "100.64.0.1", "--port", "4000"]
    assert "http://100.64.0.1:4000/health/liveliness" in service["healthcheck"]["test"][-1]


def test_on_a_bridge_docker_publishes_the_address() -> None:
    service = compose(BRIDGE)
    assert "network_mode" not in service
    assert service["ports"] == ["100.64.0.1:4400:4000"]
    assert service["command"][2:6] == ["--host", "0.0.0.0", "--port", "4000"]
    assert "http://127.0.0.1:4000/health/liveliness" in service["healthcheck"]["test"][-1]


@pytest.mark.parametrize("gateway", [GATEWAY, BRIDGE])
def test_the_images_own_folder_is_left_alone(gateway: Any) -> None:
    service = compose(gateway)
    assert service["volumes"] == ["./app:/gateway:ro", "./gateway.env:/run/gateway.env:ro"]
    assert service["entrypoint"] == ["python3", "/gateway/start.py"]
    assert service["command"][:2] == ["--config", "/gateway/config.yaml"]
    assert service["command"][-2:] == ["--num_workers", "1"]
    assert all(isinstance(word, str) for word in service["command"])


def test_docker_is_told_no_secret(tmp_path: Any) -> None:
    """The runtime keeps a container's environment in files that every user of the machine may read."""
    assert not {"env_file", "environment"} & set(compose(GATEWAY))


def test_the_environment_file_is_one_line_a_name() -> None:
    pairs = environment(GATEWAY, sample_wiring(), VALUES)
    lines = render("gateway.env.j2", environment=pairs).splitlines()
    assert lines == [f"{name}={value}" for name, value in pairs]

"""What the container files promise: no root, no secret, no port for everybody, no rule in the image."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.container_files import (
    ROOT,
    build_context,
    read_compose,
    read_dockerfile,
)
from tests.test_docs import command_tree, misfit

GATEWAY, CLI = "openclaw-gateway", "openclaw-cli"


def image():
    return read_dockerfile()[-1]


def service(name):
    return read_compose()["services"][name]


def test_the_base_is_pinned_by_a_tag_that_names_version_and_distribution():
    bases = {stage.base for stage in read_dockerfile()}

    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+", bases.pop())


def test_the_image_never_runs_as_root():
    assert image().last("USER").rest == "1000:1000"
    names = [one.name for one in image().instructions]
    assert "RUN" not in names[names.index("USER") :]


def test_only_the_built_environment_comes_from_the_build_stage():
    copies = [one.rest for one in image().all("COPY")]

    assert copies == ["--from=build /opt/openclaw /opt/openclaw"]


def test_the_volume_is_the_state_directory_with_its_owner_set_before():
    names = [one.name for one in image().instructions]

    assert image().last("VOLUME").rest == image().env["OPENCLAW_STATE_DIR"]
    assert names.index("RUN") < names.index("VOLUME")
    assert "install -d -m 0700 -o 1000 -g 1000 /var/lib/openclaw" in image().all("RUN")[0].rest


def test_the_image_starts_the_gateway_as_process_1_without_any_rule():
    assert image().last("ENTRYPOINT").words == ["openclaw"]
    assert image().last("CMD").words == ["gateway", "run", "--bind", "lan"]
    assert image().last("STOPSIGNAL").rest == "SIGTERM"
    assert image().last("EXPOSE").rest == "18789"
    assert "auto-approve" not in "".join(one.rest for one in image().instructions)
    assert "tini" not in (ROOT / "Dockerfile").read_text()


def test_health_is_what_the_gateway_says_not_that_its_process_exists():
    assert image().health_check == ["openclaw", "gateway", "health", "--probe"]


def test_no_secret_is_in_the_image_or_in_the_compose_file():
    texts = [(ROOT / name).read_text() for name in ("Dockerfile", "compose.yaml")]
    variables = re.findall(r"OPENCLAW_[A-Z_]*(?:TOKEN|PASSWORD)[A-Z_]*", "".join(texts))

    assert set(variables) == {"OPENCLAW_GATEWAY_TOKEN_FILE"}
    assert "TOKEN" not in texts[0]


def test_the_engine_gets_what_the_image_is_built_from_and_nothing_else():
    context = build_context()

    top = {name.partition("/")[0] for name in context}
    assert top == {
        *("LICENSE", "README.md", "cli", "constraints.txt", "gateway", "pyproject.toml"),
        *("stores", "systemd"),
    }
    assert not [name for name in context if "__pycache__" in name]
    assert "gateway/ui/index.html" in context


def test_the_port_is_published_on_the_hosts_loopback_alone():
    assert service(GATEWAY)["ports"] == ["127.0.0.1:18789:18789"]
    assert "ports" not in service(CLI)


def test_the_rule_published_port_is_switched_on_where_the_port_is_published():
    words = service(GATEWAY)["command"]

    assert words[words.index("--auto-approve") + 1] == "published-port"


def test_the_commands_that_messages_name_reach_into_the_container():
    prefix = service(GATEWAY)["environment"]["OPENCLAW_REMEDY_PREFIX"]

    assert prefix == f"docker compose exec {GATEWAY}"


def test_a_configuration_that_breaks_later_does_not_make_the_container_loop():
    assert "--last-known-good" in service(GATEWAY)["command"]
    assert service(GATEWAY)["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", [GATEWAY, CLI])
def test_a_container_can_do_no_more_than_it_must(name):
    one = service(name)

    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert one["tmpfs"] == ["/tmp"]
    assert not {"privileged", "cap_add", "user", "pid", "ipc"} & set(one)


def test_the_run_line_of_the_how_to_is_as_narrow_as_the_compose_file():
    text = (ROOT / "docs" / "how-to" / "container.md").read_text().replace("\\\n", " ")
    (line,) = [one for one in text.splitlines() if one.startswith("docker run ")]
    words = shlex.split(line)

    assert "--read-only" in words
    given = dict(pairwise(words))
    assert given["--cap-drop"] == "ALL"
    assert given["--security-opt"] == "no-new-privileges"
    assert given["--tmpfs"] == "/tmp"
    assert given["-p"] == service(GATEWAY)["ports"][0]
    assert given["-v"] == service(GATEWAY)["volumes"][0]
    assert given["--restart"] == service(GATEWAY)["restart"]


@pytest.mark.parametrize("name", [GATEWAY, CLI])
def test_the_token_is_a_file_that_both_services_read(name):
    one = service(name)
    compose = read_compose()

    assert one["environment"]["OPENCLAW_GATEWAY_TOKEN_FILE"] == "/run/secrets/gateway-token"
    assert one["secrets"] == ["gateway-token"]
    assert compose["secrets"]["gateway-token"]["file"] == "./secrets/gateway-token"
    assert "/secrets/" in (ROOT / ".gitignore").read_text().splitlines()


def test_both_services_share_the_volume_and_the_network():
    volumes = {name: service(name)["volumes"] for name in (GATEWAY, CLI)}

    assert volumes[GATEWAY] == volumes[CLI] == ["openclaw-state:/var/lib/openclaw"]
    assert "openclaw-state" in read_compose()["volumes"]


def test_the_variables_of_the_published_compose_file_move_state_and_port():
    env = {"OPENCLAW_CONFIG_DIR": "/home/ada/.openclaw", "OPENCLAW_GATEWAY_PORT": "28789"}

    services = read_compose(env)["services"]

    assert services[GATEWAY]["ports"] == ["127.0.0.1:28789:18789"]
    for name in (GATEWAY, CLI):
        assert services[name]["volumes"] == ["/home/ada/.openclaw:/var/lib/openclaw"]
    assert service(CLI)["network_mode"] == f"service:{GATEWAY}"
    assert service(CLI)["image"] == service(GATEWAY)["image"]
    assert service(CLI)["profiles"] == ["cli"], "it runs when it is called, not with `up`"


def test_every_command_in_the_container_files_is_one_there_is():
    root = command_tree()
    lines = [
        " ".join(image().last("CMD").words),
        " ".join(image().health_check[1:]),
        *(" ".join(service(name)["command"]) for name in (GATEWAY, CLI)),
    ]

    assert [line for line in lines if misfit(root, line)] == []


def test_the_engine_has_time_to_stop_the_gateway():
    from gateway.app import DRAIN_S

    assert float(service(GATEWAY)["stop_grace_period"].removesuffix("s")) > 2 * DRAIN_S


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("FROM a\nADD http://x /x", id="unknown-instruction"),
        pytest.param("FROM a b c", id="from-that-is-none"),
    ],
)
def test_a_dockerfile_that_is_not_understood_is_not_passed_over(text):
    with pytest.raises(AssertionError):
        read_dockerfile(text)


@pytest.mark.parametrize(
    ("judge", "words"),
    [
        pytest.param("hadolint", ("Dockerfile",), id="dockerfile"),
        pytest.param(
            "check-jsonschema",
            ("--builtin-schema", "vendor.compose-spec", "compose.yaml"),
            id="compose-file",
        ),
    ],
)
def test_who_knows_the_language_finds_nothing(judge, words):
    beside = Path(sys.executable).parent
    done = subprocess.run(
        [beside / judge, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr

"""The services of compose.yaml, run as written: what the first screen of a newcomer relies on."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, frozen

from tests.container_files import read_compose
from tests.scenarios.clients import Knock, knock, new_key
from tests.scenarios.container_image import Container, Image, started
from tests.scenarios.namespaces import BOX_ADDRESS, HOST_ADDRESS, Namespace, container_network
from tests.scenarios.programs import Finished, eventually, openclaw, running, wait_for_port
from tests.scenarios.test_s06_docker_nat import FORWARDER

pytestmark = [pytest.mark.slow, pytest.mark.real("namespaces", "registry")]
PORT = 18789
TOKEN = "the-token-of-the-secret-file"
HERE = f"127.0.0.1:{PORT}"
PREFIX = "docker compose exec openclaw-gateway openclaw"


@frozen
class Project:
    """The project after `docker compose up`; ``host`` is where its port is published."""

    image: Image
    gateway: Container
    host: Namespace
    box: Namespace
    volume: Path
    secret: Path

    def cli(self, *words: str) -> Finished:
        """Do what `docker compose run --rm openclaw-cli WORDS` does."""
        output = self.volume.with_name("cli-said")
        output.unlink(missing_ok=True)
        with service(
            self.image, "openclaw-cli", self.box, self.volume, self.secret, output, words
        ) as one:
            code = one.process.wait(20)
            return Finished(code, one.said(), "")

    def browse(self, **wanted: Any) -> Knock:
        """Connect through the published port as the page of a browser on the host does."""
        words = {"host": HERE, "origin": f"http://{HERE}", "token": TOKEN, "key": new_key()}
        page = {"client_id": "openclaw-control-ui", "mode": "webchat"}
        return self.host.call(partial(knock, PORT, **words | page | wanted))

    def everything_kept(self) -> str:
        """Return the text of all files of the volume."""
        return "".join(
            file.read_text(errors="replace") for file in self.volume.rglob("*") if file.is_file()
        )


@contextmanager
def service(
    image: Image,
    name: str,
    network: Namespace,
    volume: Path,
    secret: Path,
    output: Path,
    words: tuple[str, ...] = (),
) -> Iterator[Container]:
    """Start a service as the compose file says: command, variables, secret and volume."""
    written = read_compose()["services"][name]
    (mount,), (secret_name,) = written["volumes"], written["secrets"]
    mounts = {volume: mount.partition(":")[2], secret: f"/run/secrets/{secret_name}"}
    with started(
        image,
        output,
        *(words or written["command"]),
        network=network,
        env=written["environment"],
        mounts=mounts,
        name="9ab1c23d45e6" if name == "openclaw-gateway" else "0f0f0f0f0f0f",
    ) as one:
        yield one


@contextmanager
def publishing(network: tuple[Namespace, Namespace]) -> Iterator[None]:
    """Publish the port as the compose file says."""
    host, _ = network
    (published,) = read_compose()["services"]["openclaw-gateway"]["ports"]
    address, port, inner = published.split(":")
    assert address == "127.0.0.1"
    words = ("python3", str(FORWARDER), port, f"{BOX_ADDRESS}:{inner}")
    with running(*words, port=int(port), inside=host.words) as process:
        host.call(partial(wait_for_port, int(port), process))
        yield


@pytest.fixture
def project(image: Image, tmp_path: Path) -> Iterator[Project]:
    """Bring the project up as the how-to says."""
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o700)
    secret = folder / "gateway-token"
    secret.write_text(f"{TOKEN}\n")
    secret.chmod(0o644)
    volume = image.new_volume(tmp_path / "volume")
    with ExitStack() as stack:
        host, box = network = stack.enter_context(container_network())
        gateway = stack.enter_context(
            service(image, "openclaw-gateway", box, volume, secret, tmp_path / "said")
        )
        eventually(gateway.listens)
        stack.enter_context(publishing(network))
        yield Project(image, gateway, host, box, volume, secret)


def test_the_first_screen_says_the_rule_the_source_of_the_token_and_commands_that_work(
    project: Project,
) -> None:
    said = project.gateway.said()

    assert "auth mode token, from env OPENCLAW_GATEWAY_TOKEN_FILE" in said
    assert "without approval by the rule published-port" in said
    assert f"let one in:         {PREFIX} devices approve CODE" in said
    assert "not used" not in said
    assert project.gateway.execute(*project.image.stage.health_check).code == 0


def test_the_token_is_in_no_file_no_output_and_no_process(project: Project) -> None:
    project.gateway.execute("openclaw", "devices", "list")
    processes = project.gateway.execute("cat", "/proc/1/cmdline", "/proc/1/environ", root=True)

    assert TOKEN not in project.gateway.said()
    assert TOKEN not in processes.out
    assert TOKEN not in project.everything_kept()


def test_a_browser_on_the_host_comes_in_by_the_token_alone(project: Project) -> None:
    admitted = project.browse()
    listed = project.gateway.execute("openclaw", "devices", "list", "--json")

    assert admitted.admitted, admitted.response
    assert listed.code == 0, listed
    vias = {one["approvedVia"] for one in json.loads(listed.out)["paired"]}
    assert "published-port" in vias
    assert "operator.admin" not in admitted.auth["scopes"]


def test_a_browser_without_the_token_stays_out(project: Project) -> None:
    refused = project.browse(token="another")

    assert not refused.admitted
    assert refused.details["code"] == "AUTH_TOKEN_MISMATCH"


def test_a_command_on_the_host_waits_until_it_is_approved_with_the_command_it_is_told(
    project: Project, tmp_path: Path
) -> None:
    words = ("devices", "list", "--json", "--token-file", str(project.secret))
    home = tmp_path / "host-home" / ".openclaw"
    home.mkdir(parents=True, mode=0o700)

    refused = openclaw(home, *words, inside=project.host.words)
    told = refused.json["error"]["details"]
    (line,) = [one for one in project.gateway.said().splitlines() if "closed before connect" in one]
    command = f"devices approve {told['requestId']}"
    approved = project.gateway.execute("openclaw", *command.split())
    admitted = openclaw(home, *words, inside=project.host.words)

    assert refused.code == 1, refused
    assert told["saw"]["client"] == HOST_ADDRESS
    assert f"{PREFIX} {command}" in line
    assert approved.code == 0, approved
    assert admitted.code == 0, admitted


def test_the_second_service_reaches_the_gateway_as_its_own_machine(project: Project) -> None:
    knocked = project.browse(origin="http://192.168.1.5:18789", host="192.168.1.5:18789")
    listed = project.cli()
    approved = project.cli("devices", "approve", knocked.request_id)
    health = project.cli("health")

    assert listed.code == 0, listed
    assert knocked.request_id in listed.out
    assert approved.code == 0, approved
    assert health.code == 0, health
    assert "local state" not in listed.out


def test_the_second_service_works_on_the_volume_while_the_gateway_is_down(
    project: Project,
) -> None:
    knocked = project.browse(origin="http://192.168.1.5:18789", host="192.168.1.5:18789")
    assert project.gateway.stop() == 0

    approved = project.cli("devices", "approve", knocked.request_id, "--offline")

    assert approved.code == 0, approved
    assert len(json.loads((project.volume / "devices" / "paired.json").read_text())) == 1


def test_a_configuration_that_breaks_later_is_no_reason_to_stay_down(
    image: Image, project: Project, tmp_path: Path
) -> None:
    done = project.gateway.execute("openclaw", "config", "set", "logging.level", "debug")
    assert done.code == 0, done
    eventually(lambda: "config reloaded" in project.gateway.said_by_now())
    eventually(lambda: any(project.volume.glob("config-history/*good*")))
    project.gateway.stop()
    (project.volume / "openclaw.json").write_text("{gateway: {broken")

    output = tmp_path / "again"
    with service(
        image, "openclaw-gateway", project.box, project.volume, project.secret, output
    ) as again:
        eventually(again.listens)

        assert "running on the last-known-good configuration" in again.said()
        assert TOKEN not in again.said()


def test_what_keeps_it_down_is_found_and_mended_in_a_container_of_its_own(
    image: Image, project: Project, tmp_path: Path
) -> None:
    project.gateway.execute("openclaw", "config", "set", "logging.level", "debug")
    eventually(lambda: any(project.volume.glob("config-history/*good*")))
    project.gateway.stop()
    (project.volume / "openclaw.json").write_text("{gateway: {broken")
    place = (project.box, project.volume, project.secret)

    def run_once(*words: str) -> Finished:
        output = tmp_path / "-".join(words)
        with service(image, "openclaw-gateway", *place, output, words) as one:
            return Finished(one.process.wait(20), one.said(), "")

    looked = run_once("config", "validate")
    mended = run_once("config", "rollback", "good", "--yes")
    again = run_once("config", "validate")

    assert looked.code == 1, looked
    assert mended.code == 0, mended
    assert again.code == 0, again


def test_an_archive_of_the_running_volume_is_a_gateway_with_the_same_devices(
    image: Image, project: Project, tmp_path: Path
) -> None:
    key = new_key()
    first = project.browse(key=key)
    packed = project.gateway.execute(
        *("sh", "-c", "tar -cf - -C /var/lib/openclaw . > /tmp/backup.tar")
    )
    archive = Path(f"/proc/{project.gateway.init}/root/tmp/backup.tar").read_bytes()
    project.gateway.stop()
    volume = image.new_volume(tmp_path / "restored")
    unpack = [*image.as_user({}), "tar", "-xf", "-", "-C", "/proc/self/cwd"]
    subprocess.run(unpack, cwd=volume, input=archive, check=True)

    with (
        container_network() as network,
        service(
            image, "openclaw-gateway", network[1], volume, project.secret, tmp_path / "new"
        ) as new,
    ):
        eventually(new.listens)
        checked = new.execute("openclaw", "devices", "verify")
        with publishing(network):
            restored = evolve(project, gateway=new, host=network[0], box=network[1], volume=volume)
            back = restored.browse(key=key, token=None, device_token=first.auth["deviceToken"])

    assert packed.code == 0, packed
    assert checked.code == 0, checked
    assert back.admitted, back.response


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        pytest.param("", 0o644, "does not hold a token on one line", id="empty"),
        pytest.param("t", 0o600, "Permission denied", id="not-readable-inside"),
    ],
)
def test_a_token_file_that_cannot_be_used_is_78_and_named(
    image: Image, tmp_path: Path, text: str, mode: int, words: str
) -> None:
    secret = tmp_path / "gateway-token"
    secret.write_text(text)
    secret.chmod(mode)
    volume = image.new_volume(tmp_path / "volume")
    with (
        container_network() as (_, box),
        service(image, "openclaw-gateway", box, volume, secret, tmp_path / "said") as one,
    ):
        assert one.process.wait(10) == 78
        assert "OPENCLAW_GATEWAY_TOKEN_FILE" in one.said()
        assert words in one.said()

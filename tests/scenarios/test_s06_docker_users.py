"""A published port as its host's users see it: who runs what must make no difference.

The forwarder is root's, as the engine's is; the gateway in the container and whoever types the
commands are root, or somebody, or somebody else.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.scenarios.namespaces import HOST_ADDRESS, new_namespace
from tests.scenarios.programs import (
    free_port,
    openclaw,
    running,
    running_gateway,
    wait_for_port,
)
from tests.scenarios.test_s06_docker_nat import (
    FORWARDER,
    TOKEN,
    Published,
    Users,
    as_user,
    config,
    publishing,
)

pytestmark = [pytest.mark.slow, pytest.mark.real("namespaces", "another-user")]

SOMEBODY, ANOTHER = 1000, 4242
USERS = [
    pytest.param(Users(gateway=0, caller=0), id="root-root"),
    pytest.param(Users(gateway=SOMEBODY, caller=0), id="somebody-root"),
    pytest.param(Users(gateway=0, caller=ANOTHER), id="root-another"),
    pytest.param(Users(gateway=SOMEBODY, caller=ANOTHER), id="somebody-another"),
    pytest.param(Users(gateway=SOMEBODY, caller=SOMEBODY), id="somebody-somebody"),
]
STATUS = ("gateway", "status")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder that every user may enter."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(params=USERS)
def published(request: pytest.FixtureRequest, folder: Path) -> Iterator[Published]:
    """Run the gateway as one user and the commands as another."""
    with publishing(folder, (), users=request.param) as one:
        yield one


def test_a_port_that_is_passed_on_is_no_fault_of_the_set_up(published: Published) -> None:
    before = published.on_host(*STATUS, "--json")
    published.on_host("devices", "list")
    (request_id,) = published.gateway.kept("pending.json")
    assert published.in_box("devices", "approve", request_id).code == 0
    after = published.on_host(*STATUS, "--json")
    said = published.on_host(*STATUS)
    overview = published.on_host("status")

    for done, let_in in ((before, False), (after, True)):
        process, handshake, authorisation = done.json["verdicts"].values()
        assert (process["ok"], handshake["ok"], authorisation["ok"]) == (None, True, let_in)
        port = published.gateway.port
        assert re.search(f"answers on port {port} through (a )?process ", process["saw"])
        assert f"not of {published.home}/.openclaw" in process["saw"]
        assert process["remedy"]["where"] == "container"
        assert process["remedy"]["command"] == "docker exec CONTAINER openclaw gateway status"
    if published.users.caller == 0:  # who may look is told which program it is
        assert FORWARDER.name in process["saw"]
    assert after.json["ok"] is True
    whole = said.out + overview.out
    assert "lets this command in (admin-capable); a gateway answers on port" in " ".join(
        overview.out.split()
    )
    for wrong in ("failed", "config set gateway.port", "nd that program", "sudo", "something"):
        assert wrong not in whole


def test_the_command_is_typed_in_the_container_and_lets_the_user_in(published: Published) -> None:
    commands = [("devices", "list"), ("health",), ("devices", "remove", "--yes", "a-device")]
    refused = [published.on_host(*words) for words in commands]
    told = published.on_host("health", "--json").json["error"]
    (request_id,) = published.gateway.kept("pending.json")
    # what is printed is copied, and then in the wrong place, too
    again = published.on_host("devices", "approve", request_id)

    approve = f"openclaw devices approve {request_id}"
    last = f"Run inside the gateway's container: docker exec CONTAINER {approve}"
    for done in (*refused, again):
        assert done.code == 1, done
        assert done.err.splitlines()[-1] == last
        assert f"the gateway sees it as {HOST_ADDRESS}" in done.err
        assert "sudo" not in done.err
    assert told["remedy"]["command"] == f"docker exec CONTAINER {approve}"
    assert told["remedy"]["where"] == "container"
    typed_there = told["remedy"]["command"].removeprefix("docker exec CONTAINER openclaw ")
    assert published.in_box(*typed_there.split()).code == 0
    assert published.on_host("devices", "list").code == 0


def test_a_wrong_token_is_blamed_on_no_other_gateway(published: Published) -> None:
    for words in (("devices", "list"), ("health",)):
        refused = published.on_host(*words, "--token", "not-the-token")

        assert refused.code == 1, refused
        assert "unauthorized: gateway token mismatch\n" in refused.err
        assert "Credential: --token" in refused.err
        assert "sudo" not in refused.err


def test_a_gateway_of_the_forwarders_user_on_another_port_is_not_taken_for_it(
    folder: Path,
) -> None:
    beside = config(folder / "beside" / ".openclaw")
    with (
        publishing(folder, (), users=Users(gateway=0, caller=ANOTHER)) as one,
        running_gateway(beside, inside=one.host.words),
    ):
        refused = one.on_host("devices", "list")

    assert "docker exec CONTAINER openclaw devices approve" in refused.err.splitlines()[-1]
    assert "sudo" not in refused.err


def test_the_doctor_finds_nothing_wrong_with_such_a_port(published: Published) -> None:
    file = published.home / ".openclaw" / "openclaw.json"
    gateway = {"auth": {"token": TOKEN}, "port": published.gateway.port}
    file.write_text(json.dumps({"gateway": gateway}))

    done = published.on_host("doctor", "--json")

    ports = {one["id"]: one for one in done.json["findings"] if one["id"].startswith("port-")}
    assert list(ports) == ["port-passed-on"]
    assert ports["port-passed-on"]["severity"] == "info"
    assert ports["port-passed-on"]["command"] == "docker exec CONTAINER openclaw doctor"
    assert f"port {published.gateway.port} is held by" in ports["port-passed-on"]["saw"]


def test_a_look_that_dials_nothing_blames_nobody(published: Published) -> None:
    done = published.on_host(*STATUS, "--no-probe", "--json")

    process = done.json["verdicts"]["process"]
    assert process["ok"] is None
    assert "nothing was dialled" in process["saw"]
    assert process["remedy"]["command"] == "openclaw gateway status"


@pytest.mark.parametrize("caller", [0, ANOTHER], ids=["root", "another"])
def test_a_program_that_is_no_gateway_is_told_as_one(folder: Path, caller: int) -> None:
    port = free_port()
    state_dir = config(folder / "home" / ".openclaw", owner=caller)
    web = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    with (
        new_namespace() as host,
        running(
            *as_user(SOMEBODY),
            *web,
            "--directory",
            str(folder),
            port=port,
            inside=host.words,
        ) as process,
    ):
        host.call(partial(wait_for_port, port, process))
        inside = (*host.words, *as_user(caller))
        done = openclaw(state_dir, *STATUS, "--json", inside=inside, port=port)

    found, handshake, _ = done.json["verdicts"].values()
    assert (found["ok"], handshake["ok"]) == (False, False)
    assert "uses another one" not in found["saw"]
    assert "SimpleHTTP" in handshake["saw"]
    assert found["remedy"]["command"].startswith("openclaw config set gateway.port ")
    if caller == 0:
        assert f"process {process.pid} of user" in found["saw"]
        assert "http.server" in found["saw"]
        assert "end that program" in found["remedy"]["sentence"]
    else:
        assert "which does not answer as a gateway" in found["saw"]
        assert "sudo" not in found["remedy"]["sentence"]

"""The shared token: made once, by whoever comes first, into the file that is in force."""

import json
import stat
import threading

import json5
import pytest

from stores.config.edit import ensure_token
from stores.config.json5 import plain_json
from stores.config.load import load_config
from stores.errors import ConfigError
from stores.paths import Paths


def paths_of(tmp_path):
    return Paths(tmp_path, tmp_path / "openclaw.json")


COMMENTED = """\
// my gateway
{
  gateway: {
    port: 18789, // the usual one
    auth: { mode: 'token' },
    /* proxies */
    trustedProxies: [
      "127.0.0.1", // nginx
    ],
  }, // end
}
"""


@pytest.mark.parametrize("name", ["openclaw.json", "openclaw.toml"])
def test_a_new_file_is_commented_and_holds_the_token(tmp_path, name):
    paths = Paths(tmp_path / "state", tmp_path / "state" / name, "state directory")
    if name == "openclaw.toml":
        paths = Paths(tmp_path / "state", tmp_path / "state" / name, "--config")

    path = ensure_token(paths, env={}, new_token=lambda: "n3w")

    assert path == paths.config_path
    assert load_config(paths, {}).document == {
        "gateway": {"mode": "local", "auth": {"token": "n3w"}}
    }
    assert path.read_text().startswith(("//", "#"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_new_file_is_plain_json_but_for_its_comments(tmp_path):
    path = ensure_token(paths_of(tmp_path), env={}, new_token=lambda: "n3w")

    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("//")]
    assert json.loads("\n".join(lines)) == json5.loads(path.read_text())
    assert json.loads(plain_json(path.read_text())) == json5.loads(path.read_text())


def test_a_token_is_set_in_the_file_that_lacks_one(tmp_path):
    (tmp_path / "openclaw.json").write_text(COMMENTED)

    path = ensure_token(paths_of(tmp_path), env={}, new_token=lambda: "n3w")

    assert path.read_text() == COMMENTED.replace("'token' }", "'token', token: \"n3w\" }")


@pytest.mark.parametrize(
    "auth",
    ['{token: "old"}', '{tokenFile: "f"}', '{token: "${T}"}'],
    ids=["value", "file", "reference"],
)
def test_a_file_that_names_a_token_is_left_alone(tmp_path, auth):
    text = f"{{gateway: {{auth: {auth}}}}}"
    (tmp_path / "openclaw.json").write_text(text)

    path = ensure_token(paths_of(tmp_path), env={"T": "x"}, new_token=lambda: "n3w")

    assert path.read_text() == text


def test_a_blank_token_is_replaced(tmp_path):
    (tmp_path / "openclaw.json").write_text('{gateway: {auth: {token: ""}}}')

    path = ensure_token(paths_of(tmp_path), env={}, new_token=lambda: "n3w")

    assert path.read_text() == '{gateway: {auth: {token: "n3w"}}}'


def _noted(made, name):
    made.append(name)
    return name


def test_of_two_starters_one_writes_and_the_other_reads(tmp_path):
    made: list[str] = []
    ready = threading.Barrier(8)

    def start(name):
        ready.wait()
        ensure_token(paths_of(tmp_path), env={}, new_token=lambda: _noted(made, name))

    threads = [threading.Thread(target=start, args=(f"t{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(made) == 1
    assert load_config(paths_of(tmp_path), {}).config.gateway.auth.token == made[0]


def test_the_folder_of_a_named_file_is_not_made_private(tmp_path):
    shared = tmp_path / "etc"
    shared.mkdir()
    shared.chmod(0o755)
    paths = Paths(tmp_path / "state", shared / "openclaw.json", "--config")

    ensure_token(paths, env={}, new_token=lambda: "t")

    assert stat.S_IMODE(shared.stat().st_mode) == 0o755


def test_nothing_is_written_through_a_link_to_nowhere(tmp_path):
    (tmp_path / "openclaw.json").symlink_to(tmp_path / "elsewhere.json")

    with pytest.raises(ConfigError, match="symbolic link"):
        ensure_token(paths_of(tmp_path), env={}, new_token=lambda: "t")

    assert not (tmp_path / "elsewhere.json").exists()

"""How this machine's own gateway is to be talked to: what it says in its lock, then its files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from attrs import evolve

from stores.config.load import LoadedConfig
from stores.errors import UserFacingError
from stores.paths import Paths
from stores.running import read_running
from stores.target import PORT_VARIABLE, URL_VARIABLE, Target, is_loopback


def own_port(url: str | None, env: Mapping[str, str], paths: Paths) -> int | None:
    """Return the port of this machine's running gateway, if a URL names that one.

    It listens where its lock says, whatever its configuration says: such a URL leads to no other
    gateway, so what this machine keeps for its own may go there, and its files may stand in.

    Args:
        url: The value of ``--url``; beats the environment.
    """
    named = (env.get(URL_VARIABLE, "") if url is None else url).strip()
    if not named:
        return None
    try:
        parts = urlsplit(named)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None  # told by whoever needs an address
    if port is None or not is_loopback(host):
        return None
    running = read_running(paths.state_dir)
    return port if running is not None and running.alive and running.port == port else None


def port_variable(port: int, loaded: LoadedConfig, *, secure: bool) -> str:
    """Return the variable that leads a command to this machine's gateway at another port than usual.

    A port in the configuration goes before `OPENCLAW_GATEWAY_PORT`; before a URL, nothing does.
    """
    if loaded.config.gateway.port is None:
        return f"{PORT_VARIABLE}={port}"
    return f"{URL_VARIABLE}={'wss' if secure else 'ws'}://127.0.0.1:{port}"


def as_it_serves(
    target: Target, loaded: LoadedConfig, env: Mapping[str, str], paths: Paths
) -> Target:
    """Return the local target as the gateway that runs there serves it.

    Whether to encrypt changes with a restart only, and files that cannot be used change nothing, so
    the note of a gateway that runs goes before the configuration: a command must reach it to repair
    either. Without one, the certificate on file is the only one accepted: whatever else listens
    there does not get the secret.
    """
    noted = _tls_noted(paths, target.port)
    if noted is not None:
        if not noted.get("enabled"):
            return _with_scheme(target, "ws")
        pin = str(noted.get("fingerprint", "")).removeprefix("sha256:")
        if pin:
            source = f"the gateway of this machine in {paths.lock_path}"
            return evolve(_with_scheme(target, "wss"), tls_fingerprint=pin, pin_source=source)
    if not target.secure:
        return target
    from stores.certificate import certificate_files, read_fingerprint  # late: only TLS needs it

    try:
        files = certificate_files(loaded, env, paths.state_dir)
        pin = read_fingerprint(files)
    except UserFacingError:
        return target  # not made yet, or not ours to read: as safe as plain ws on loopback
    return evolve(target, tls_fingerprint=pin, pin_source=str(files.cert))


def _tls_noted(paths: Paths, port: int) -> dict[str, Any] | None:
    """Return what the gateway that runs at a port says of its encryption, None if none does."""
    from stores.port_owner import start_time_of  # late: most commands meet no gateway's note

    try:
        note = json.loads(paths.lock_path.read_bytes())
        pid, tls = note["pid"], note["tls"]
        here = note["port"] == port and start_time_of(pid) == note["startTime"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return tls if here and isinstance(tls, dict) else None


def _with_scheme(target: Target, scheme: str) -> Target:
    said, _, rest = target.url.partition("://")
    if said == scheme:
        return target
    source = f"{target.source}; {scheme} until the gateway is restarted"
    return evolve(target, url=f"{scheme}://{rest}", source=source)

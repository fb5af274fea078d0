"""Whether the gateway that systemd started answers, and what it said if it does not."""

from __future__ import annotations

import contextlib
import json
import time

from cli.config_words import running_gateway
from cli.service.service import Service
from cli.service.systemd import SystemdError, UnitState
from stores.errors import UserFacingError
from stores.paths import Paths

#: The gateway has said that it listens; what is left is one request.
HEALTHY_WITHIN_S = 10.0
_ASK_WITHIN_S = 2.0
_LOOK_EVERY_S = 0.05
#: Longest remark of a program that is repeated.
WORDS = 600

CONFIGURATION = 78


class NotHealthyError(UserFacingError):
    """The service is there, but no gateway of it answers."""


def start_and_wait(service: Service, verb: str) -> int | None:
    """Let systemd start or restart the unit; return its port once `/healthz` answers there.

    Raises:
        NotHealthyError: it did not come up, with what it said.
        SystemdError: systemd would not try.
    """
    try:
        service.manager.do(verb, service.name)
    except SystemdError as error:
        state = service.manager.state(service.name)
        if state.result in ("", "success"):
            raise
        raise _did_not_start(service, state) from error
    port, bind = _wait_for_note(service.paths)
    if port is None or bind not in ("loopback", "lan", "auto"):
        return port  # it said itself that it listens, where only it knows
    deadline = time.monotonic() + HEALTHY_WITHIN_S
    while time.monotonic() < deadline:
        if is_live("127.0.0.1", port):
            return port
        time.sleep(_LOOK_EVERY_S)
    raise NotHealthyError(
        f"{service.name} runs, but http://127.0.0.1:{port}/healthz does not answer",
        remedy=f"see what it does with `{logs_command(service)}`",
    )


def _wait_for_note(paths: Paths) -> tuple[int | None, str]:
    """Return port and bind of the gateway that runs, as it noted them."""
    deadline = time.monotonic() + _ASK_WITHIN_S
    while time.monotonic() < deadline:
        running = running_gateway(paths)
        if running is not None and running.port is not None:
            with contextlib.suppress(OSError, ValueError):
                return running.port, str(json.loads(paths.lock_path.read_bytes()).get("bind"))
        time.sleep(_LOOK_EVERY_S)
    return None, ""


def is_live(host: str, port: int) -> bool:
    """Tell whether a gateway answers `/healthz`; what it says is public, so no secret is sent."""
    import http.client  # late, as the next one: only waiting asks
    import ssl

    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    for connection in (
        http.client.HTTPConnection(host, port, timeout=_ASK_WITHIN_S),
        http.client.HTTPSConnection(host, port, timeout=_ASK_WITHIN_S, context=unverified),
    ):
        try:
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return True  # of one that speaks TLS, plain HTTP hears that it should
        except (OSError, http.client.HTTPException):
            continue
        finally:
            connection.close()
    return False


def _did_not_start(service: Service, state: UnitState) -> NotHealthyError:
    """Return why the unit's program ended, in its own words: they name the remedy."""
    said = (state.status_text or service.manager.last_words(service.name))[:WORDS]
    because = f": {said}" if said else ""
    if state.exit_status == CONFIGURATION:
        return NotHealthyError(
            f"the gateway refused to start (exit code 78, not tried again){because}",
            remedy=f"cure that, then start it with `{service.command('gateway start')}`",
        )
    how = {
        "timeout": "did not get ready in time",
        "watchdog": "hung, and was ended",
        "exec-condition": "was not allowed to start",
    }.get(state.result, f"ended with exit code {state.exit_status}")
    return NotHealthyError(
        f"the gateway {how}; systemd goes on trying{because}",
        remedy=f"see all it said with `{logs_command(service)}`",
    )


def logs_command(service: Service) -> str:
    """Return the command that shows what the service said."""
    which = "-u" if service.system else "--user-unit"
    return f"journalctl {which} {service.name} -n 50"

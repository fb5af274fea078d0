"""Everything a status is judged by, gathered in one go: what runs, who holds the port, what answers."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from typing import Any

from attrs import evolve, frozen

from cli.place import Place, TargetOptions
from cli.status_aim import Aim, take_aim
from cli.status_knock import Knock, knock_at
from cli.status_unit import UnitSeen, look_at_unit
from cli.whose import STATE_DIR_VARIABLE
from stores.credentials import Secret
from stores.fingerprint import secret_fingerprint
from stores.owner import user_name
from stores.serving import Serving, gateway_on

#: A gateway of this machine that takes longer is stuck, and whoever asks wants to know now.
LOCAL_WITHIN_S = 2.0
REMOTE_WITHIN_S = 5.0


@frozen(kw_only=True)
class SecretSeen:
    """A place that names a secret, by fingerprint; ``presented`` if that one was shown."""

    place: str
    source: str
    fingerprint: str
    presented: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return it for `--json`."""
        return {
            "place": self.place,
            "source": self.source,
            "fingerprint": self.fingerprint,
            "presented": self.presented,
        }


@frozen(kw_only=True)
class StatusFacts:
    """What was seen.

    Args:
        serving: The gateway behind the port, if that can be seen.
        knock: None if nothing was dialled.
        unit: None where there is nothing to be known of services, or another machine is meant.
        openclaw: How a command for this very gateway begins, before `cli.typed` spells it out.
    """

    here: Place
    uid: int
    aim: Aim
    serving: Serving | None = None
    knock: Knock | None = None
    unit: UnitSeen | None = None
    secrets: tuple[SecretSeen, ...] = ()
    openclaw: str = "openclaw"

    @property
    def secrets_differ(self) -> bool:
        """Tell whether two places name different secrets."""
        return len({one.fingerprint for one in self.secrets}) > 1

    def user(self, uid: int) -> str:
        """Return a user in words."""
        return f"{user_name(uid)} (uid {uid})"


def gather(
    options: TargetOptions, here: Place, *, dials: bool = True, system: bool = False
) -> StatusFacts:
    """Look at everything, change nothing.

    Raises:
        UsageError: the words of the command line cannot be meant.
    """
    named = ""
    if system:
        here, named = _of_the_machine(here)
    aim = take_aim(options, here)
    target = aim.target
    within_s = LOCAL_WITHIN_S if aim.local else REMOTE_WITHIN_S
    if options.timeout_ms is not None:
        within_s = options.timeout_ms / 1000
    knock = knock_at(aim, timeout_s=within_s) if dials and target is not None else None
    unit = look_at_unit(system=system) if aim.local else None
    return StatusFacts(
        here=here,
        uid=os.geteuid(),
        aim=aim,
        serving=gateway_on(target.port) if target is not None and aim.holder else None,
        knock=knock,
        unit=unit,
        secrets=_secrets(aim, unit, knock),
        openclaw=f"{named}openclaw",
    )


def _of_the_machine(here: Place) -> tuple[Place, str]:
    """Return the place of the machine's service, and how commands for it begin.

    What the environment says outright counts, and so does the user where no such service is.
    """
    from cli.service.service import service_here  # late: few ask for it

    service = service_here(here, system=True)
    if here.env.get(STATE_DIR_VARIABLE, "").strip() or service.present() is None:
        return here, ""
    state_dir = str(service.paths.state_dir)
    found = evolve(here, env={**here.env, STATE_DIR_VARIABLE: state_dir}, profile=None, dev=False)
    return found, f"{STATE_DIR_VARIABLE}={shlex.quote(state_dir)} "


def _secrets(aim: Aim, unit: UnitSeen | None, knock: Knock | None) -> tuple[SecretSeen, ...]:
    """Return every place that names a secret of the target, and the running process's own."""
    found = [*aim.secrets, *(("unit", one) for one in (unit.secrets if unit else ()))]
    seen = [
        SecretSeen(
            place=place,
            source=secret.source,
            fingerprint=secret_fingerprint(secret.value),
            presented=_is_presented(aim, secret),
        )
        for place, secret in found
    ]
    running = aim.running
    noted = running.secret_fingerprint if running and running.alive and aim.local else None
    told = _mapping(knock.server.get("auth")).get("secretFingerprint") if knock else None
    fingerprint = told if isinstance(told, str) else noted
    if fingerprint:
        source = f"the running gateway (pid {running.pid})" if running and noted else "the gateway"
        seen.append(SecretSeen(place="process", source=source, fingerprint=fingerprint))
    return tuple(seen)


def _is_presented(aim: Aim, secret: Secret) -> bool:
    return aim.first is not None and secret.source == aim.source


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}

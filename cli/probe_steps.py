"""The steps of a probe: what each saw, how long it took, and what to do where one failed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from cli.failures import DONE, FAILED, NO_GATEWAY, GatewayUnreachableError, envelope, remedy_of
from cli.probe_http import Looked, ask_healthz, look_up
from cli.status_knock import CHALLENGE_WITHIN_MS, Stage, knock_at
from cli.typed import typable
from stores.errors import UserFacingError
from stores.fingerprint import fingerprint_of, in_pairs

if TYPE_CHECKING:
    from cli.status_aim import Aim
    from cli.status_knock import Knock

#: What each step is, as people read it.
HEADS = {
    "name": "Name",
    "tcp": "TCP",
    "tls": "TLS",
    "http": "HTTP",
    "upgrade": "WebSocket upgrade",
    "challenge": "Challenge",
    "connect": "Handshake",
    "rpc": "Authorisation",
}


@frozen(kw_only=True)
class Step:
    """One step of the way; ``good`` is None if it was not tried.

    Args:
        error: What failed, whose own words are printed.
    """

    name: str
    good: bool | None
    took_ms: int | None = None
    saw: str = ""
    remedy: str | None = None
    error: UserFacingError | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it for `--json`."""
        found: dict[str, Any] = {"name": self.name, "ok": self.good, "tookMs": self.took_ms}
        found["saw"] = self.saw
        if self.error is not None:
            told = envelope(self.error, FAILED)["error"]
            found |= {key: told[key] for key in ("kind", "code", "details") if key in told}
            found["remedy"] = remedy_of(self.error)
        if self.remedy is not None:
            found["remedy"] = {"sentence": typable(self.remedy), "where": "this-device"}
        return found


@frozen
class Way:
    """How a probe went: its steps, the exit code, and the knock, None if no name led to one."""

    steps: list[Step]
    code: int
    knock: Knock | None


def walk(aim: Aim, headers: tuple[tuple[str, str], ...], *, timeout_s: float) -> Way:
    """Go the whole way."""
    assert aim.target is not None
    name = look_up(aim.target.dial_host, timeout_s=timeout_s)
    steps = [] if name is None else [_looked("name", name)]
    if name is not None and not name.good:
        return Way([*steps, *_untried(aim, "tcp")], NO_GATEWAY, None)
    knock = knock_at(aim, timeout_s=timeout_s, headers=headers)
    dialled = knock.failed_at not in (Stage.TCP, Stage.TLS)
    web = None
    if dialled:
        web = ask_healthz(aim.target, headers, timeout_s=timeout_s, local=aim.local)
    steps += list(_steps(aim, knock, web))
    if all(step.good for step in steps):
        return Way(steps, DONE, knock)
    answered = knock.shook_hands or (web is not None and web.ours) or _is_refusal(knock.error)
    return Way(steps, FAILED if answered else NO_GATEWAY, knock)


def _is_refusal(error: UserFacingError | None) -> bool:
    """Tell whether a gateway of ours said by HTTP what the proxy in front of it took away."""
    return bool(getattr(error, "details", {}).get("refusal"))


def _steps(aim: Aim, knock: Knock, web: Looked | None) -> Iterator[Step]:
    names = [name for name in HEADS if name != "name"]
    if aim.target is not None and not aim.target.secure:
        names.remove("tls")
    failed = str(knock.failed_at) if knock.failed_at else None
    for name in names:
        if name == "http":
            yield _looked("http", web) if web is not None else Step(name=name, good=None)
        elif name == failed:
            yield _failed(name, knock, aim)
        elif name in map(str, knock.took_ms):
            yield _done(name, knock, aim, web)
        else:
            held = aim.held_back if name == "connect" and knock.error is None else None
            yield Step(name=name, good=None, saw=held.problem if held else "", error=held)


def _failed(name: str, knock: Knock, aim: Aim) -> Step:
    error = knock.error
    assert error is not None
    took_ms = _took(knock, name)
    if name == "rpc" and knock.admitted:
        return _rights(knock, took_ms)
    found = Step(name=name, good=False, took_ms=took_ms, saw=error.problem, error=error)
    known = error.remedy is not None or not isinstance(error, GatewayUnreachableError)
    return found if known else evolve(found, remedy=_where_to_look(name, aim))


def _where_to_look(name: str, aim: Aim) -> str:
    """Return what to do about a step whose failure says nothing of it itself."""
    if aim.local:
        return "see what runs here, and what to do, with `openclaw gateway status`"
    if name == "tcp":
        return (
            "check host and port, and any firewall; ask on the gateway's machine: "
            "`openclaw gateway status`"
        )
    if name == "upgrade":
        return (
            "see whether the proxy passes WebSockets on, and ask what arrives on the gateway's "
            "machine: `openclaw doctor proxy`"
        )
    return (
        "what stands in between passes the upgrade and then nothing: look at its time limits for "
        "WebSockets, and ask on the gateway's machine: `openclaw gateway status`"
    )


def _done(name: str, knock: Knock, aim: Aim, web: Looked | None) -> Step:
    took_ms = _took(knock, name)
    saw, remedy = "", None
    assert aim.target is not None
    if name == "tcp":
        saw = f"{aim.target.dial_host}:{aim.target.port} accepts connections"
    elif name == "tls":
        saw = _certificate(aim, web)
    elif name == "upgrade":
        saw = "HTTP 101"
    elif name == "challenge":
        saw = "received"
        if took_ms > CHALLENGE_WITHIN_MS:
            saw = f"received late: a gateway sends it within {CHALLENGE_WITHIN_MS} ms"
            remedy = "see whether the gateway is busy, or what in between holds messages back"
    elif name == "connect":
        saw = f"let in, with {aim.source or 'no credential: none is asked for'}"
        if knock.first_error is not None:
            saw = f"let in by this device's own token; {aim.source}: {knock.first_error.problem}"
    elif name == "rpc":
        return _rights(knock, took_ms)
    return Step(name=name, good=True, took_ms=took_ms, saw=saw, remedy=remedy)


def _rights(knock: Knock, took_ms: int) -> Step:
    if not knock.scopes:
        return Step(
            name="rpc",
            good=False,
            took_ms=took_ms,
            saw="this device is not approved there, so it may do nothing",
            remedy="ask to be approved with `openclaw devices list`, and approve the code that it "
            "prints on the gateway's machine",
        )
    return Step(name="rpc", good=True, took_ms=took_ms, saw=", ".join(knock.scopes))


def _certificate(aim: Aim, web: Looked | None) -> str:
    assert aim.target is not None
    der = web.certificate if web is not None else None
    shown = f"certificate sha256 {in_pairs(fingerprint_of(der))}" if der else "agreed"
    if aim.target.tls_fingerprint is not None:
        return f"{shown}, as {aim.target.pin_source} says"
    return shown


def _took(knock: Knock, name: str) -> int:
    return knock.took_ms[Stage(name)]


def _looked(name: str, found: Looked) -> Step:
    return Step(
        name=name, good=found.good, took_ms=found.took_ms, saw=found.saw, remedy=found.remedy
    )


def _untried(aim: Aim, first: str) -> Iterator[Step]:
    names = list(HEADS)
    for name in names[names.index(first) :]:
        if name != "tls" or (aim.target is not None and aim.target.secure):
            yield Step(name=name, good=None)

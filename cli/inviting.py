"""What the commands that invite share: the address a device is to use, the invitation, its QR code."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from cli.device_road import DeviceRoad
from cli.device_table import wall_ms
from cli.output import say
from cli.place import URL_VARIABLE, TargetOptions, place
from stores.config.in_use import config_in_use
from stores.config.load import LoadedConfig
from stores.devices import new_device_token
from stores.errors import UsageError
from stores.invitations import SHORT_CHARS, Terms, hash_of, outstanding
from stores.invitations import invite as put_on_file
from stores.running import read_running
from stores.setup_code import Way, checked_url, decode, encode, gateway_note, way_in
from stores.target import Target, resolve_target
from stores.timespan import in_words

if TYPE_CHECKING:
    from cli.offline import Files


@frozen
class Scene:
    """The gateway that is to be joined, as far as this machine knows it.

    Args:
        local: It is this machine's own.
    """

    loaded: LoadedConfig
    target: Target
    local: bool
    noted: Mapping[str, Any]

    @property
    def way(self) -> Way:
        """How devices reach it."""
        return self._way()

    @property
    def remote_way(self) -> Way:
        """How it is reached from other machines, as the configuration says.

        Raises:
            UsageError: it says nothing of it.
        """
        if self.loaded.config.gateway.remote.url is None:
            raise UsageError(
                f"--remote: gateway.remote.url is not set in {self.loaded.path}",
                remedy="set it with `openclaw config set gateway.remote.url wss://HOST`, or name "
                "the address with `--public-url`",
            )
        return self._way(prefer_remote=True)

    def _way(self, *, prefer_remote: bool = False) -> Way:
        if not self.local:
            return Way(self.target.url.rstrip("/"), self.target.source)
        config, port = self.loaded.config, self.target.port
        return way_in(config, self.noted, port=port, prefer_remote=prefer_remote)


@frozen
class Made:
    """An invitation that is on file, and what to carry to the device."""

    code: str = field(repr=False)
    token: str = field(repr=False)
    way: Way
    setup_id: str
    expires_at_ms: int
    source: str


def scene_of(options: TargetOptions, *, offline: bool) -> Scene:
    """Find out which gateway a command's words name."""
    from cli.offline import owner_of  # late: root becomes that user before it looks at a file

    here = place()
    if options.url is None and not here.env.get(URL_VARIABLE, "").strip():
        owner_of(here)
    running = read_running(here.paths.state_dir)
    loaded = config_in_use(here.paths, here.env, running).usable()
    target = resolve_target(
        loaded,
        here.env,
        url=None if offline else options.url,
        default_port=here.paths.default_port,
    )
    local = offline or target.is_local_default
    return Scene(loaded, target, local, gateway_note(here.paths) if local else {})


def make(road: DeviceRoad, way: Way, terms: Terms) -> Made:
    """Make an invitation over the wire, or in the files of this machine."""
    answer = road.ask(
        "device.pair.setupCode",
        {
            "publicUrl": way.url,
            "includeQr": False,
            "uses": terms.uses,
            "lastsMs": terms.lasts_ms,
            **_given(terms),
        },
        partial(_in_files, url=way.url, terms=terms),
    )
    opened = decode(str(answer.get("setupCode", "")))
    return Made(
        str(answer["setupCode"]),
        opened.token,
        way,
        str(answer.get("setupId", "")),
        opened.expires_at_ms,
        str(answer.get("source", "")),
    )


def _given(terms: Terms) -> dict[str, Any]:
    if terms.profile in ("full", "limited", "owner"):
        return {"bootstrapProfile": terms.profile}
    return {"role": str(terms.role), "scopes": list(terms.scopes)}


def _in_files(files: Files, *, url: str, terms: Terms) -> dict[str, Any]:
    token = new_device_token()
    made = files.apply(partial(put_on_file, token=token, terms=terms, caller=files.caller))
    code = encode(url, token, expires_at_ms=made.expires_at_ms)
    return {"setupId": hash_of(token)[:SHORT_CHARS], "setupCode": code}


def shown_in_files(files: Files) -> dict[str, Any]:
    """Return what is outstanding in the files, as the gateway would list it."""
    book, now_ms = files.store.read(), wall_ms()
    return {
        "invitations": [
            {
                "setupId": key[:SHORT_CHARS],
                "role": one.role,
                "scopes": list(one.scopes),
                "access": one.profile,
                "usesLeft": one.uses_left,
                "createdAtMs": one.created_at_ms,
                "expiresAtMs": one.expires_at_ms,
                "deviceIds": list(one.bound_device_ids),
            }
            for key, one in outstanding(book, now_ms=now_ms).items()
        ]
    }


def public_way(scene: Scene, public_url: str | None) -> Way:
    """Return the address to carry: the one that was named, else the one that is known."""
    return scene.way if public_url is None else Way(checked_url(public_url), "--public-url")


def lasts(made: Made) -> str:
    """Return in words how long an invitation lasts."""
    return in_words(made.expires_at_ms - wall_ms() + 500)


def only_here(way: Way) -> str:
    """Return what to do about an address that only this machine reaches."""
    port = way.url.rpartition(":")[2]
    return (
        f"{way.url} leads here from this machine alone; on another computer first open a tunnel: "
        f"`ssh -N -L {port}:127.0.0.1:{port} USER@THIS-MACHINE`"
    )


#: What a device without a tunnel needs.
NAME_AN_ADDRESS = (
    "for other devices name an address with --public-url, or set one with `openclaw config set "
    "gateway.publicOrigin https://HOST`"
)


def show_qr(text: str) -> None:
    """Print a QR code, where the output can show one."""
    try:
        "█▀▄".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return
    import segno  # late: only here

    drawn = io.StringIO()
    segno.make(text, error="l").terminal(out=drawn, compact=True, border=2)
    say(drawn.getvalue().rstrip("\n"))

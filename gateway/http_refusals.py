"""Which requests of plain HTTP are refused, and in which words.

Nothing is proven by an HTTP request, so each is told its own words and no more (tier 0); the log
and ``openclaw gateway why`` have the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.door import Visit
from gateway.policy.origin import parse_origin
from gateway.policy.seen import saw_of_head, set_list
from gateway.policy.words import quoted
from gateway.refusal_page import HttpRefusal

#: Also the log's word for it: closes and statuses share one column there.
ORIGINS = "gateway.controlUi.allowedOrigins"

_WHICH_PORT = "# PORT is the gateway's own: 18789 unless gateway.port says another\n"
_SNIPPETS = {
    "nginx": (
        f"{_WHICH_PORT}"
        "location / {\n"
        "    proxy_pass http://127.0.0.1:PORT;\n"
        "    proxy_http_version 1.1;\n"
        "    proxy_set_header Upgrade $http_upgrade;\n"
        '    proxy_set_header Connection "upgrade";\n'
        "    proxy_set_header Host $http_host;\n"
        "    proxy_set_header X-Forwarded-For $remote_addr;\n"
        "}"
    ),
    "Caddy": (
        f"{_WHICH_PORT}"
        "# passes Upgrade and Connection on by itself: leave out header_up lines for them\n"
        "reverse_proxy 127.0.0.1:PORT"
    ),
}

BAD_REQUEST = HttpRefusal(400, "bad-request", "malformed request")
NOT_FOUND = HttpRefusal(404, "not-found", "there is nothing here")
NO_PAGE = HttpRefusal(
    404,
    "control-ui-disabled",
    "the Control UI is switched off here",
    "Switch it on, on the gateway's machine.",
    command="openclaw config set gateway.controlUi.enabled true",
    command_in_full="config set gateway.controlUi.enabled true",
)
NOT_ALLOWED = HttpRefusal(405, "method-not-allowed", "only GET and HEAD are answered here")

HEAD_TOO_LARGE = HttpRefusal(
    431,
    "head-too-large",
    "the request head exceeds 16 KiB",
    "Mostly it is cookies of other services on the same host name: delete the cookies of this "
    "site, or give the gateway a host name of its own.",
    where="browser",
)

NO_ROOM = HttpRefusal(
    503,
    "too-many-connections",
    "too many connections wait that have proven nothing",
    "Try again in a moment. If this stays, something opens connections to the gateway without "
    "ever using them; the gateway's log names it.",
    where="this-device",
)


def lost_upgrade(visit: Visit, missing: Sequence[str]) -> HttpRefusal:
    """Return the answer to a WebSocket handshake that something on the way took a header from.

    Args:
        missing: What is not there, as it should be.
    """
    lost = " and ".join(missing)
    return HttpRefusal(
        426,
        "upgrade-required",
        f"a WebSocket handshake arrived without {lost}: a proxy on the way drops it "
        "(nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
        'proxy_set_header Connection "upgrade";)',
        "The proxy in front of the gateway must pass the WebSocket handshake on. Put the lines for "
        "your proxy into its configuration and reload it.",
        seen=saw_of_head(visit.address, visit.host, visit.origin),
        snippets=_snippets_for(visit),
    )


def _snippets_for(visit: Visit) -> Mapping[str, str]:
    """Return the lines for the proxy; the port is filled in for who named it in the Host itself."""
    port = str(visit.local[1])
    if visit.host is None or visit.host.rpartition(":")[2] != port:
        return _SNIPPETS
    return {
        name: text.removeprefix(_WHICH_PORT).replace("PORT", port)
        for name, text in _SNIPPETS.items()
    }


def origin_not_allowed(visit: Visit) -> HttpRefusal:
    """Return the answer to a web page that may not read data here."""
    page = parse_origin(visit.origin)
    in_full = None
    if page is not None:
        in_full = f"config set {set_list(ORIGINS, visit.lists.allowed_origins, page.text)}"
    return HttpRefusal(
        403,
        "origin-not-allowed",
        f"pages of {quoted(visit.origin)} may not read this under the host {quoted(visit.host)}: "
        f"allow the origin in {ORIGINS}",
        "If the page is yours, allow its origin on the gateway's machine. The command replaces the "
        "whole list; `openclaw gateway why` there prints it with what the list holds already.",
        # The page chose its origin: only one that is an address and nothing else is repeated.
        command=f"openclaw config set {set_list(ORIGINS, (), page.text)}" if page else None,
        command_in_full=in_full,
        seen=saw_of_head(visit.address, visit.host, visit.origin),
    )

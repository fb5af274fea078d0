"""What the gateway has seen of proxies: the records, and the file that outlives the gateway."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from attrs import frozen

from stores.errors import CorruptStoreError
from stores.files import ensure_private_dir, parse_object, read_file, replace_file

FILE_NAME = "peers.json"

# Whoever shows a time could show none later than this.
_YEAR_10000_MS = 253_402_300_800_000


class Shape(StrEnum):
    """How a connection gave away that something stands between its client and the gateway."""

    #: It carried forwarding headers.
    FORWARDED = "forwarded"
    #: A loopback peer that forwarded nothing, and asked for another Host than this machine.
    FOREIGN_HOST = "foreign-host"
    #: A loopback peer that forwarded nothing, and whose socket belongs to another user.
    OTHER_USER = "other-user"
    #: A peer from elsewhere that forwarded nothing, and whose browser speaks to loopback.
    LOOPBACK_HOST = "loopback-host"
    #: A WebSocket handshake that arrived without its Upgrade or Connection header.
    LOST_UPGRADE = "lost-upgrade"


@frozen
class Sample:
    """What one such connection sent, cut and escaped; lines of X-Forwarded-For keep their end.

    ``owner`` is the uid that its socket was of, where that is what gave it away.
    """

    forwarded_for: tuple[str, ...] = ()
    real_ip: tuple[str, ...] = ()
    host: str | None = None
    origin: str | None = None
    owner: int | None = None


@frozen
class Seen:
    """Connections of one shape from one peer.

    Args:
        headers: Lower-case names of the forwarding headers, sorted.
        first_ms, last_ms: When the first and the last of them came, epoch ms.
        samples: A few of them, the newest last.
    """

    peer: str
    shape: Shape
    headers: tuple[str, ...]
    count: int
    first_ms: int
    last_ms: int
    samples: tuple[Sample, ...] = ()


@frozen
class PeersSeen:
    """All that a gateway has noted, and the default gateways of the network it runs in."""

    seen: tuple[Seen, ...] = ()
    default_gateways: tuple[str, ...] = ()


def read_peers(path: Path) -> PeersSeen | None:
    """Return what a gateway wrote; None while there is no file.

    Raises:
        StoreError: the file cannot be read, or does not hold what a gateway writes.
    """
    found = read_file(path)
    return None if found is None else from_json(path, parse_object(path, found[0]))


def write_peers(path: Path, peers: PeersSeen) -> None:
    """Put what was seen in place of the file.

    Raises:
        StoreError: the old file is untouched.
    """
    import orjson  # late: a command only reads

    ensure_private_dir(path.parent)
    data = orjson.dumps(to_json(peers), option=orjson.OPT_INDENT_2)
    replace_file(path, data + b"\n", durable=False)  # what a crash loses is seen again


def to_json(peers: PeersSeen) -> dict[str, Any]:
    """Return the JSON of a file."""
    return {
        "defaultGateways": list(peers.default_gateways),
        "peers": [
            {
                "peer": one.peer,
                "shape": str(one.shape),
                "headers": list(one.headers),
                "count": one.count,
                "firstSeenMs": one.first_ms,
                "lastSeenMs": one.last_ms,
                "samples": [_sample_json(sample) for sample in one.samples],
            }
            for one in peers.seen
        ],
    }


def _sample_json(sample: Sample) -> dict[str, Any]:
    return {
        "forwardedFor": list(sample.forwarded_for),
        "realIp": list(sample.real_ip),
        "host": sample.host,
        "origin": sample.origin,
        "owner": sample.owner,
    }


def from_json(path: Path, document: Mapping[str, Any]) -> PeersSeen:
    """Read what `to_json` wrote.

    Raises:
        CorruptStoreError: it is something else; ``path`` names the file.
    """
    try:
        return PeersSeen(
            seen=tuple(_seen_of(item) for item in document["peers"]),
            default_gateways=_texts(document["defaultGateways"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptStoreError(
            f"{path} does not hold what a gateway writes there",
            remedy=f"remove it, for a gateway makes it again: `rm {path}`",
        ) from error


def _seen_of(item: Mapping[str, Any]) -> Seen:
    return Seen(
        peer=str(ip_address(_text(item["peer"]))),
        shape=Shape(item["shape"]),
        headers=_texts(item["headers"]),
        count=_number(item["count"]),
        first_ms=_number(item["firstSeenMs"]),
        last_ms=_number(item["lastSeenMs"]),
        samples=tuple(
            Sample(
                forwarded_for=_texts(one["forwardedFor"]),
                real_ip=_texts(one["realIp"]),
                host=None if one["host"] is None else _text(one["host"]),
                origin=None if one["origin"] is None else _text(one["origin"]),
                owner=None if one.get("owner") is None else _number(one["owner"]),
            )
            for one in item["samples"]
        ),
    )


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError("a list belongs there")
    return tuple(_text(one) for one in value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a text belongs there")
    return value


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _YEAR_10000_MS:
        raise TypeError("a number belongs there")
    return value

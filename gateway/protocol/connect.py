"""The parameters of ``connect``: the union of both published schemas, as one frozen record.

Source: protocol fact, the connect schemas of protocol 3 (2026.2.19) and 4 (2026.9.6). What a
client *claims* here grants nothing by itself; the gateway judges it later.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from attrs import field, frozen

from gateway.protocol.errors import DetailCode, ErrorCode, ErrorShape
from gateway.protocol.schema import (
    ANY,
    BOOLEAN,
    COUNT,
    EMPTY_OK,
    NAME,
    NAMES,
    POSITIVE,
    Closed,
    ListOf,
    MapOf,
    OneOf,
    Schema,
    Text,
    require,
)

PREFERRED_PROTOCOL = 4
OLDEST_PROTOCOL = 3

CONTROL_UI_ID = "openclaw-control-ui"
WORKER_ID = "openclaw-worker"
WORKER = "worker"

CLIENT_IDS = frozenset(
    {"webchat-ui", CONTROL_UI_ID, "openclaw-browser-copilot", "openclaw-tui", "webchat", "cli"}
    | {"gateway-client", "openclaw-macos", "openclaw-linux", "openclaw-ios", "openclaw-watchos"}
    | {"openclaw-android", "node-host", WORKER_ID, "test", "fingerprint", "openclaw-probe"}
)
CLIENT_MODES = frozenset({"webchat", "cli", "ui", "backend", "node", WORKER, "probe", "test"})

_NO_PERMISSIONS: Mapping[str, bool] = MappingProxyType({})


@frozen
class ClientInfo:
    """What the client program says of itself; none of it grants anything."""

    id: str
    version: str
    platform: str
    mode: str
    display_name: str | None = None
    device_family: str | None = None
    model_identifier: str | None = None
    instance_id: str | None = None
    build_id: str | None = None
    time_zone: str | None = None


@frozen
class DeviceClaim:
    """A device identity and its proof, as sent; ``signed_at`` is epoch ms by the client's clock."""

    id: str
    public_key: str
    signature: str = field(repr=False)
    signed_at: int
    nonce: str | None = None


@frozen
class AuthClaim:
    """The credentials presented; None is "not sent", which an empty string is not."""

    token: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    device_token: str | None = field(default=None, repr=False)
    bootstrap_token: str | None = field(default=None, repr=False)


NO_AUTH = AuthClaim()


@frozen
class ConnectParams:
    """A ``connect`` that fits the schema, and nothing more.

    ``scopes`` keeps the order sent (it is signed) and is empty when none were sent: that asks
    for nothing. ``role`` is unchecked. ``awaiting`` is the id of a pending request that the client
    waits for, and means to ask for nothing else.
    """

    min_protocol: int
    max_protocol: int
    client: ClientInfo
    caps: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    permissions: Mapping[str, bool] = _NO_PERMISSIONS
    path_env: str | None = None
    role: str = "operator"
    scopes: tuple[str, ...] = ()
    device: DeviceClaim | None = None
    auth: AuthClaim = NO_AUTH
    locale: str | None = None
    user_agent: str | None = None
    awaiting: str | None = None


def _schema(*, nonce_required: bool) -> Closed:
    device: dict[str, Schema] = {"id": NAME, "publicKey": NAME, "signature": NAME}
    device |= {"signedAt": COUNT, "nonce" if nonce_required else "nonce?": NAME}
    client: dict[str, Schema] = {"id": OneOf(CLIENT_IDS), "mode": OneOf(CLIENT_MODES)}
    client |= {"version": NAME, "platform": NAME, "displayName?": NAME, "deviceFamily?": NAME}
    client |= {"modelIdentifier?": NAME, "instanceId?": NAME}
    client |= {"buildId?": Text(max_chars=96), "timeZone?": Text(max_chars=64)}
    credentials = ["token", "password", "deviceToken", "bootstrapToken"]
    # Published clients may send these too; they open nothing here.
    credentials += ["approvalRuntimeToken", "agentRuntimeIdentityToken"]
    worker_runs = Closed(
        {
            "bundleHash": Text(min_chars=64, max_chars=64),
            "openclawVersion": Text(max_chars=128),
            "protocolFeatures": ListOf(Text(max_chars=128), max_items=64, unique=True),
            "bundlePrewarm?": POSITIVE,
        }
    )
    model_catalog = ("agentId?", "sessionKey?", "shortId?", "slugHint?")
    return Closed(
        {
            "minProtocol": POSITIVE,
            "maxProtocol": POSITIVE,
            "client": Closed(client),
            "caps?": NAMES,
            "commands?": NAMES,
            "permissions?": MapOf(BOOLEAN),
            "pathEnv?": EMPTY_OK,
            "role?": NAME,
            "scopes?": NAMES,
            "device?": Closed(device),
            "auth?": Closed({f"{name}?": EMPTY_OK for name in credentials}),
            "locale?": EMPTY_OK,
            "userAgent?": EMPTY_OK,
            "awaiting?": NAME,  # ours
            "computerUse?": ANY,
            "workerRuns?": worker_runs,
            "modelCatalog?": Closed(dict.fromkeys(model_catalog, NAME)),
        }
    )


_NONCE_OPTIONAL = _schema(nonce_required=False)
_NONCE_REQUIRED = _schema(nonce_required=True)


def negotiate(min_protocol: int, max_protocol: int) -> int | None:
    """Return the protocol both sides speak, 4 rather than 3, or None."""
    if min_protocol <= PREFERRED_PROTOCOL <= max_protocol:
        return PREFERRED_PROTOCOL
    if min_protocol <= OLDEST_PROTOCOL <= max_protocol:
        return OLDEST_PROTOCOL
    return None


def protocol_mismatch(params: ConnectParams) -> ErrorShape:
    """Return the refusal of a client whose range holds no protocol of ours."""
    details = {
        "code": DetailCode.PROTOCOL_MISMATCH.value,
        "clientMinProtocol": params.min_protocol,
        "clientMaxProtocol": params.max_protocol,
        "expectedProtocol": PREFERRED_PROTOCOL,
        "minimumProbeProtocol": OLDEST_PROTOCOL,
    }
    return ErrorShape(ErrorCode.INVALID_REQUEST, "protocol mismatch", details)


def claims_worker(value: object) -> bool:
    """Tell whether unchecked parameters come from a worker.

    Workers have an endpoint of their own, so this is asked before the schema and answered by a
    bare close (`close.INVALID_HANDSHAKE`), without a response.
    """
    if type(value) is not dict:
        return False
    if value.get("role") == WORKER:
        return True
    client = value.get("client")
    if type(client) is not dict:
        return False
    return client.get("id") == WORKER_ID or client.get("mode") == WORKER


def parse_connect_params(value: object) -> ConnectParams:
    """Return the parameters of a ``connect`` as a record.

    A missing nonce is a fault of the schema only where protocol 3 is out of reach; whether it is
    acceptable is the device proof's to say.

    Raises:
        schema.InvalidParamsError: They do not fit; the text may be sent to the peer.
    """
    oldest = value.get("minProtocol") if type(value) is dict else None
    newer_only = type(oldest) is int and oldest > OLDEST_PROTOCOL
    require(_NONCE_REQUIRED if newer_only else _NONCE_OPTIONAL, value)
    assert type(value) is dict  # the schema says so
    get = value.get
    return ConnectParams(
        min_protocol=value["minProtocol"],
        max_protocol=value["maxProtocol"],
        client=_client(value["client"]),
        caps=tuple(get("caps", ())),
        commands=tuple(get("commands", ())),
        permissions=get("permissions", _NO_PERMISSIONS),
        path_env=get("pathEnv"),
        role=get("role", "operator"),
        scopes=tuple(get("scopes", ())),
        device=_device(value["device"]) if "device" in value else None,
        auth=_auth(value["auth"]) if "auth" in value else NO_AUTH,
        locale=get("locale"),
        user_agent=get("userAgent"),
        awaiting=get("awaiting"),
    )


def _client(value: dict[str, Any]) -> ClientInfo:
    get = value.get
    return ClientInfo(
        id=value["id"],
        version=value["version"],
        platform=value["platform"],
        mode=value["mode"],
        display_name=get("displayName"),
        device_family=get("deviceFamily"),
        model_identifier=get("modelIdentifier"),
        instance_id=get("instanceId"),
        build_id=get("buildId"),
        time_zone=get("timeZone"),
    )


def _device(value: dict[str, Any]) -> DeviceClaim:
    return DeviceClaim(
        id=value["id"],
        public_key=value["publicKey"],
        signature=value["signature"],
        signed_at=value["signedAt"],
        nonce=value.get("nonce"),
    )


def _auth(value: dict[str, Any]) -> AuthClaim:
    get = value.get
    return AuthClaim(
        token=get("token"),
        password=get("password"),
        device_token=get("deviceToken"),
        bootstrap_token=get("bootstrapToken"),
    )

"""Facts with defaults: a local client of protocol 4 with a device, the right token, one wish.

Each builder takes what a test is about and fills in what it is not.
"""

from __future__ import annotations

import hashlib
from ipaddress import ip_address, ip_network
from typing import Any

import attrs

from gateway.policy.access import Facts
from gateway.policy.address import (
    ClientAddress,
    ForwardingHeaders,
    Locality,
    LocalityReason,
    is_within,
    judge_locality,
    resolve_client,
)
from gateway.policy.credentials import Accepted, Method, Verdict
from gateway.policy.origin import host_is_ours, judge_origin
from gateway.policy.rules import Rule
from gateway.protocol.connect import NO_AUTH, AuthClaim, ClientInfo, ConnectParams, DeviceClaim
from gateway.protocol.signature import ProofFailure, ProofOk
from stores.records import DeviceToken, PairedDevice

DEVICE_ID = hashlib.sha256(b"a test key").hexdigest()
PUBLIC_KEY = "A" * 43
HOST = "127.0.0.1:18789"
MACHINE_NAMES = frozenset({"gatewaybox"})
OWN_UID = 1000

LOCAL = Locality(local=True, why=LocalityReason.LOOPBACK, uid_confirmed=True)
#: Local as far as headers tell; the kernel could not say whose the peer is.
UNCONFIRMED = Locality(local=True, why=LocalityReason.LOOPBACK, uid_confirmed=False)
REMOTE = Locality(local=False, why=LocalityReason.NOT_LOOPBACK, uid_confirmed=False)

BY_TOKEN = Accepted(Method.TOKEN)
BY_DEVICE_TOKEN = Accepted(Method.DEVICE_TOKEN)
BY_NOTHING = Accepted(Method.NONE)
BY_PROXY = Accepted(Method.TRUSTED_PROXY, user="alice")
V2, V3 = ProofOk(2, PUBLIC_KEY), ProofOk(3, PUBLIC_KEY)


def an_address(
    peer: str = "127.0.0.1",
    *,
    headers: tuple[tuple[str, str], ...] = (),
    trusted: tuple[str, ...] = (),
) -> ClientAddress:
    """Return where a connection from ``peer`` comes from."""
    forwarding = ForwardingHeaders.from_headers(headers)
    return resolve_client(ip_address(peer), forwarding, [ip_network(one) for one in trusted])


def params(
    *,
    scopes: tuple[str, ...] = ("operator.read",),
    role: str = "operator",
    client_id: str = "cli",
    mode: str = "cli",
    platform: str = "linux",
    family: str | None = None,
    name: str | None = None,
    device: bool = True,
    auth: AuthClaim = NO_AUTH,
) -> ConnectParams:
    """Return the parameters of a ``connect`` as they were parsed."""
    claim = DeviceClaim(DEVICE_ID, PUBLIC_KEY, "s" * 86, 0, "nonce") if device else None
    client = ClientInfo(client_id, "test", platform, mode, display_name=name, device_family=family)
    return ConnectParams(3, 4, client, role=role, scopes=scopes, device=claim, auth=auth)


def facts(
    *,
    credential: Verdict = BY_TOKEN,
    paired: PairedDevice | None = None,
    proof: ProofOk | ProofFailure | None = V2,
    device: bool = True,
    locality: Locality | None = None,
    peer: str = "127.0.0.1",
    headers: tuple[tuple[str, str], ...] = (),
    trusted: tuple[str, ...] = (),
    host: str | None = HOST,
    origin: str | None = None,
    allowed_origins: tuple[str, ...] = (),
    peer_uid: int | None = OWN_UID,
    uid_known: bool = True,
    protocol: int | None = 4,
    blocked: bool = False,
    locked_for_s: float | None = None,
    auto_approve_local: bool = True,
    rules: tuple[Rule, ...] = (),
    peer_is_default_gateway: bool = False,
    **claims: Any,
) -> Facts:
    """Return the facts of one ``connect``; locality and origin are judged unless given."""
    address = an_address(peer, headers=headers, trusted=trusted)
    asked = params(device=device, **claims)
    judged = judge_locality(
        address,
        host=host,
        origin=origin,
        machine_names=MACHINE_NAMES,
        peer_uid=peer_uid,
        uid_known=uid_known,
        own_uid=OWN_UID,
    )
    return Facts(
        params=asked,
        protocol=protocol,
        address=address,
        locality=judged if locality is None else locality,
        host=host,
        origin=origin,
        origin_verdict=judge_origin(
            origin,
            host,
            client_id=asked.client.id,
            client_mode=asked.client.mode,
            allowed_origins=allowed_origins,
            public_origin=None,
            machine_names=MACHINE_NAMES,
            peer_is_loopback=address.direct_loopback,
        ),
        proof=proof if device else None,
        credential=credential,
        paired=paired,
        blocked=blocked,
        locked_for_s=locked_for_s,
        auto_approve_local=auto_approve_local,
        rules=rules,
        host_is_ours=host_is_ours(
            host,
            machine_names=MACHINE_NAMES,
            public_origin=None,
            allowed_origins=allowed_origins,
        ),
        peer_is_proxy=is_within(address.peer, [ip_network(one) for one in trusted]),
        peer_is_default_gateway=peer_is_default_gateway,
    )


def remote_facts(**wanted: Any) -> Facts:
    """Return `facts` of a client on another machine."""
    wanted.setdefault("host", "gw.example.com")
    return facts(peer="203.0.113.9", **wanted)


def a_token(
    role: str = "operator", scopes: tuple[str, ...] = ("operator.read",), **wanted: Any
) -> DeviceToken:
    """Return a live device token."""
    return DeviceToken(f"token-of-{role}", role, tuple(sorted(scopes)), 1_000, **wanted)


def a_device(
    scopes: tuple[str, ...] = ("operator.read",),
    *,
    roles: tuple[str, ...] = ("operator",),
    baseline: tuple[str, ...] | None = None,
    revoked: tuple[str, ...] = (),
    **wanted: Any,
) -> PairedDevice:
    """Return a paired device with a live token for each role, but for the revoked ones."""
    tokens = {
        role: a_token(role, scopes if role == "operator" else ())
        for role in dict.fromkeys((*roles, *revoked))
    }
    for role in revoked:
        tokens[role] = attrs.evolve(tokens[role], revoked_at_ms=2_000)
    wanted.setdefault("tokens", tokens)
    wanted.setdefault("role", roles[0] if roles else None)
    return PairedDevice(
        DEVICE_ID,
        PUBLIC_KEY,
        roles=roles,
        scopes=scopes if baseline is None else baseline,
        **wanted,
    )

"""What a narrower configuration means for those who are in: who would not be let in, goes.

Only what a reload can take away is judged: the page a session came from, and the user a proxy
named. A local session stays local, and a paired device stays paired, whatever the lists say.
"""

from __future__ import annotations

import logging

from gateway.hub import Session
from gateway.policy.address import normalise_ip
from gateway.policy.origin import judge_origin
from gateway.policy.proxy_auth import still_vouched
from gateway.protocol.close import GATEWAY_AUTH_CHANGED, GATEWAY_POLICY_CHANGED
from gateway.runtime import Runtime
from gateway.settings import Settings

logger = logging.getLogger("gateway.config")


def end_who_would_stay_out(runtime: Runtime, old: Settings, new: Settings) -> None:
    """End the sessions that the settings now in force would not let in."""
    pages = (old.allowed_origins, old.public_origin) != (new.allowed_origins, new.public_origin)
    users = (old.proxy, old.trusted) != (new.proxy, new.trusted)
    ended = 0
    for session in runtime.hub:
        if users and not _user_may_stay(session, old, new):
            session.end(GATEWAY_AUTH_CHANGED)
        elif pages and not _page_may_stay(session, new, runtime.machine_names):
            session.end(GATEWAY_POLICY_CHANGED)
        else:
            continue
        ended += 1
    if ended:
        logger.info("%d sessions ended: the configuration does not let them in any more", ended)


def _user_may_stay(session: Session, old: Settings, new: Settings) -> bool:
    visit, user = session.visit, session.user
    if visit is None or user is None or old.proxy is None or new.proxy is None:
        return True
    peer = visit.address.peer
    return still_vouched(
        old.proxy,
        new.proxy,
        new.trusted,
        user=user,
        peer=peer,
        local_end=normalise_ip(visit.local[0].partition("%")[0]) or peer,
    )


def _page_may_stay(session: Session, new: Settings, machine_names: frozenset[str]) -> bool:
    visit = session.visit
    if visit is None or visit.origin is None:
        return True
    verdict = judge_origin(
        visit.origin,
        visit.host,
        client_id="",  # what a client calls itself matters only without an Origin
        client_mode="",
        allowed_origins=new.allowed_origins,
        public_origin=new.public_origin,
        machine_names=machine_names,
        peer_is_loopback=visit.address.direct_loopback and session.user is None,
    )
    return verdict.allowed

"""What the gateway has seen of proxies, for whoever sets one up."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from gateway.methods.call import NOTHING, Call, checked
from gateway.policy.hops import rule_text
from gateway.policy.walk import rule_for
from stores.peers_seen import to_json


def peers_list(call: Call) -> dict[str, Any]:
    """Answer ``gateway.peers.list``: each peer that looked like a proxy, the latest first."""
    checked(call, "gateway.peers.list", NOTHING)
    runtime = call.runtime
    answer = to_json(runtime.peers.listing())
    for peer in answer["peers"]:
        rule = rule_for(ip_address(peer["peer"]), runtime.settings.trusted)
        peer["trustedBy"] = None if rule is None else rule_text(rule)
    return answer

"""What published pages ask of an agent, answered where none is attached: empty shapes, honest noes.

Nothing here is advertised: a page that reads the list of methods leaves these parts out by itself,
one that does not read it shows empty pages instead of errors. What is in no table here stays an
unknown method, which both published pages survive.

Source: protocol fact, the payloads under which both published pages show no error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.methods.call import Call, unavailable
from stores.scopes import ADMIN, READ, WRITE

#: The agent that pages show when nobody names one.
AGENT_ID = "main"

#: Characters of a session key that come back to who asked for it.
MAX_KEY = 200

#: What a page, and a person who reads it, is told of what only an agent could do.
NO_AGENT = "no agent is attached to this gateway: it manages devices and nodes"


def agents_list(_call: Call) -> dict[str, Any]:
    """Answer ``agents.list``: the one agent that pages cannot do without, by name only."""
    agent = {"id": AGENT_ID, "name": AGENT_ID}
    return {"defaultId": AGENT_ID, "mainKey": AGENT_ID, "scope": "per-sender", "agents": [agent]}


def agent_identity(_call: Call) -> dict[str, Any]:
    """Answer ``agent.identity.get``: a face for a page to show."""
    return {"agentId": AGENT_ID, "name": "Assistant", "avatar": "A"}


def models_list(_call: Call) -> dict[str, Any]:
    """Answer ``models.list``: none."""
    return {"models": []}


def sessions_list(call: Call) -> dict[str, Any]:
    """Answer ``sessions.list``: no conversations."""
    return {
        "ts": call.runtime.now_ms(),
        "path": "",
        "count": 0,
        "totalCount": 0,
        "limitApplied": 100,
        "nextOffset": None,
        "hasMore": False,
        "owners": [],
        "defaults": {"modelProvider": None, "model": None, "contextTokens": None},
        "sessions": [],
    }


def sessions_subscribe(_call: Call) -> dict[str, Any]:
    """Answer ``sessions.subscribe``: heard; there is nothing that could be told."""
    return {"subscribed": True}


def chat_history(call: Call) -> dict[str, Any]:
    """Answer ``chat.history``: an empty conversation under the key that was asked for."""
    params = call.params if isinstance(call.params, dict) else {}
    asked = params.get("sessionKey")
    key = asked[:MAX_KEY] if isinstance(asked, str) else ""
    return {"sessionKey": key, "messages": [], "thinkingLevel": "off"}


def channels_status(call: Call) -> dict[str, Any]:
    """Answer ``channels.status``: no channels."""
    return {
        "ts": call.runtime.now_ms(),
        "channelOrder": [],
        "channelLabels": {},
        "channelDetailLabels": {},
        "channelSystemImages": {},
        "channelMeta": [],
        "channels": {},
        "channelAccounts": {},
        "channelDefaultAccountId": {},
    }


def cron_list(_call: Call) -> dict[str, Any]:
    """Answer ``cron.list``: one page, without jobs; the newer page reads how it is cut."""
    cut = {"total": 0, "offset": 0, "limit": 50, "hasMore": False, "nextOffset": None}
    return {"jobs": []} | cut


def cron_status(_call: Call) -> dict[str, Any]:
    """Answer ``cron.status``: nothing is planned."""
    return {"enabled": False, "storePath": "", "jobs": 0, "nextWakeAtMs": None}


def skills_status(_call: Call) -> dict[str, Any]:
    """Answer ``skills.status``: none."""
    return {"workspaceDir": "", "managedSkillsDir": "", "skills": []}


def exec_approvals(_call: Call) -> dict[str, Any]:
    """Answer ``exec.approvals.get``: there is no file of approvals."""
    file = {"version": 1, "defaults": {}, "agents": {}}
    return {"path": "", "exists": False, "hash": "", "file": file}


def voicewake(_call: Call) -> dict[str, Any]:
    """Answer ``voicewake.get``: no word wakes anybody."""
    return {"triggers": []}


def usage_status(call: Call) -> dict[str, Any]:
    """Answer ``usage.status``: nothing is used."""
    return {"updatedAt": call.runtime.now_ms(), "providers": []}


def talk_config(_call: Call) -> dict[str, Any]:
    """Answer ``talk.config``: nothing is set, so there is no secret in it either."""
    return {"config": {}}


def no_agent(_call: Call) -> None:
    """Refuse what only an agent could do; pages print the sentence in the conversation."""
    raise unavailable(NO_AGENT, {"reason": "no-agent"})


#: Method -> scope and handler, with the scopes of the published tables.
AGENTLESS: dict[str, tuple[str, Callable[[Call], Any]]] = {
    "agent": (WRITE, no_agent),
    "agent.identity.get": (READ, agent_identity),
    "agents.list": (READ, agents_list),
    "channels.status": (READ, channels_status),
    "chat.history": (READ, chat_history),
    "chat.send": (WRITE, no_agent),
    "cron.list": (READ, cron_list),
    "cron.status": (READ, cron_status),
    "exec.approvals.get": (ADMIN, exec_approvals),
    "models.list": (READ, models_list),
    "send": (WRITE, no_agent),
    "sessions.list": (READ, sessions_list),
    "sessions.subscribe": (READ, sessions_subscribe),
    "skills.status": (READ, skills_status),
    "talk.config": (READ, talk_config),
    "usage.status": (READ, usage_status),
    "voicewake.get": (READ, voicewake),
}

"""Keys that have no effect here, or never had any: data only, by dotted path.

Rule: a key known to a published release of 2026 is never an error; a key that nobody ever
honoured is one, with a pointer to the key that was meant.
"""

from __future__ import annotations

#: Sections whose every key is checked.
OWNED = ("gateway", "logging")

#: Other spellings of a key: old path -> the one in the model.
ALIASES = {
    "gateway.nodes.allowCommands": "gateway.nodes.commands.allow",
    "gateway.nodes.denyCommands": "gateway.nodes.commands.deny",
    "gateway.nodes.pairing.autoApproveLocal": "gateway.pairing.autoApproveLocal",
}

_NO_HINT = ""
#: Accepted, one warning each, no effect; whatever is below such a key is not looked at.
#: The value says what to use instead.
WITHOUT_EFFECT = {
    "gateway.auth.allowTailscale": _NO_HINT,
    "gateway.auth.identityScopes": "scopes come from approving a device",
    "gateway.auth.rateLimit.exemptLoopback": "local connections without an Origin are exempt",
    "gateway.auth.trustedProxy.deviceAutoApprove": "see `gateway.pairing.autoApprove`",
    "gateway.channelHealthCheckMinutes": _NO_HINT,
    "gateway.channelMaxRestartsPerHour": _NO_HINT,
    "gateway.channelStaleEventThresholdMinutes": _NO_HINT,
    "gateway.cliAgents": _NO_HINT,
    "gateway.controlUi.allowExternalEmbedUrls": _NO_HINT,
    "gateway.controlUi.allowInsecureAuth": "see `gateway.controlUi.allowPlainHttp`",
    "gateway.controlUi.automaticallyFetchFavicons": _NO_HINT,
    "gateway.controlUi.chatMessageMaxWidth": _NO_HINT,
    "gateway.controlUi.communityInvite": _NO_HINT,
    "gateway.controlUi.embedSandbox": _NO_HINT,
    "gateway.controlUi.environment": _NO_HINT,
    "gateway.controlUi.experimental": _NO_HINT,
    "gateway.controlUi.github": _NO_HINT,
    "gateway.controlUi.root": _NO_HINT,
    "gateway.controlUi.toolTitles": _NO_HINT,
    "gateway.http": _NO_HINT,
    "gateway.nodes.browser": _NO_HINT,
    "gateway.nodes.pairing.autoApproveCidrs": "see `gateway.pairing.autoApprove`",
    "gateway.nodes.pairing.sshVerify": _NO_HINT,
    "gateway.push": _NO_HINT,
    "gateway.reload": "every change is applied as soon as it can be",
    "gateway.remote.enabled": _NO_HINT,
    "gateway.remote.remotePort": _NO_HINT,
    "gateway.remote.sshHostKeyPolicy": _NO_HINT,
    "gateway.remote.sshIdentity": _NO_HINT,
    "gateway.remote.sshTarget": "open the tunnel with `ssh -L` and set `gateway.remote.url`",
    "gateway.remote.transport": _NO_HINT,
    "gateway.roles": _NO_HINT,
    "gateway.tailscale": _NO_HINT,
    "gateway.terminal": _NO_HINT,
    "gateway.tools": _NO_HINT,
    "gateway.webchat": _NO_HINT,
    "gateway.workspacePreviewMaxBytes": _NO_HINT,
    "logging.consoleStyle": _NO_HINT,
    "logging.file": "log files are in the folder `logs` of the state directory",
    "logging.redactPatterns": "secrets are never written",
    "logging.redactSensitive": "secrets are never written",
    "meta": _NO_HINT,
    "$schema": _NO_HINT,
}

_PAIR = "name who is paired without being asked about in `gateway.pairing.autoApprove`"
_CHATS = (
    "remove it: it is about who may write to a channel and never lets a device in; see who waits "
    "with `openclaw devices list`"
)
_ORIGINS = "use `gateway.controlUi.allowedOrigins`"
_PROXIES = "use `gateway.trustedProxies`, an array of the proxies' addresses"
#: Never valid anywhere: path -> what was meant.
REFUSED = {
    "gateway.auth.skipPairingForTokenAuth": _PAIR,
    "gateway.auth.skipPairing": _PAIR,
    "gateway.auth.allowInsecureAuth": _PAIR,
    "gateway.auth.autoApprove": _PAIR,
    "gateway.auth.requirePairing": _PAIR,
    "gateway.skipPairing": _PAIR,
    "gateway.dmPolicy": _CHATS,
    "gateway.auth.dmPolicy": _CHATS,
    "gateway.pairing.dmPolicy": _CHATS,
    "gateway.autoApprove": _PAIR,
    "gateway.allowInsecureAuth": _PAIR,
    "gateway.devices": _PAIR,
    "gateway.pairing.enabled": _PAIR,
    "gateway.pairing.skip": _PAIR,
    "gateway.auth.trustedProxies": _PROXIES,
    "gateway.trustProxy": _PROXIES,
    "gateway.trustedProxy": _PROXIES,
    "gateway.token": "use `gateway.auth.token`",
    "gateway.password": "use `gateway.auth.password`",
    "gateway.authToken": "use `gateway.auth.token`",
    "gateway.host": "use `gateway.bind`, and `gateway.customBindHost` for one address",
    "gateway.bindAddress": "use `gateway.bind`, and `gateway.customBindHost` for one address",
    "gateway.allowedOrigins": _ORIGINS,
    "gateway.cors": _ORIGINS,
    "gateway.url": "use `gateway.publicOrigin`, or `gateway.remote.url` for another gateway",
    "gateway.ssl": "use `gateway.tls`",
    "gateway.logLevel": "use `logging.level`",
}

#: A key with this prefix switches a protection off, and none here can be.
DANGEROUS_PREFIX = "dangerously"
#: The key that serves the purpose of a dangerous one.
INSTEAD_OF_DANGEROUS = {
    "dangerouslyAllowHostHeaderOriginFallback": "list the origins in "
    "`gateway.controlUi.allowedOrigins`",
    "dangerouslyDisableDeviceAuth": "serve the page over https or on localhost, or name who is "
    "paired without being asked about in `gateway.pairing.autoApprove`",
}

#: Sections of other programs, carried untouched.
CARRIED = frozenset(
    {
        "acp",
        "agents",
        "approvals",
        "audio",
        "auth",
        "bindings",
        "broadcast",
        "browser",
        "canvasHost",
        "channels",
        "cli",
        "commands",
        "cron",
        "diagnostics",
        "discord",
        "discovery",
        "env",
        "hooks",
        "imessage",
        "mcp",
        "media",
        "memory",
        "messages",
        "models",
        "nodeHost",
        "plugins",
        "secrets",
        "session",
        "sessions",
        "signal",
        "skills",
        "slack",
        "talk",
        "telegram",
        "tools",
        "ui",
        "update",
        "web",
        "whatsapp",
        "wizard",
    }
)

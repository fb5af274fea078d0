"""What to type: examples of every command, shown at the end of its help and on the reference page.

Rule: a command without an entry fails the tests, and so does an example that would be a usage error.
"""

from __future__ import annotations

import click

EXAMPLES: dict[str, tuple[str, ...]] = {
    "": ("openclaw gateway run", "openclaw devices list", "openclaw doctor"),
    "gateway": ("openclaw gateway run --port 18789", "openclaw gateway status"),
    "gateway run": (
        "openclaw gateway run",
        "openclaw gateway run --bind lan --token-file /run/secrets/token",
    ),
    "gateway auth-token": ("openclaw gateway auth-token --show",),
    "gateway call": (
        "openclaw gateway call health",
        """openclaw gateway call config.get --params '{}' --json""",
    ),
    "gateway explain": (
        "openclaw gateway explain --peer 127.0.0.1 --header 'X-Forwarded-For: 203.0.113.9'",
    ),
    "gateway fingerprint": ("openclaw gateway fingerprint",),
    "gateway health": ("openclaw gateway health", "openclaw gateway health --json"),
    "gateway install": ("openclaw gateway install", "openclaw gateway install --print"),
    "gateway lockouts": ("openclaw gateway lockouts list",),
    "gateway lockouts list": ("openclaw gateway lockouts list --json",),
    "gateway lockouts clear": (
        "openclaw gateway lockouts clear 203.0.113.9",
        "openclaw gateway lockouts clear --all",
    ),
    "gateway probe": ("openclaw gateway probe --url wss://gateway.example",),
    "gateway reload": ("openclaw gateway reload",),
    "gateway restart": ("openclaw gateway restart",),
    "gateway start": ("openclaw gateway start",),
    "gateway status": ("openclaw gateway status", "openclaw gateway status --json --require-rpc"),
    "gateway stop": ("openclaw gateway stop",),
    "gateway uninstall": ("openclaw gateway uninstall",),
    "gateway why": ("openclaw gateway why", "openclaw gateway why --all"),
    "config": ("openclaw config get gateway", "openclaw config set gateway.bind lan"),
    "config convert": ("openclaw config convert --to toml",),
    "config diff": ("openclaw config diff good",),
    "config file": ("openclaw config file",),
    "config get": ("openclaw config get gateway.auth.mode",),
    "config rollback": ("openclaw config rollback", "openclaw config rollback good"),
    "config schema": ("openclaw config schema",),
    "config set": (
        "openclaw config set gateway.port 18790",
        """openclaw config set gateway.trustedProxies '["127.0.0.1"]'""",
        "openclaw config set gateway.auth.token --from-file FILE",
    ),
    "config unset": ("openclaw config unset gateway.port",),
    "config validate": ("openclaw config validate --json",),
    "devices": ("openclaw devices list", "openclaw devices approve 7KQ2-M9XD"),
    "devices list": ("openclaw devices list", "openclaw devices list --offline --json"),
    "devices show": ("openclaw devices show kitchen",),
    "devices approve": (
        "openclaw devices approve 7KQ2-M9XD",
        "openclaw devices approve --wait",
    ),
    "devices watch": (
        "openclaw devices watch",
        "openclaw devices watch --json",
        "openclaw devices watch --run 'logger -t openclaw'",
    ),
    "devices reject": ("openclaw devices reject 7KQ2-M9XD",),
    "devices remove": ("openclaw devices remove kitchen",),
    "devices rename": ("openclaw devices rename kitchen 'Kitchen tablet'",),
    "devices block": ("openclaw devices block kitchen",),
    "devices unblock": ("openclaw devices unblock kitchen",),
    "devices rotate": ("openclaw devices rotate kitchen --role operator --scope operator.read",),
    "devices revoke": ("openclaw devices revoke kitchen --role operator",),
    "devices prune": ("openclaw devices prune --older-than 90d --dry-run",),
    "devices clear": ("openclaw devices clear --pending --yes",),
    "devices verify": ("openclaw devices verify",),
    "configure": ("openclaw configure",),
    "completion": ("openclaw completion -s bash",),
    "dashboard": ("openclaw dashboard", "openclaw dashboard --no-open"),
    "devices invite": (
        "openclaw devices invite --expires 1h",
        "openclaw devices invite --role operator --scopes operator.read",
    ),
    "qr": ("openclaw qr --public-url https://gateway.example",),
    "doctor": (
        "openclaw doctor",
        "openclaw doctor --fix",
        "openclaw doctor --generate-gateway-token --yes",
    ),
    "doctor proxy": ("openclaw doctor proxy --since 10m",),
    "health": ("openclaw health",),
    "logs": ("openclaw logs --follow", "openclaw logs --since 2h --level warn"),
    "nodes": ("openclaw nodes list", "openclaw nodes status"),
    "nodes list": ("openclaw nodes list --last-connected 24h",),
    "nodes status": ("openclaw nodes status --connected",),
    "nodes describe": ("openclaw nodes describe kitchen",),
    "nodes pending": ("openclaw nodes pending",),
    "nodes approve": ("openclaw nodes approve 7KQ2-M9XD",),
    "nodes reject": ("openclaw nodes reject 7KQ2-M9XD",),
    "nodes rename": ("openclaw nodes rename kitchen 'Kitchen tablet'",),
    "nodes remove": ("openclaw nodes remove kitchen",),
    "nodes invoke": (
        """openclaw nodes invoke --node kitchen --command system.which --params '{"bins": ["ls"]}'""",
    ),
    "pairing": ("openclaw pairing list",),
    "pairing list": ("openclaw pairing list",),
    "pairing approve": ("openclaw pairing approve 7KQ2-M9XD",),
    "security": ("openclaw security audit",),
    "security audit": ("openclaw security audit --json",),
    "status": ("openclaw status", "openclaw status --json"),
}


def attach(command: click.Command, path: str) -> None:
    """Put the examples of a command, and of those below it, at the end of its help."""
    lines = EXAMPLES.get(path, ())
    if lines and not command.epilog:
        # \b keeps the lines as they are
        command.epilog = "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            attach(inner, f"{path} {name}".strip())

"""Load what a command may need before it stops being root: its program may lie where only root looks.

Everything else is imported late, for a quick start. Of what a `sudo pipx install` leaves under
`/root`, the user that root becomes cannot read another line.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

#: Modules that ours, or the libraries they use, import only when they are called.
_LATE = (
    "click._termui_impl",
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "cryptography.hazmat.primitives.serialization",
    "difflib",
    "encodings.idna",
    "filelock",
    "getpass",
    "hmac",
    "json",
    "json5.loader",
    "json5.model",
    "locale",
    "orjson",
    "platform",
    "secrets",
    "shutil",
    "socket",
    "ssl",
    "stringprep",
    "subprocess",
    "tomllib",
    "traceback",
    "unicodedata",
    "uuid",
    "wsproto",
)


_PACKAGES = ("stores", "stores.checks", "stores.config", "cli", "cli.service", "gateway.protocol")


def load_everything() -> None:
    """Import all that a command of `openclaw devices` could import later."""
    for name in _PACKAGES:
        package = import_module(name)
        for found in pkgutil.iter_modules(package.__path__, f"{name}."):
            if found.name.startswith("cli.") and not found.name.startswith(_OURS):
                continue
            import_module(found.name)
    for name in _LATE:
        import_module(name)


_OURS = (
    "cli.client",
    "cli.config_words",
    "cli.device",
    "cli.doctor",
    "cli.explain",
    "cli.failures",
    "cli.offline",
    "cli.output",
    "cli.own_secret",
    "cli.pairing",
    "cli.place",
    "cli.progress",
    "cli.proxy_findings",
    "cli.road",
    "cli.service",
    "cli.whose",
    "cli.wire",
)

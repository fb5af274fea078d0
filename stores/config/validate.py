"""Turn a document into the records of the model, or into the list of what is wrong with it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import attrs
from attrs import define, field, frozen

from stores.config import foreign
from stores.config.keypath import KeyPath, dotted
from stores.config.kinds import MismatchError, UseDefaultError, closest
from stores.config.model import (
    AuthConfig,
    AuthMode,
    AutoApproveRule,
    Bind,
    Config,
    GatewayConfig,
    keys_of,
)
from stores.config.proxies import proxy_warnings
from stores.records import Role


@frozen
class Problem:
    """One thing wrong with a document; ``path`` is where, ``text`` completes "path: …"."""

    path: KeyPath
    text: str
    remedy: str


@define
class Findings:
    """What validation saw besides the values."""

    problems: list[Problem] = field(factory=list)
    warnings: list[str] = field(factory=list)
    written_as: dict[str, KeyPath] = field(factory=dict)

    def refuse(self, path: KeyPath, text: str, remedy: str) -> None:
        """Note a problem under the spelling that the file uses."""
        self.problems.append(Problem(self.written_as.get(dotted(path), path), text, remedy))


def validate(document: Mapping[str, Any]) -> tuple[Config | None, Findings]:
    """Read the sections we own, strictly; leave everybody else's alone.

    Returns:
        The configuration, None as soon as there is one problem, and all findings.
    """
    findings = Findings()
    owned = {name: copy.deepcopy(document[name]) for name in foreign.OWNED if name in document}
    _move_aliases(owned, findings)
    config = _read_record(Config, owned, (), findings)
    _read_root(document, findings)
    if isinstance(config, Config):
        _check_together(config.gateway, findings)
        if not findings.problems:
            return config, findings
    return None, findings


def _read_root(document: Mapping[str, Any], findings: Findings) -> None:
    for key in document:
        if key in foreign.WITHOUT_EFFECT:
            findings.warnings.append(_without_effect(key))
        elif key not in foreign.OWNED and key not in foreign.CARRIED:
            meant = closest(key, list(foreign.OWNED))
            if meant is None and key in keys_of(GatewayConfig):
                meant = f"gateway.{key}"
            if meant is not None:
                findings.warnings.append(f"{key} is carried untouched; did you mean `{meant}`?")


def _move_aliases(owned: dict[str, Any], findings: Findings) -> None:
    for old, new in foreign.ALIASES.items():
        holder, last = _holder(owned, tuple(old.split(".")), make=False)
        if holder is None or last not in holder:
            continue
        value = holder.pop(last)
        target, name = _holder(owned, tuple(new.split(".")), make=True)
        if target is None:
            continue  # what stands in the way is refused when its turn comes
        if name in target and target[name] != value:
            path = tuple(old.split("."))
            findings.refuse(path, f"says something else than {new}", f"keep `{new}` only")
        elif name not in target:
            target[name] = value
            findings.written_as[new] = tuple(old.split("."))


def _holder(
    document: dict[str, Any], path: KeyPath, *, make: bool
) -> tuple[dict[str, Any] | None, str]:
    """Return the object that holds the last key of ``path``, None where there is no object."""
    holder: Any = document
    for key in path[:-1]:
        if make and key not in holder:
            holder[key] = {}
        holder = holder.get(key)
        if not isinstance(holder, dict):
            return None, path[-1]
    return holder, path[-1]


def _read_record(record: type, value: Any, path: KeyPath, findings: Findings) -> Any:
    """Return an instance of ``record``, or None with at least one problem noted."""
    if not isinstance(value, dict):
        findings.refuse(path, f"expected an object, got {_kind_of(value)}", "write `{ … }` there")
        return None
    keys = keys_of(record)
    for key in value:
        if key not in keys:
            _refuse_unknown((*path, key), value[key], record, findings)
    read: dict[str, Any] = {}
    before = len(findings.problems)
    for key, attribute in keys.items():
        if key in value:
            _read_key(attribute, value[key], (*path, key), read, findings)
        elif attribute.default is attrs.NOTHING:
            findings.refuse((*path, key), "required key missing", f"add `{key}`")
    return record(**read) if len(findings.problems) == before else None


def _read_key(
    attribute: attrs.Attribute[Any],
    value: Any,
    path: KeyPath,
    read: dict[str, Any],
    findings: Findings,
) -> None:
    notes = attribute.metadata
    if "section" in notes:
        read[attribute.name] = _read_record(notes["section"], value, path, findings)
        return
    if "records" in notes:
        read[attribute.name] = _read_records(notes["records"], value, path, findings)
        return
    try:
        read[attribute.name] = notes["kind"](value)
    except UseDefaultError as error:
        findings.warnings.append(f"{dotted(path)}: {error}")
    except MismatchError as error:
        if error.at is not None:
            path, value = (*path, str(error.at)), error.element
        got = _kind_of(value) if notes["secret"] else _shown(value)
        remedy = error.remedy or f"correct `{dotted(path)}`"
        findings.refuse(path, f"expected {error.expected}, got {got}", remedy)


def _read_records(record: type, value: Any, path: KeyPath, findings: Findings) -> Any:
    if not isinstance(value, list):
        text = f"expected an array of objects, got {_kind_of(value)}"
        findings.refuse(path, text, "write `[{ … }]` there")
        return ()
    return tuple(
        _read_record(record, item, (*path, str(index)), findings)
        for index, item in enumerate(value)
    )


#: Keys that are not in the model but hold keys that are known.
_BRANCHES = {
    path.rpartition(".")[0]
    for path in (*foreign.ALIASES, *foreign.WITHOUT_EFFECT)
    if path.count(".") > 1
}


@frozen
class _Nothing:
    """A record without keys: below it, only keys known from elsewhere can pass."""


def _refuse_unknown(path: KeyPath, value: Any, record: type, findings: Findings) -> None:
    name, key = dotted(path), path[-1]
    if key.startswith(foreign.DANGEROUS_PREFIX) and value is not False:
        instead = foreign.INSTEAD_OF_DANGEROUS.get(key, "remove the key")
        findings.refuse(path, "switches a protection off, which is refused", instead)
    elif key.startswith(foreign.DANGEROUS_PREFIX) or name in foreign.WITHOUT_EFFECT:
        findings.warnings.append(_without_effect(name))
    elif name in foreign.REFUSED:
        findings.refuse(path, "there never was such a key", foreign.REFUSED[name])
    elif name in _BRANCHES:
        _read_record(_Nothing, value, path, findings)
    else:
        meant = meant_by(path, record)
        remedy = f"did you mean `{meant}`?" if meant else "remove the key"
        findings.refuse(path, "unknown key", remedy)


def _without_effect(name: str) -> str:
    hint = foreign.WITHOUT_EFFECT.get(name, "")
    return f"{name} has no effect in this gateway" + (f": {hint}" if hint else "")


def meant_by(path: KeyPath, record: type) -> str | None:
    """Return the full path of the key that was probably meant: near it first, then anywhere."""
    key, here = path[-1], dotted(path[:-1])
    prefix = f"{here}." if here else ""
    near = {prefix + name: name for name in keys_of(record)}
    known = (*foreign.WITHOUT_EFFECT, *foreign.ALIASES)
    near |= {name: name[len(prefix) :] for name in known if name.startswith(prefix)}
    for full, name in near.items():
        if name.lower() == key.lower():
            return full
    close = closest(key, list(near.values()))
    if close is not None:
        return next(full for full, name in near.items() if name == close)
    return next((full for full in all_keys() if full.rpartition(".")[2] == key), None)


def all_keys(record: type = Config, prefix: str = "") -> list[str]:
    """Return the dotted path of every key of the model, sections before what they hold."""
    found = []
    for key, attribute in keys_of(record).items():
        found.append(prefix + key)
        if "section" in attribute.metadata:
            found += all_keys(attribute.metadata["section"], f"{prefix}{key}.")
    return found


def _check_together(gateway: GatewayConfig, findings: Findings) -> None:
    """Note what no single key shows."""
    _check_secrets(gateway.auth, findings)
    findings.warnings += proxy_warnings(gateway.trusted_proxies)
    if gateway.bind is Bind.AUTO:
        findings.warnings.append(
            "gateway.bind: auto means loopback here; use `lan` to be reachable"
        )
    if gateway.bind is Bind.CUSTOM and gateway.custom_bind_host is None:
        findings.refuse(
            ("gateway", "bind"),
            "custom needs an address",
            "`openclaw config set gateway.customBindHost ADDRESS`",
        )
    if (gateway.tls.cert_path is None) != (gateway.tls.key_path is None):
        findings.refuse(
            ("gateway", "tls"),
            "certPath and keyPath belong together, and one of them is missing",
            "set both, or neither",
        )
    _check_rules(gateway.pairing.auto_approve, findings)
    if gateway.pairing.auto_approve and gateway.auth.mode in (
        AuthMode.NONE,
        AuthMode.TRUSTED_PROXY,
    ):
        findings.warnings.append(
            "gateway.pairing.autoApprove lets nobody in: its rules ask for the shared secret, and "
            f"gateway.auth.mode is {gateway.auth.mode}"
        )
    _check_proxy_auth(gateway, findings)


def _check_rules(rules: tuple[AutoApproveRule, ...], findings: Findings) -> None:
    names = [rule.name for rule in rules]
    for name in sorted({name for name in names if names.count(name) > 1}):
        findings.refuse(
            ("gateway", "pairing", "autoApprove"),
            f"two rules have the name {name!r}",
            "give each rule its own, as the audit trail names them",
        )
    for rule in rules:
        said = f"gateway.pairing.autoApprove: the rule {rule.name!r}"
        if not isinstance(rule.source, str) and rule.source.is_loopback:
            findings.warnings.append(
                f"{said} names this machine and lets nobody in; clients of this machine are "
                "`gateway.pairing.autoApproveLocal`"
            )
        if Role.OPERATOR in rule.roles and not rule.scopes:
            findings.warnings.append(
                f"{said} grants no scopes, so it lets no operator in who asks for any; add `scopes`"
            )


def _check_proxy_auth(gateway: GatewayConfig, findings: Findings) -> None:
    """Warn of what mode trusted-proxy can let nobody in with, or does not look at."""
    auth, proxies = gateway.auth, gateway.trusted_proxies
    if auth.mode is not AuthMode.TRUSTED_PROXY:
        return
    here = proxies and all(network.is_loopback for network in proxies)
    if here and not auth.trusted_proxy.allow_loopback:
        findings.warnings.append(
            "gateway.auth.mode is trusted-proxy and gateway.trustedProxies names this machine "
            "alone, so nobody is let in; if the proxy runs here, `openclaw config set "
            "gateway.auth.trustedProxy.allowLoopback true` believes it, and every local process"
        )
    unused = {"token": auth.token, "tokenFile": auth.token_file}
    unused |= {"password": auth.password, "passwordFile": auth.password_file}
    for key, value in unused.items():
        if value:
            findings.warnings.append(
                f"gateway.auth.{key} is not used: gateway.auth.mode is trusted-proxy"
            )


def _check_secrets(auth: AuthConfig, findings: Findings) -> None:
    path = ("gateway", "auth")
    for key, plain, file in (
        ("token", auth.token, auth.token_file),
        ("password", auth.password, auth.password_file),
    ):
        if plain and file:
            text = f"is set, and so is gateway.auth.{key}File"
            findings.refuse((*path, key), text, "keep one of them")
    both = (auth.token or auth.token_file) and (auth.password or auth.password_file)
    if both and auth.mode is None:
        findings.refuse(
            path,
            "token and password are both set, and no mode says which one counts",
            "`openclaw config set gateway.auth.mode token`, or `password`",
        )


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= 60 and value.isprintable() else "a longer string"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value}" if isinstance(value, int | float) else _kind_of(value)


def _kind_of(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}
    return names.get(type(value), "null" if value is None else "a number")

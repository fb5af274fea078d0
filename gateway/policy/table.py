"""The access table: what the gateway decides on a ``connect``, row by row, and what it then says.

Rule: the first row whose conditions all hold is the verdict. `decide_access` comes to it in its own
way; tests hold the two equal on any facts, and ``docs/reference/access.md`` is made from the rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeAlias

from attrs import frozen

from gateway.policy.access import Facts, PairingReason, Refusal
from gateway.policy.credentials import AuthReason
from gateway.policy.features import FEATURES, features_of
from gateway.protocol.errors import DetailCode, ErrorCode


class Entry(StrEnum):
    """How a client comes in: as what is on file says, or with a record written for it."""

    WITHOUT_DEVICE = "admitted without a device"
    KNOWN = "admitted"
    PAIRED = "paired silently"
    UPGRADED = "upgraded silently"
    PAIRED_BY_RULE = "paired by a rule"
    UPGRADED_BY_RULE = "upgraded by a rule"
    INVITED = "paired by its setup code"


class Gets(StrEnum):
    """Which scopes an operator's session has; a node has none."""

    ASKED = "all it asks for"
    SHARED_PART = "what it asks for and has"
    INVITED_PART = "what it asks for and the setup code gives"
    GRANTED_PART = "what it asks for and has or the rule gives"
    NONE = "none"


Verdict: TypeAlias = Refusal | PairingReason | Entry
When: TypeAlias = Mapping[str, tuple[str, ...]]


@frozen
class Told:
    """What a refused client is told.

    Args:
        code: ``error.code``; ``detail`` is ``details.code``.
        text: Message and close reason; ``…`` stands for words that depend on the client.
        command: The command that helps, with ``ID`` for a request id and ``…`` for the client's
            own words, or None.
    """

    text: str
    detail: DetailCode | None
    code: ErrorCode = ErrorCode.INVALID_REQUEST
    close_code: int = 1008
    command: str | None = None


@frozen
class AccessRow:
    """One row: the conditions, the verdict, and what comes of it.

    Args:
        when: Feature -> the values with which the row holds; what is not named may be anything.
        gets: The scopes of who is admitted; ``waits`` leaves the rest as a pending request.
    """

    name: str
    verdict: Verdict
    when: When
    told: Told | None = None
    gets: Gets | None = None
    waits: bool = False

    def holds(self, features: Mapping[str, str]) -> bool:
        """Tell whether every condition of the row holds."""
        return all(features[name] in values for name, values in self.when.items())


def row_for(facts: Facts) -> AccessRow:
    """Return the row that the facts of a ``connect`` fall into; there is always one."""
    features = features_of(facts)
    return next(row for row in ROWS if row.holds(features))


def _when(**conditions: str | tuple[str, ...]) -> When:
    found = {
        name: (value,) if isinstance(value, str) else value for name, value in conditions.items()
    }
    assert all(set(values) <= set(FEATURES[name].values) for name, values in found.items())
    return found


def _credential(
    reason: str, text: str, detail: DetailCode, command: str | None = None
) -> AccessRow:
    told = Told(text, detail, command=command)
    name = reason.replace("_", "-")
    return AccessRow(name, Refusal.CREDENTIALS, _when(credential=reason), told)


def _secret(
    reason: str, text: str, detail: DetailCode, command: str
) -> tuple[AccessRow, AccessRow]:
    """Return the row of pages, which a link lets in, before that of all others."""
    row = _credential(reason, text, detail, command)
    when = _when(credential=reason, client=("Control UI", "web chat"))
    told = Told(text, detail, command="openclaw dashboard")
    return AccessRow(f"{row.name}-of-a-page", row.verdict, when, told), row


def _proof(reason: str, text: str, detail: DetailCode) -> AccessRow:
    return AccessRow(reason, Refusal.DEVICE_PROOF, _when(key=reason), Told(text, detail))


def _pairing(reason: PairingReason, when: When) -> AccessRow:
    told = Told(
        "pairing required: run openclaw devices approve ID (requestId: ID)",
        DetailCode.PAIRING_REQUIRED,
        ErrorCode.NOT_PAIRED,
        command="openclaw devices approve ID",
    )
    return AccessRow(reason.value, reason, when, told)


_NOT_PAIRED = ErrorCode.NOT_PAIRED
_NO_DEVICE = Told("device identity required", DetailCode.DEVICE_IDENTITY_REQUIRED, _NOT_PAIRED)
_NO_CONTROL_UI = Told(
    "control ui requires HTTPS or localhost (secure context)",
    DetailCode.CONTROL_UI_DEVICE_IDENTITY_REQUIRED,
)

#: Before any secret is looked at: nothing of these says whether one is right.
_EARLY = (
    AccessRow(
        "protocol",
        Refusal.PROTOCOL,
        _when(protocol="none"),
        Told("protocol mismatch", DetailCode.PROTOCOL_MISMATCH, close_code=1002),
    ),
    AccessRow("role", Refusal.ROLE, _when(role="unknown"), Told("invalid role", None)),
    AccessRow(
        "origin",
        Refusal.ORIGIN,
        _when(page="foreign"),
        Told(
            "origin not allowed (open the Control UI from the gateway host or allow it in "
            "gateway.controlUi.allowedOrigins)",
            DetailCode.CONTROL_UI_ORIGIN_NOT_ALLOWED,
            command="openclaw config set gateway.controlUi.allowedOrigins …",
        ),
    ),
    _proof(
        "device-public-key",
        "device public key invalid",
        DetailCode.DEVICE_AUTH_PUBLIC_KEY_INVALID,
    ),
    _proof(
        "device-id-mismatch", "device identity mismatch", DetailCode.DEVICE_AUTH_DEVICE_ID_MISMATCH
    ),
    _proof(
        "device-signature-stale",
        "device signature expired",
        DetailCode.DEVICE_AUTH_SIGNATURE_EXPIRED,
    ),
    _proof("device-nonce-missing", "device nonce required", DetailCode.DEVICE_AUTH_NONCE_REQUIRED),
    _proof("device-nonce-mismatch", "device nonce mismatch", DetailCode.DEVICE_AUTH_NONCE_MISMATCH),
    _proof(
        "device-signature", "device signature invalid", DetailCode.DEVICE_AUTH_SIGNATURE_INVALID
    ),
    AccessRow(
        "throttled",
        Refusal.THROTTLED,
        _when(throttle="locked"),
        Told(
            "unauthorized: too many failed authentication attempts (retry later)",
            DetailCode.AUTH_RATE_LIMITED,
            command="openclaw gateway lockouts clear …",
        ),
    ),
)

#: Why no secret was accepted. Whom the proxy does not vouch for hears that, whatever else is missing.
NO_SECRET = tuple(reason.value for reason in AuthReason if not reason.startswith("trusted_proxy_"))
_TOKEN = "unauthorized: gateway token"
_PASSWORD = "unauthorized: gateway password"
_OFFLINE = "openclaw devices list --offline"
_SHOW = "openclaw gateway auth-token --show"

#: No credential was accepted: whatever is on file of the device makes no difference here.
_UNPROVEN = (
    AccessRow(
        "control-ui-without-anything",
        Refusal.CONTROL_UI_DEVICE,
        _when(credential=NO_SECRET, key="none", wrong="no", client="Control UI"),
        _NO_CONTROL_UI,
    ),
    AccessRow(
        "nothing-sent",
        Refusal.NO_DEVICE,
        _when(credential=NO_SECRET, key="none", wrong="no"),
        _NO_DEVICE,
    ),
    *_secret("token_missing", f"{_TOKEN} missing (…)", DetailCode.AUTH_TOKEN_MISSING, _SHOW),
    *_secret("token_mismatch", f"{_TOKEN} mismatch (…)", DetailCode.AUTH_TOKEN_MISMATCH, _SHOW),
    *_secret(
        "password_missing", f"{_PASSWORD} missing (…)", DetailCode.AUTH_PASSWORD_MISSING, _SHOW
    ),
    *_secret(
        "password_mismatch", f"{_PASSWORD} mismatch (…)", DetailCode.AUTH_PASSWORD_MISMATCH, _SHOW
    ),
    _credential(
        "device_token_mismatch",
        "unauthorized: device token mismatch (rotate/reissue device token)",
        DetailCode.AUTH_DEVICE_TOKEN_MISMATCH,
    ),
    *_secret(
        "bootstrap_token_invalid",
        "unauthorized: setup code invalid, expired, revoked, or already used (create a new code; "
        "review `openclaw devices list`)",
        DetailCode.AUTH_BOOTSTRAP_TOKEN_INVALID,
        "openclaw devices invite",
    ),
    *(
        _credential(reason, "unauthorized", DetailCode.AUTH_UNAUTHORIZED, _OFFLINE)
        for reason in ("trusted_proxy_untrusted_source", "trusted_proxy_loopback_source")
    ),
    _credential("trusted_proxy_user_not_allowed", "unauthorized", DetailCode.AUTH_UNAUTHORIZED),
    *(
        _credential(reason, "unauthorized", DetailCode.AUTH_IDENTITY_HEADER_REQUIRED)
        for reason in (
            "trusted_proxy_missing_header",
            "trusted_proxy_user_missing",
            "trusted_proxy_user_ambiguous",
        )
    ),
)

#: The credential is right, and no device counts: none was sent, or a probe is not approved.
_WITHOUT_DEVICE = (
    AccessRow(
        "blocked",
        Refusal.BLOCKED,
        _when(device="blocked"),
        Told(
            "pairing required: this device is blocked",
            DetailCode.PAIRING_REQUIRED,
            _NOT_PAIRED,
            command="openclaw devices unblock …",
        ),
    ),
    AccessRow(
        "control-ui-without-device",
        Refusal.CONTROL_UI_DEVICE,
        _when(device="none", client="Control UI"),
        _NO_CONTROL_UI,
    ),
    AccessRow(
        "node-without-device", Refusal.NO_DEVICE, _when(device="none", role="node"), _NO_DEVICE
    ),
    AccessRow(
        "device-token-without-device",
        Refusal.NO_DEVICE,
        _when(device="none", credential=("device token", "setup code", "none is asked for")),
        _NO_DEVICE,
    ),
    AccessRow(
        "local-without-device",
        Entry.WITHOUT_DEVICE,
        _when(device="none", credential="shared secret", local="yes"),
        gets=Gets.ASKED,
    ),
    AccessRow("without-device", Entry.WITHOUT_DEVICE, _when(device="none"), gets=Gets.NONE),
)

#: A probe of an approved device: nothing is written for it.
_PROBES = (
    AccessRow(
        "local-probe",
        Entry.KNOWN,
        _when(device="probe", credential="shared secret", local="yes"),
        gets=Gets.ASKED,
    ),
    AccessRow("probe", Entry.KNOWN, _when(device="probe"), gets=Gets.SHARED_PART),
)

_SILENT = ("with the secret", "without one")

#: A verified key and an accepted credential: what is on file decides, then the rules.
_DEVICES = (
    AccessRow("invited", Entry.INVITED, _when(record="none", invited="all"), gets=Gets.ASKED),
    AccessRow(
        "partly-invited",
        Entry.INVITED,
        _when(record="none", invited="some"),
        gets=Gets.INVITED_PART,
        waits=True,
    ),
    AccessRow("local-device", Entry.PAIRED, _when(record="none", silence=_SILENT), gets=Gets.ASKED),
    AccessRow(
        "device-by-rule", Entry.PAIRED_BY_RULE, _when(record="none", rule="all"), gets=Gets.ASKED
    ),
    AccessRow(
        "device-partly-by-rule",
        Entry.PAIRED_BY_RULE,
        _when(record="none", rule="some"),
        gets=Gets.GRANTED_PART,
        waits=True,
    ),
    _pairing(PairingReason.NOT_PAIRED, _when(record="none")),
    _pairing(PairingReason.METADATA_UPGRADE, _when(identity="another")),
    AccessRow(
        "local-role",
        Entry.UPGRADED,
        _when(record="role missing", role="operator", silence="with the secret"),
        gets=Gets.ASKED,
    ),
    AccessRow(
        "role-by-rule",
        Entry.UPGRADED_BY_RULE,
        _when(record="role missing", rule="all"),
        gets=Gets.ASKED,
    ),
    AccessRow(
        "role-partly-by-rule",
        Entry.UPGRADED_BY_RULE,
        _when(record="role missing", rule="some"),
        gets=Gets.GRANTED_PART,
        waits=True,
    ),
    _pairing(PairingReason.ROLE_UPGRADE, _when(record="role missing")),
    AccessRow("known", Entry.KNOWN, _when(scopes="all covered"), gets=Gets.ASKED),
    AccessRow("local-scopes", Entry.UPGRADED, _when(silence="with the secret"), gets=Gets.ASKED),
    AccessRow("scopes-by-rule", Entry.UPGRADED_BY_RULE, _when(rule="all"), gets=Gets.ASKED),
    AccessRow(
        "scopes-partly-by-rule",
        Entry.UPGRADED_BY_RULE,
        _when(rule="some"),
        gets=Gets.GRANTED_PART,
        waits=True,
    ),
    AccessRow(
        "some-scopes",
        Entry.KNOWN,
        _when(scopes="some covered"),
        gets=Gets.SHARED_PART,
        waits=True,
    ),
    _pairing(PairingReason.SCOPE_UPGRADE, _when()),
)

ROWS = (*_EARLY, *_UNPROVEN, *_WITHOUT_DEVICE, *_PROBES, *_DEVICES)

"""What a method gets and what it may raise."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from gateway.hub import Session
from gateway.keeper import Keeper
from gateway.protocol.errors import DetailCode, ErrorCode, ErrorShape
from gateway.protocol.schema import Closed, InvalidParamsError, require
from gateway.runtime import Runtime
from stores.errors import UserFacingError
from stores.scopes import covers

#: The parameters of a method that takes none.
NOTHING = Closed({})


class CallError(Exception):
    """A request that is answered with an error.

    Args:
        error: What the peer is told.
        unauthorised: The caller may not call the method at all: too many of these end a session.
    """

    def __init__(self, error: ErrorShape, *, unauthorised: bool = False) -> None:
        super().__init__(error.message)
        self.error = error
        self.unauthorised = unauthorised


def invalid_request(message: str, details: dict[str, Any] | None = None) -> CallError:
    """Return the error of a request that is wrong in itself."""
    return CallError(ErrorShape(ErrorCode.INVALID_REQUEST, message, details))


def unavailable(message: str, details: dict[str, Any] | None = None) -> CallError:
    """Return the error of a request that would be right if this were possible now."""
    return CallError(ErrorShape(ErrorCode.UNAVAILABLE, message, details))


def remedy_of(error: UserFacingError) -> dict[str, Any]:
    """Return details with problem and remedy as what a person reads: whole sentences."""
    parts = [error.problem, *([error.remedy] if error.remedy else [])]
    sentence = " ".join(f"{part[:1].upper()}{part[1:]}." for part in parts)
    return {"remedy": {"sentence": sentence, "where": "gateway-host"}}


@frozen
class Call:
    """One request of one session; ``params`` as sent, None if there were none."""

    runtime: Runtime
    keeper: Keeper
    session: Session
    params: Any


def checked(call: Call, method: str, schema: Closed) -> dict[str, Any]:
    """Return the parameters of a method whose parameters are closed; none means ``{}``.

    Raises:
        CallError: they do not fit; the text names what does not.
    """
    params = {} if call.params is None else call.params
    try:
        require(schema, params)
    except InvalidParamsError as error:
        raise invalid_request(f"invalid {method} params: {error}") from error
    fitting: dict[str, Any] = params
    return fitting


def command_prefix(call: Call) -> str:
    """Return how a command for this gateway begins, as far as the caller may know of its machine."""
    words = call.runtime.words
    return words.local if call.session.local else words.plain


def missing_scope(call: Call, scope: str, *, unauthorised: bool = False) -> CallError:
    """Return the refusal of a call for want of a scope; it names the upgrade that would give it.

    The code is FORBIDDEN for protocol 4 and INVALID_REQUEST for 3 (protocol fact).
    """
    message = f"missing scope: {scope}"
    details: dict[str, Any] = {
        "code": DetailCode.MISSING_SCOPE,
        "missingScope": scope,
        "requiredScopes": [scope],
    }
    hint, more = _upgrade_hint(call, scope)
    code = ErrorCode.FORBIDDEN if call.session.protocol >= 4 else ErrorCode.INVALID_REQUEST
    return CallError(ErrorShape(code, message + hint, details | more), unauthorised=unauthorised)


def _upgrade_hint(call: Call, scope: str) -> tuple[str, dict[str, Any]]:
    """Return what to add to message and details when the session left a wish for ``scope``."""
    session, book = call.session, call.runtime.store.book
    request_id = session.pending_upgrade_id
    if request_id is None or session.device_id is None:
        return "", {}
    device = book.paired.get(session.device_id)
    if device is not None and covers(device.granted_scopes(session.role), (scope,)):
        sentence = "The scope was approved since this connection was made: connect again."
        return " (approved meanwhile: connect again)", {
            "remedy": {"sentence": sentence, "where": "this-device"}
        }
    item = book.pending.get(request_id)
    if item is None or not covers(item.asked_scopes, (scope,)):
        return "", {}
    words = call.runtime.words
    command = f"{command_prefix(call)} devices approve {request_id}"
    remedy = {
        "sentence": "This device asked for the scope and waits for approval; "
        "once approved, connect again.",
        "command": command,
        "where": words.where if session.local else "gateway-host",
    }
    return f" (run {command})", {"requestId": request_id, "remedy": remedy}

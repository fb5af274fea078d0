"""Errors that a user is meant to read: one clause that names the object, one command that helps."""

from __future__ import annotations


class UserFacingError(Exception):
    """Something a user did or met, told in their words.

    Args:
        problem: One clause that names the object, without a final period.
        remedy: What to do about it, imperative, with the exact command in backticks.
    """

    #: The ``error.type`` of the CLI's JSON failure envelope.
    kind = "request"

    def __init__(self, problem: str, *, remedy: str | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return self.problem if self.remedy is None else f"{self.problem}; {self.remedy}"


class UsageError(UserFacingError):
    """The words of a command are off: exit code 2."""

    kind = "usage"


class ConfigError(UserFacingError):
    """The configuration in force cannot be used."""

    kind = "config"


class StoreError(UserFacingError):
    """A file of the state directory cannot be read, trusted or written."""

    kind = "store"


class LockTimeoutError(StoreError):
    """Another process holds the lock of a store for longer than we wait."""


class NotAFileError(StoreError):
    """Something else, such as a folder, has the name of a store file."""


class CorruptStoreError(StoreError):
    """A store file holds something that is not what it should be; nothing was overwritten."""


class TransitionError(UserFacingError):
    """A pairing transition that the book does not allow.

    Args:
        wire_message: What a peer is told instead of ``problem`` (protocol fact: clients match it).
    """

    def __init__(self, problem: str, *, remedy: str | None = None, wire_message: str) -> None:
        super().__init__(problem, remedy=remedy)
        self.wire_message = wire_message


class UnknownRequestError(TransitionError):
    """No pending request answers to the id given.

    Args:
        reference: That id, unless what is wrong is known already.
    """

    def __init__(
        self,
        problem: str,
        *,
        remedy: str | None = None,
        wire_message: str,
        reference: str | None = None,
    ) -> None:
        super().__init__(problem, remedy=remedy, wire_message=wire_message)
        self.reference = reference


class UnknownDeviceError(TransitionError):
    """No paired device answers to the id given."""


class NotAllowedError(TransitionError):
    """The caller may not do this to that device.

    Args:
        missing_scopes: The scopes the caller would have needed, empty when no scope would help.
    """

    def __init__(
        self,
        problem: str,
        *,
        remedy: str | None = None,
        wire_message: str,
        missing_scopes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(problem, remedy=remedy, wire_message=wire_message)
        self.missing_scopes = missing_scopes


class BadLabelError(TransitionError):
    """A label is not one to 64 printable characters."""


class TooManyPendingError(TransitionError):
    """The list of pending requests is full; nobody is evicted for a newcomer."""


class TooManyScopesError(TooManyPendingError):
    """One device asks, in all, for more scopes than a request may hold."""


class TooManyDevicesError(TransitionError):
    """So many devices were let in without a human that the next one waits for one."""


class BlockedDeviceError(TransitionError):
    """The device id is blocked: it gets no record anywhere."""

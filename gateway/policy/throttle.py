"""How many wrong credentials a caller may present, and who counts as one caller.

Rule: a budget is charged when an attempt starts, not when it turns out wrong, so that attempts
made at the same time cannot overrun it. Time is handed in: monotonic seconds.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Sequence
from ipaddress import IPv6Address, IPv6Network

from attrs import Factory, define, field, frozen

from gateway.policy.address import ClientAddress, IPAddress, IPNetwork, is_within

MAX_ATTEMPTS = 10
WINDOW_S = 60.0
LOCKOUT_S = 300.0
# 8192 buckets of some 700 bytes: 6 MiB at worst, and more callers than one gateway serves.
MAX_BUCKETS = 8192

#: What a caller is told to wait while the attempts in flight use up the budget.
IN_FLIGHT_WAIT_S = 1.0

# One subscriber's site gets at least a /64 (RFC 6177), so its addresses cost nothing.
_IPV6_SITE_PREFIX = 64


@frozen
class Lockout:
    """One bucket that is locked, for those who list them."""

    key: str
    remaining_s: float


@define(eq=False)
class _Bucket:
    """Attempts of the current window: wrong ones, and charged ones whose outcome is open."""

    wrong: deque[float] = Factory(deque)
    open: deque[float] = Factory(deque)

    def forget_before(self, then_s: float) -> None:
        for stamps in (self.wrong, self.open):
            while stamps and stamps[0] <= then_s:
                stamps.popleft()


def _attempts(value: float | None) -> int:
    return MAX_ATTEMPTS if value is None or not 1 <= value < math.inf else int(value)


def _window(value: float | None) -> float:
    return WINDOW_S if value is None or not 0 < value < math.inf else float(value)


def _lockout(value: float | None) -> float:
    return LOCKOUT_S if value is None or not 0 < value < math.inf else float(value)


@define(eq=False)
class Throttle:
    """Budgets of wrong credentials, one bucket a key; a key of None is exempt.

    Call `reserve` before a credential is looked at, then exactly one of `record_failure` (it was
    wrong), `record_success` and `release` (nothing was decided). An attempt that is never settled
    counts until its window has passed. `record_failure` without `reserve` counts too.

    Args:
        max_attempts: Wrong credentials within the window that lock a bucket.
        window_s: Length of the sliding window.
        lockout_s: How long a bucket stays locked. None, 0, negative or not finite means the
            default, for all three: no setting switches the throttle off.
        max_buckets: Buckets kept; the unlocked one that was idle longest goes first, then the lock
            that ends soonest.
    """

    max_attempts: int = field(default=None, converter=_attempts)
    window_s: float = field(default=None, converter=_window)
    lockout_s: float = field(default=None, converter=_lockout)
    max_buckets: int = MAX_BUCKETS
    _counting: OrderedDict[str, _Bucket] = field(init=False, factory=OrderedDict, repr=False)
    # Every lock lasts equally long: the order of insertion is the order in which locks end.
    _locked_until_s: OrderedDict[str, float] = field(init=False, factory=OrderedDict, repr=False)

    def reserve(self, key: str | None, now_s: float) -> float | None:
        """Charge one attempt, or return how many seconds to wait without charging it."""
        if key is None:
            return None
        locked_s = self.locked_for_s(key, now_s)
        if locked_s is not None:
            return locked_s
        bucket = self._bucket(key, now_s)
        if len(bucket.wrong) + len(bucket.open) >= self.max_attempts:
            return IN_FLIGHT_WAIT_S
        bucket.open.append(now_s)
        return None

    def locked_for_s(self, key: str | None, now_s: float) -> float | None:
        """Return the seconds until ``key`` may try again, or None if it may now."""
        until_s = None if key is None else self._locked_until_s.get(key)
        return until_s - now_s if until_s is not None and until_s > now_s else None

    def record_failure(self, key: str | None, now_s: float) -> None:
        """Count a wrong credential; the last one of the budget locks the bucket."""
        if key is None or self.locked_for_s(key, now_s) is not None:
            return
        bucket = self._bucket(key, now_s)
        if bucket.open:
            bucket.open.popleft()
        bucket.wrong.append(now_s)
        if len(bucket.wrong) >= self.max_attempts:
            del self._counting[key]
            self._locked_until_s.pop(key, None)
            self._locked_until_s[key] = now_s + self.lockout_s

    def record_success(self, key: str | None, now_s: float) -> None:
        """Forget the wrong attempts of ``key``; attempts in flight stay, and so does a lock."""
        self._settle(key, now_s, forgive=True)

    def release(self, key: str | None, now_s: float) -> None:
        """Give back what `reserve` charged: the attempt ended before the credential was judged."""
        self._settle(key, now_s, forgive=False)

    def lockouts(self, now_s: float) -> tuple[Lockout, ...]:
        """List the locked buckets, the one that ends soonest first."""
        self._drop_ended_locks(now_s)
        return tuple(Lockout(key, until_s - now_s) for key, until_s in self._locked_until_s.items())

    def clear(self, key: str | None = None) -> int:
        """Unlock and forget ``key``, or everything; return how many locks were lifted."""
        keys = list(self._locked_until_s) if key is None else [key]
        lifted = sum(self._locked_until_s.pop(each, None) is not None for each in keys)
        if key is None:
            self._counting.clear()
        else:
            self._counting.pop(key, None)
        return lifted

    def __len__(self) -> int:
        return len(self._counting) + len(self._locked_until_s)

    def _bucket(self, key: str, now_s: float) -> _Bucket:
        bucket = self._counting.get(key)
        if bucket is None:
            if len(self) >= self.max_buckets:
                self._drop_ended_locks(now_s)
            if len(self) >= self.max_buckets:
                (self._counting or self._locked_until_s).popitem(last=False)
            bucket = self._counting[key] = _Bucket()
        self._counting.move_to_end(key)
        bucket.forget_before(now_s - self.window_s)
        return bucket

    def _settle(self, key: str | None, now_s: float, *, forgive: bool) -> None:
        bucket = None if key is None else self._counting.get(key)
        if key is None or bucket is None:
            return
        bucket.forget_before(now_s - self.window_s)
        if bucket.open:
            bucket.open.popleft()
        if forgive:
            bucket.wrong.clear()
        if not (bucket.wrong or bucket.open):
            del self._counting[key]

    def _drop_ended_locks(self, now_s: float) -> None:
        while self._locked_until_s:
            key, until_s = next(iter(self._locked_until_s.items()))
            if until_s > now_s:
                return
            del self._locked_until_s[key]


def bucket_for(
    address: ClientAddress,
    *,
    kind: str,
    trusted: Sequence[IPNetwork],
    paired_device_id: str | None,
    local: bool,
    has_origin: bool,
) -> str | None:
    """Name the bucket that a wrong credential of this connection is charged to; None is exempt.

    Args:
        kind: What sort of credential it is; each has a budget of its own.
        paired_device_id: Set only after a signature was verified against the paired key. Such a
            device keeps its budget whatever others do from its address.
        local: `Locality.local`, judged with the kernel's answer: another user's proxy on loopback
            that forwards nothing must not be exempt.
        has_origin: A web page opened the connection; then it is never exempt.
    """
    if local and not has_origin:
        return None
    if paired_device_id is not None:
        return f"{kind} device:{paired_device_id}"
    return f"{kind} {_place(address, trusted, local=local)}"


def address_group(address: IPAddress) -> str:
    """Return what counts as one caller's address: an IPv4 address, or an IPv6 /64."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(IPv6Network((int(address), _IPV6_SITE_PREFIX), strict=False))
    return str(address)


def _place(address: ClientAddress, trusted: Sequence[IPNetwork], *, local: bool) -> str:
    if local:
        # Pages on this machine, apart from what an unknown proxy brings in through 127.0.0.1.
        return "local-pages"
    if address.attributed:
        return f"address:{address_group(address.client)}"
    if address.forwarded and address.peer.is_loopback:
        return "forwarded-by-loopback"
    if is_within(address.peer, trusted):
        # Never the proxy's own address, which stands for everybody behind it; never exempt either.
        return "unattributed-by-trusted-proxy"
    return f"address:{address_group(address.client)}"

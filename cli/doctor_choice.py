"""Which findings somebody asks the doctor for: by name, by severity, or those about who gets in."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from stores.checks.finding import Finding, Severity
from stores.errors import UsageError

#: The checks, in their order; each makes findings of several names.
CHECKS = (
    "modes",
    "leftovers",
    "configuration",
    "exposure",
    "devices",
    "machine",
    "proxies",
    "service",
)
#: What they find. A name that is in neither list is a usage error: a gate must not pass on a typo.
FINDINGS = frozenset(
    [
        "open-to-read",
        "open-to-write",
        "foreign-owner",
        "modes-without-effect",
        "locks-without-effect",
        "state-dir-shut",
        "state-dir-untrusted",
        "foreign-state",
        "temporary-files",
        "stale-lock",
        "spent-requests",
        "config-invalid",
        "config-start",
        "config-warning",
        "mode-remote",
        "config-ignored",
        "config-lost",
        "config-drift",
        "config-other-file",
        "secret-differs",
        "secret-elsewhere",
        "environment-loses",
        "weak-token",
        "weak-password",
        "no-auth",
        "loose-rate-limit",
        "secret-on-command-line",
        "plain-http-page",
        "plain-on-network",
        "loopback-proxy-believed",
        "auto-approve-admin",
        "auto-approve-wide",
        "published-port",
        "store-damaged",
        "store-entry",
        "pending-upgrade",
        "pending-devices",
        "stale-devices",
        "duplicate-devices",
        "gateway-stopped",
        "clock-differs",
        "clock-behind",
        "disk-full",
        "disk-read-only",
        "certificate-ends",
        "certificate-unusable",
        "certificate-key-open",
        "service-failed",
        "unit-stale",
        "unit-masked",
        "no-linger",
        "no-user-manager",
        "no-bus-package",
        "port-of-another-user",
        "port-of-another-unit",
        "port-of-another-program",
        "port-passed-on",
        "untrusted-proxy",
        "client-network-in-trusted-proxies",
        "real-ip-only",
        "names-nobody",
        "appended",
        "proxy-forwards-nothing",
        "docker-proxy",
        "plain-forwarder",
        "lost-upgrade",
        "never-matched",
        "not-checked",
        "not-fixed",
    ]
)
#: Told whatever was asked for: something could not be looked at, so silence would not mean well.
_ALWAYS = frozenset({"state-dir-shut", "state-dir-untrusted", "not-checked", "not-fixed"})

#: From the one that matters least.
_RISING = (Severity.INFO, Severity.WARNING, Severity.ERROR)


@frozen(kw_only=True)
class Choice:
    """What is asked for.

    Args:
        only: Names of checks and of findings; empty for all.
        minimum: The least severity shown, which then matters; None shows all.
        security: Only what lets somebody in, or lets them read secrets.
    """

    only: frozenset[str] = frozenset()
    minimum: Severity | None = None
    security: bool = False

    @property
    def everything(self) -> bool:
        """Tell whether nothing is left out."""
        return self == Choice()

    def runs(self, check: str) -> bool:
        """Tell whether a check has to be made: a finding may come from any."""
        return not self.only or check in self.only or not self.only <= set(CHECKS)

    def takes(self, check: str, one: Finding) -> bool:
        """Tell whether a finding of a check is asked for."""
        if one.id in _ALWAYS:
            return True
        if self.security and not one.security:
            return False
        if self.only and not {check, one.id} & self.only:
            return False
        return self.minimum is None or _RISING.index(one.severity) >= _RISING.index(self.minimum)


def named(names: Iterable[str]) -> frozenset[str]:
    """Return what ``--only`` names.

    Raises:
        UsageError: there is no check and no finding of that name.
    """
    known = FINDINGS.union(CHECKS)
    found = frozenset(names)
    unknown = sorted(found - known)
    if unknown:
        import difflib  # late: only a mistake needs it

        close = difflib.get_close_matches(unknown[0], sorted(known), n=1)
        meant = f"; did you mean {close[0]!r}?" if close else ""
        raise UsageError(
            f"--only: no check and no finding has the name {unknown[0][:60]!r}{meant}",
            remedy=f"name a finding by the id that it is printed with, or one of: {', '.join(CHECKS)}",
        )
    return found

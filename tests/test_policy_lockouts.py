"""Lockouts in words, and whom a name means."""

from __future__ import annotations

import pytest

from gateway.policy.lockouts import described, meant_by
from gateway.policy.throttle import Lockout

DEVICE = "ab" * 32
KEYS = {
    "v4": "shared-secret address:203.0.113.9",
    "v6": "shared-secret address:2001:db8::/64",
    "device": f"device-token device:{DEVICE}",
    "pages": "shared-secret local-pages",
    "loop": "shared-secret forwarded-by-loopback",
    "behind": "shared-secret unattributed-by-trusted-proxy",
}


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("v4", "address 203.0.113.9"),
        ("v6", "address 2001:db8::/64"),
        ("device", f"device {DEVICE}"),
        ("pages", "web pages on this machine"),
        ("loop", "whoever a loopback proxy forwards without saying for whom"),
        ("behind", "whoever a trusted proxy forwards without saying for whom"),
    ],
)
def test_a_lockout_has_a_name_for_people(key: str, name: str):
    told = described(Lockout(KEYS[key], 12.3456))

    assert (told["name"], told["remainingMs"], told["key"]) == (name, 12_345, KEYS[key])
    assert ("address" in told) is (key in ("v4", "v6"))
    assert ("deviceId" in told) is (key == "device")


@pytest.mark.parametrize(
    ("reference", "keys"),
    [
        pytest.param("203.0.113.9", ["v4"], id="address"),
        pytest.param("203.0.113.90", [], id="another-address"),
        pytest.param("2001:db8::1", ["v6"], id="address-of-the-site"),
        pytest.param("2001:db8::/64", ["v6"], id="site"),
        pytest.param("2001:db8:1::1", [], id="another-site"),
        pytest.param(DEVICE, ["device"], id="device"),
        pytest.param(DEVICE[:8].upper(), ["device"], id="beginning"),
        pytest.param(DEVICE[:7], [], id="too-short"),
        pytest.param("forwarded-by-loopback", ["loop"], id="place"),
        pytest.param("web pages on this machine", ["pages"], id="words"),
        pytest.param(KEYS["v4"], ["v4"], id="key"),
        pytest.param("", [], id="nothing"),
        pytest.param("address:", [], id="half-a-key"),
    ],
)
def test_a_name_means_the_lockouts_it_names(reference: str, keys: list[str]):
    assert meant_by(reference, KEYS.values()) == tuple(KEYS[key] for key in keys)

"""What makes a well-formed record of the device store a sound one: its id is the hash of its key."""

from __future__ import annotations

from stores.keys import decode_public_key, device_id_of
from stores.records import PairedDevice, PendingRequest


def _sound_key(key: str, public_key: str, device_id: str) -> str | None:
    if key != device_id:
        return f"deviceId is {device_id}, but the entry is filed under another id"
    raw = decode_public_key(public_key)
    if raw is None or device_id_of(raw) != device_id:
        return "publicKey does not hash to deviceId"
    return None


def sound_device(key: str, record: PairedDevice) -> str | None:
    """Return what is wrong with a paired record filed under ``key``, or None."""
    return _sound_key(key, record.public_key, record.device_id)


def sound_request(key: str, record: PendingRequest) -> str | None:
    """Return what is wrong with a pending request filed under ``key``, or None."""
    if key != record.request_id:
        return f"requestId is {record.request_id}, but the entry is filed under another id"
    return _sound_key(record.device_id, record.public_key, record.device_id)

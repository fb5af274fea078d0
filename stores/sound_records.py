"""What makes a record of the device store a sound one, and what an unsound one still counts for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stores.keys import decode_public_key, device_id_of
from stores.record_file import RecordFile
from stores.records import DeviceNote, PairedDevice, PendingRequest


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


#: In force where it cannot be told whether somebody meant to keep a device out.
BLOCKED = DeviceNote(blocked=True)


def blocked_if_unsure(value: Any) -> DeviceNote | None:
    """Return what stands in for a note, parsed JSON, that is none: blocked, unless it plainly says no."""
    if isinstance(value, dict) and value.get("blocked") in (None, False):
        return None
    return BLOCKED


def notes_file(directory: Path) -> RecordFile[DeviceNote]:
    """Return the file of what only this gateway keeps of the devices; `look` reads it."""
    return RecordFile(
        directory / "notes.json",
        DeviceNote,
        stand_in=blocked_if_unsure,
        meanwhile="its device counts as blocked",
        precious=True,
    )

"""The last refused connections, kept in a file that anybody on the gateway's machine may ask again.

One JSON object a line, the newest last. The gateway writes it; whoever may read the folder reads it,
whether the gateway runs or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from stores.files import ensure_private_dir, read_file, replace_file
from stores.request_id import plain_id

#: Refusals that are kept; older ones are in the log alone.
MAX_ENTRIES = 200

#: Shortest beginning of a connection's or device's id that is taken for the whole.
SHORTEST_PREFIX = 6

Entry = dict[str, Any]


def ring_file(logs_dir: Path) -> Path:
    """Return where the refusals of a gateway with that folder of logs are."""
    return logs_dir / "refusals.jsonl"


def read_refusals(file: Path) -> list[Entry]:
    """Return the refusals on file, oldest first; lines that are none are passed over.

    Raises:
        StoreError: the file is there and cannot be read.
    """
    found = read_file(file)
    if found is None:
        return []
    import orjson  # late: most of the time there is no file

    entries = []
    for line in found[0].splitlines()[-MAX_ENTRIES:]:
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(value, dict) and isinstance(value.get("connId"), str):
            entries.append(value)
    return entries


def write_refusals(file: Path, entries: Iterable[Entry]) -> None:
    """Put the refusals in place of those on file: private, and never seen by half.

    Raises:
        StoreError: the file is as it was.
    """
    import orjson  # late: readers decide by themselves

    lines = [orjson.dumps(entry) for entry in entries][-MAX_ENTRIES:]
    ensure_private_dir(file.parent)
    # Not synced: a power cut may take the last seconds of this, and the log has them too.
    replace_file(file, b"".join(line + b"\n" for line in lines), durable=False)


def meant_by(reference: str, entries: Sequence[Entry]) -> list[Entry]:
    """Return the refusals that an id means, newest first; ``last`` means the newest of all.

    A request id is taken in any spelling, the id of a connection or device from its beginning.
    """
    newest_first = list(reversed(entries))
    if reference.strip().lower() == "last":
        return newest_first[:1]
    wanted = plain_id(reference)
    return [entry for entry in newest_first if _means(entry, wanted)] if wanted else []


def _means(entry: Entry, wanted: str) -> bool:
    if plain_id(str(entry.get("requestId") or "")) == wanted:
        return True
    others = [entry["connId"], entry.get("deviceId"), *(entry.get("connIds") or ())]
    ids = [plain_id(one) for one in others if isinstance(one, str)]
    return any(
        one == wanted or (len(wanted) >= SHORTEST_PREFIX and one.startswith(wanted)) for one in ids
    )

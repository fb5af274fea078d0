"""The Control UI as it is served: files read once, named by what they hold, and their headers.

What is served never depends on what a path in a request says: a path is looked up among the files
that were there at the start, or it is not found.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from base64 import b64encode
from collections.abc import Mapping
from html import escape
from pathlib import Path

import orjson
from attrs import define, field, frozen

from gateway.version import VERSION

Headers = tuple[tuple[bytes, bytes], ...]

_KINDS = {
    "html": b"text/html; charset=utf-8",
    "css": b"text/css; charset=utf-8",
    "js": b"text/javascript; charset=utf-8",
    "svg": b"image/svg+xml",
}

#: The page runs its own scripts alone, talks to its own origin alone, stands in no frame, and
#: makes markup out of no text. Source: CSP Level 3; Trusted Types.
_POLICY = (
    b"default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    b"form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_FRAMES: Headers = (
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
GUARDS: Headers = ((b"content-security-policy", _POLICY), *_FRAMES)

#: A file under a name made from its content is the same for ever.
_FOR_EVER = b"public, max-age=31536000, immutable"
#: The page itself is asked for again each time, and mostly not sent again.
_ASK_AGAIN = b"no-cache"

#: Where the folder with all files stands in the text of the page, and what it is told.
_ASSETS_MARK, _FACTS_MARK = b"%ASSETS%", b"%FACTS%"
_PRELOAD_MARK = b"<!-- preload -->"

#: How the page names its first script, which is sent in it: a far gateway is asked once less.
_FIRST = re.compile(rb'<script type="module" src="%ASSETS%/([\w.-]+)"></script>')

#: How the page names its styles; they are sent in it, for nothing is painted before they are there.
_STYLES = re.compile(rb'(?:\s*<link rel="stylesheet" href="%ASSETS%/([\w.-]+)">)+')
_STYLE = re.compile(rb'href="%ASSETS%/([\w.-]+\.css)"')

#: How our scripts name what they need before they begin; what is imported later is no such line.
_STATIC_IMPORT = re.compile(rb'^import [^;]*?from "\./([\w./-]+)";', re.MULTILINE)

#: A comment that has its lines to itself: it is for who reads the files, and a sixth of them.
_COMMENT = re.compile(rb"^[ \t]*(?://[^\n]*|/\*(?:(?!\*/).)*\*/[ \t]*)$", re.MULTILINE | re.DOTALL)
#: What others wrote is sent as they wrote it: the comments hold their licence.
_OF_OTHERS = "vendor/"

#: Below this many bytes a compressed answer spares nobody anything.
_WORTH_PACKING = 1_000


@frozen
class Served:
    """A file ready to be sent; ``packed`` is the same compressed, None where that is no use."""

    body: bytes
    kind: bytes
    tag: bytes
    cache: bytes
    packed: bytes | None = None
    guards: Headers = GUARDS

    def answer(self, *, known: bytes | None, accepts: bytes) -> tuple[int, bytes, bytes, Headers]:
        """Return status, body, content type and headers.

        Args:
            known: The value of If-None-Match (RFC 9110, section 13.1.2).
            accepts: The value of Accept-Encoding.
        """
        extra: Headers = ((b"cache-control", self.cache), (b"etag", self.tag), *self.guards)
        extra += ((b"vary", b"Accept-Encoding"),) if self.packed else ()
        if known is not None and _names(known, self.tag):
            return 304, b"", self.kind, extra
        if self.packed is not None and b"gzip" in accepts.lower():
            return 200, self.packed, self.kind, (*extra, (b"content-encoding", b"gzip"))
        return 200, self.body, self.kind, extra


def _names(known: bytes, tag: bytes) -> bool:
    """Tell whether a list of entity tags holds one; compared weakly, as RFC 9110 has it."""
    found = {one.strip().removeprefix(b"W/") for one in known.split(b",")}
    return b"*" in found or tag in found


@frozen
class PageFacts:
    """What the page is told before it connects: nothing that a stranger may not know.

    Args:
        allow_plain_http: Whether it may connect from where browsers have no secure context.
        port: The gateway's own, for the command that brings it to another computer.
    """

    allow_plain_http: bool
    port: int

    def to_json(self) -> bytes:
        """Return the facts as the page reads them."""
        told = {"allowPlainHttp": self.allow_plain_http, "port": self.port, "version": VERSION}
        return orjson.dumps(told)


def _served(body: bytes, kind: bytes, cache: bytes, guards: Headers = GUARDS) -> Served:
    tag = b'"' + hashlib.sha256(body).hexdigest()[:20].encode() + b'"'
    packed = gzip.compress(body, 9, mtime=0) if len(body) >= _WORTH_PACKING else None
    return Served(body, kind, tag, cache, packed, guards)


def _without_comments(name: str, body: bytes) -> bytes:
    """Return a script or style as it is sent; each line keeps its number."""
    if name.startswith(_OF_OTHERS) or not name.endswith((".js", ".css")):
        return body
    return _COMMENT.sub(lambda found: b"\n" * found[0].count(b"\n"), body)


def _whole(page: bytes, files: dict[str, bytes]) -> tuple[bytes, Headers]:
    """Put what a page cannot wait for into it; return it with the guards that let that be.

    Its styles and its first script are allowed by their hash (CSP Level 3, section 6.7.3.3).
    """
    policy = _POLICY
    first = _FIRST.search(page)
    if first is not None:
        script = files.pop(first[1].decode())
        policy += b"; script-src 'self' " + _hash(script)
        inside = b'<script type="module">' + script + b"</script>"
        page = page.replace(first[0], inside)
    names = [name.decode() for name in _STYLE.findall(page)]
    styles = b"".join(files.pop(name) for name in names)
    policy += b"; style-src " + _hash(styles)
    sheet = b"\n  <style>" + styles + b"</style>"
    return _STYLES.sub(lambda _: sheet, page, count=1), (
        (b"content-security-policy", policy),
        *_FRAMES,
    )


def _hash(text: bytes) -> bytes:
    return b"'sha256-" + b64encode(hashlib.sha256(text).digest()) + b"'"


def _needed_at_once(name: str, files: Mapping[str, bytes]) -> set[str]:
    """Return a script and all that it cannot begin without: its static imports, and theirs."""
    needed, look = set[str](), [name]
    while look:
        one = look.pop()
        if one not in needed and one in files:
            needed.add(one)
            look += [found.decode() for found in _STATIC_IMPORT.findall(files[one])]
    return needed


@define(eq=False)
class Pages:
    """The files of the Control UI by path; made once, from the folder they lie in."""

    folder: Path
    digest: str = field(init=False)
    _files: dict[str, Served] = field(factory=dict, init=False)
    _page: bytes = field(default=b"", init=False)
    _guards: Headers = field(default=GUARDS, init=False)
    _made: dict[PageFacts, Served] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        paths = {
            path.relative_to(self.folder).as_posix(): path
            for path in sorted(self.folder.rglob("*"))
            if path.suffix[1:] in _KINDS
        }
        found = {name: _without_comments(name, path.read_bytes()) for name, path in paths.items()}
        whole = hashlib.sha256()
        for name, body in found.items():
            whole.update(f"{name} {len(body)}\n".encode() + body)
        self.digest = whole.hexdigest()[:16]
        page = found.pop("index.html")
        scripts = sorted(_needed_at_once("main.js", found))
        links = "".join(
            f'<link rel="later" href="assets/{self.digest}/{escape(name)}">' for name in scripts
        )
        page, self._guards = _whole(page, found)
        self._page = page.replace(_PRELOAD_MARK, links.encode()).replace(
            _ASSETS_MARK, f"assets/{self.digest}".encode()
        )
        for name, body in found.items():
            kind = _KINDS[name.rpartition(".")[2]]
            self._files[f"/assets/{self.digest}/{name}"] = _served(body, kind, _FOR_EVER)

    def page(self, facts: PageFacts) -> Served:
        """Return the page itself."""
        made = self._made.get(facts)
        if made is None:
            told = escape(facts.to_json().decode(), quote=True).encode()
            body = self._page.replace(_FACTS_MARK, told)
            made = _served(body, _KINDS["html"], _ASK_AGAIN, self._guards)
            self._made = {facts: made}  # it changes with the configuration alone
        return made

    @property
    def paths(self) -> list[str]:
        """The paths of all files but the page itself."""
        return list(self._files)

    def file(self, path: str) -> Served | None:
        """Return what lies under a path of ours, None if nothing does."""
        return self._files.get(path)


PAGES = Pages(Path(__file__).with_name("ui"))


def below(base_path: str, path: str) -> str | None:
    """Return a path as it is below the base path.

    A proxy may pass the prefix on or strip it: both come to the same. None means that the base
    path itself was asked for without its final slash, where the page's own addresses would lead
    astray.
    """
    base = base_path.rstrip("/")
    if not base:
        return path
    if path == base:
        return None
    return path[len(base) :] if path.startswith(f"{base}/") else path

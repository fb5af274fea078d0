"""The Control UI as it is served: names made of content, what is sent again, and under which path."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import re
from pathlib import Path

import pytest

from gateway.pages import PAGES, PageFacts, Pages, below
from gateway.version import VERSION
from tests.serving import open_gateway
from tests.test_http import ASSETS, SCRIPT, ask

FACTS = PageFacts(allow_plain_http=False, port=18789)


def made(folder: Path, **files: str) -> Pages:
    """Return pages of a folder of the test's own."""
    folder.mkdir(exist_ok=True)
    for name, text in {"index": "<!-- preload -->%ASSETS%|%FACTS%", **files}.items():
        folder.joinpath(f"{name}.html" if name == "index" else f"{name}.js").write_text(text)
    return Pages(folder)


def test_the_same_files_have_the_same_name_and_others_another(tmp_path: Path):
    first = made(tmp_path / "a", main="1;")
    again = made(tmp_path / "b", main="1;")
    other = made(tmp_path / "c", main="2;")

    assert first.digest == again.digest != other.digest


def test_a_renamed_file_is_another_page(tmp_path: Path):
    assert made(tmp_path / "a", one="1;").digest != made(tmp_path / "b", two="1;").digest


def test_what_the_page_cannot_begin_without_is_asked_for_at_once(tmp_path: Path):
    scripts = {
        "main": 'import { a } from "./a.js";\nconst b = () => import("./b.js");',
        "a": 'import {\n  c,\n} from "./c.js";\nimport { main } from "./main.js";',
        "b": "",
        "c": "",
    }
    pages = made(tmp_path / "ui", **scripts)

    asked = re.findall(r'rel="later" href="([^"]+)"', pages.page(FACTS).body.decode())
    assert asked == [f"assets/{pages.digest}/{name}.js" for name in ("a", "c", "main")]


def test_what_the_page_names_is_there():
    page = PAGES.page(FACTS).body.decode()

    named = re.findall(r'(?:href|src)="(assets/[^"]+)"', page)
    assert len(named) > 10
    assert [path for path in named if PAGES.file(f"/{path}") is None] == []


def test_the_page_is_told_what_a_stranger_may_know_and_no_more():
    page = PAGES.page(PageFacts(allow_plain_http=True, port=4711)).body.decode()

    told = re.search(r'name="openclaw-gateway" content="([^"]*)"', page)
    assert told is not None
    facts = json.loads(html.unescape(told[1]))
    assert facts == {"allowPlainHttp": True, "port": 4711, "version": VERSION}


def test_no_mark_is_left_in_the_page():
    page = PAGES.page(FACTS).body

    assert not re.search(rb"%[A-Z]+%", page)
    assert b"<!--" not in page


def test_the_styles_are_in_the_page_and_allowed_by_their_hash_alone():
    page = PAGES.page(FACTS)
    (styles,) = re.findall(rb"<style>(.*?)</style>", page.body, re.DOTALL)
    policy = dict(page.answer(known=None, accepts=b"")[3])[b"content-security-policy"]

    for name in ("base", "parts", "views"):
        written = (PAGES.folder / f"{name}.css").read_bytes().splitlines()[-1]
        assert written in styles
    digest = base64.b64encode(hashlib.sha256(styles).digest())
    assert policy.endswith(b"; style-src 'sha256-" + digest + b"'")
    assert b"unsafe" not in policy
    assert b"stylesheet" not in page.body
    assert [path for path in PAGES.paths if path.endswith(".css")] == []


def test_a_page_without_styles_has_none(tmp_path: Path):
    body = made(tmp_path / "ui", main="1;").page(FACTS).body

    assert b"<style>" not in body


def test_comments_are_for_who_reads_the_files(tmp_path: Path):
    script = (
        "// @ts-check\n/**\n * Why.\n */\nconst a = /** @type {any} */ (1); // kept\n"
        '  /** @param {number} b */\n  const c = "// no comment"; /* nor\n this */\n'
    )
    folder = tmp_path / "ui"
    folder.joinpath("vendor").mkdir(parents=True)
    folder.joinpath("vendor", "b.js").write_text("/* The licence. */\n1;")
    pages = made(folder, a=script)

    sent = pages.file(f"/assets/{pages.digest}/a.js")
    others = pages.file(f"/assets/{pages.digest}/vendor/b.js")
    assert sent is not None
    assert others is not None
    assert sent.body.decode() == (
        "\n\n\n\nconst a = /** @type {any} */ (1); // kept\n\n"
        '  const c = "// no comment"; /* nor\n this */\n'
    )
    assert others.body == b"/* The licence. */\n1;"


@pytest.mark.parametrize(
    ("known", "status"),
    [
        pytest.param(None, 200, id="nothing-known"),
        pytest.param("{tag}", 304, id="same"),
        pytest.param("W/{tag}", 304, id="weak"),
        pytest.param('"other", {tag}', 304, id="one-of-some"),
        pytest.param("*", 304, id="any"),
        pytest.param('"other"', 200, id="other"),
        pytest.param("", 200, id="empty"),
    ],
)
@pytest.mark.parametrize("path", ["/", SCRIPT])
async def test_what_a_browser_has_is_not_sent_again(
    tmp_path: Path, path: str, known: str | None, status: int
):
    async with open_gateway(tmp_path / "state") as gateway:
        first = await ask(gateway.port, path)
        tag = first.headers[b"etag"].decode()
        asked = () if known is None else (("If-None-Match", known.format(tag=tag)),)
        again = await ask(gateway.port, path, headers=asked)

    assert again.status == status
    assert again.body == (b"" if status == 304 else first.body)
    assert again.headers[b"etag"] == first.headers[b"etag"]


async def test_the_page_is_asked_for_again_and_its_files_never(tmp_path: Path):
    async with open_gateway(tmp_path / "state") as gateway:
        page, script = await ask(gateway.port, "/"), await ask(gateway.port, SCRIPT)

    assert page.headers[b"cache-control"] == b"no-cache"
    assert script.headers[b"cache-control"] == b"public, max-age=31536000, immutable"


async def test_what_is_worth_it_comes_compressed_where_that_is_understood(tmp_path: Path):
    packed = (("Accept-Encoding", "br, gzip"),)
    async with open_gateway(tmp_path / "state") as gateway:
        plain = await ask(gateway.port, SCRIPT)
        small = await ask(gateway.port, SCRIPT, headers=packed)

    assert b"content-encoding" not in plain.headers
    assert small.headers[b"content-encoding"] == b"gzip"
    assert small.headers[b"vary"] == plain.headers[b"vary"] == b"Accept-Encoding"
    assert gzip.decompress(small.body) == plain.body
    assert len(small.body) < len(plain.body)


@pytest.mark.parametrize(
    ("base", "path", "found"),
    [
        pytest.param("", "/x", "/x", id="no-base"),
        pytest.param("/", "/x", "/x", id="root"),
        pytest.param("/ui", "/ui/x", "/x", id="below"),
        pytest.param("/ui", "/ui/", "/", id="page"),
        pytest.param("/ui", "/ui", None, id="without-slash"),
        pytest.param("/ui", "/x", "/x", id="prefix-stripped"),
        pytest.param("/ui", "/uiuiui/x", "/uiuiui/x", id="only-alike"),
        pytest.param("/a/b", "/a/b/x", "/x", id="deep"),
    ],
)
def test_a_prefix_may_be_passed_on_or_stripped(base: str, path: str, found: str | None):
    assert below(base, path) == found


async def test_under_a_base_path_everything_is_there_twice(tmp_path: Path):
    config: dict[str, object] = {"controlUi": {"basePath": "/claw"}}
    async with open_gateway(tmp_path / "state", config) as gateway:
        kept = [await ask(gateway.port, f"/claw{path}") for path in ("/", SCRIPT, "/healthz")]
        stripped = [await ask(gateway.port, path) for path in ("/", SCRIPT, "/healthz")]
        bare = await ask(gateway.port, "/claw?token=x")
        other = await ask(gateway.port, "/clawx/")

    assert [one.status for one in (*kept, *stripped)] == [200] * 6
    assert [one.body for one in kept] == [one.body for one in stripped]
    assert (bare.status, bare.headers[b"location"]) == (308, b"claw/?token=x")
    assert other.status == 404


@pytest.mark.parametrize(("base", "now"), [("/claw", "/claw/"), ("", "/")])
async def test_where_the_page_was_it_is_told_where_it_is(tmp_path: Path, base: str, now: str):
    config: dict[str, object] = {"controlUi": {"basePath": base}}
    async with open_gateway(tmp_path / "state", config) as gateway:
        earlier = await ask(gateway.port, "/earlier/", headers=(("Accept", "text/html"),))

    assert earlier.status == 404
    assert f"The Control UI of this gateway is at {now} of its address." in earlier.body.decode()


@pytest.mark.parametrize("path", ["/control-ui-config.json", "/__openclaw/control-ui-config.json"])
async def test_published_pages_are_told_where_they_are(tmp_path: Path, path: str):
    config: dict[str, object] = {"controlUi": {"basePath": "/claw"}}
    async with open_gateway(tmp_path / "state", config) as gateway:
        told = await ask(gateway.port, f"/claw{path}")
        foreign = await ask(gateway.port, path, headers=(("Origin", "https://evil.example"),))

    assert told.json["basePath"] == "/claw"
    assert set(told.json) == {"basePath", "assistantName", "assistantAvatar", "assistantAgentId"}
    assert foreign.status == 403


async def test_a_page_that_is_switched_off_says_how_to_switch_it_on(tmp_path: Path):
    config: dict[str, object] = {"controlUi": {"enabled": False}}
    async with open_gateway(tmp_path / "state", config) as gateway:
        page = await ask(gateway.port, "/", headers=(("Accept", "text/html"),))
        script = await ask(gateway.port, SCRIPT)
        health = await ask(gateway.port, "/healthz")

    assert page.status == script.status == 404
    assert b"openclaw config set gateway.controlUi.enabled true" in page.body
    assert health.status == 200


async def test_the_page_follows_the_configuration(tmp_path: Path):
    config: dict[str, object] = {"controlUi": {"allowPlainHttp": True}}
    async with open_gateway(tmp_path / "state", config) as gateway:
        page = (await ask(gateway.port, "/")).body.decode()

        assert f"&quot;port&quot;:{gateway.port}" in page
    assert "&quot;allowPlainHttp&quot;:true" in page


def test_the_page_is_small():
    sizes = {name: len(one.body) for name, one in PAGES._files.items()}
    first = re.findall(r'(?:href|src)="(assets/[^"]+)"', PAGES.page(FACTS).body.decode())
    page = len(PAGES.page(FACTS).body)
    key = f"{ASSETS}/vendor/ed25519.js"

    # Every section, in a browser that signs by itself; and the first one where the page has to.
    assert page + sum(sizes.values()) - sizes[key] < 150 * 1024
    assert page + sum(sizes[f"/{name}"] for name in dict.fromkeys(first)) + sizes[key] < 150 * 1024


def test_the_first_script_is_in_the_page_and_allowed_by_its_hash_alone():
    page = PAGES.page(FACTS)
    (script,) = re.findall(rb'<script type="module">(.*?)</script>', page.body, re.DOTALL)
    policy = dict(page.answer(known=None, accepts=b"")[3])[b"content-security-policy"]

    digest = base64.b64encode(hashlib.sha256(script).digest())
    assert b"; script-src 'self' 'sha256-" + digest + b"';" in policy
    assert b"main.js" in script
    assert page.body.count(b"<script") == page.body.count(b"</script") == 1
    assert [path for path in PAGES.paths if path.endswith("boot.js")] == []

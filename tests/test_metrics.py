"""The counters, and the text of a scrape, read back by the library's own parser."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from gateway.hub import Hub, Session
from gateway.metrics import (
    BUCKETS_S,
    MAX_VALUES,
    OTHER,
    Family,
    Histogram,
    Metrics,
    families,
    render,
)
from gateway.node_watch import look
from gateway.protocol.close import SLOW_CONSUMER
from gateway.protocol.frames import EventBody
from gateway.pulse import LAG_EVERY_S, measure_lag
from tests.imports import ROOT
from tests.nodes import a_scene
from tests.serving import open_gateway
from tests.test_http import ask

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: bytes) -> Samples:
    """Return the samples of a scrape by their name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def named(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [
        pytest.param(0.0, 0, id="nothing"),
        pytest.param(BUCKETS_S[0], 0, id="a-bound-is-inside"),
        pytest.param(BUCKETS_S[0] + 1e-9, 1, id="above-it"),
        pytest.param(60.0, len(BUCKETS_S), id="longer-than-all"),
    ],
)
def test_an_observation_falls_into_one_bucket(seconds: float, bucket: int):
    one = Histogram()
    one.observe(seconds)

    assert [index for index, count in enumerate(one.counts) if count] == [bucket]


def test_buckets_are_shown_cumulated_and_end_with_all():
    one = Histogram()
    for seconds in (0.00005, 0.002, 0.002, 70.0):
        one.observe(seconds)

    text, kind = render([Family("x", "histogram", "X.", [(("m",), one)], ("method",))], "")

    found = samples(text)
    assert found[named("x_bucket", method="m", le="0.0001")] == 1
    assert found[named("x_bucket", method="m", le="0.0025")] == 3
    assert found[named("x_bucket", method="m", le="5.0")] == 3
    assert found[named("x_bucket", method="m", le="+Inf")] == 4
    assert found[named("x_count", method="m")] == 4
    assert found[named("x_sum", method="m")] == pytest.approx(70.00405)
    assert kind.startswith(b"text/plain; version=0.0.4")


def test_who_asks_for_openmetrics_gets_it():
    text, kind = render([], "application/openmetrics-text; version=1.0.0")

    assert kind.startswith(b"application/openmetrics-text")
    assert text.endswith(b"# EOF\n")


def test_the_values_of_a_label_are_bounded():
    metrics = Metrics()
    for number in range(MAX_VALUES + 50):
        metrics.refused(f"code {number}")
    metrics.refused("code 0")

    assert len(metrics.refusals) == MAX_VALUES + 1
    assert metrics.refusals[OTHER] == 50
    assert metrics.refusals["code 0"] == 2


def test_what_slow_readers_missed_is_counted_while_they_are_here_and_after():
    hub, slow = Hub(), Session("c1", max_buffered_bytes=10)
    slow.admit(role="operator", scopes=("operator.read",))
    hub.open(slow)
    slow.unsent_bytes = 9
    hub.broadcast(EventBody("tick", {}))
    here = slow.dropped_events
    slow.send("x" * 11)
    assert slow.ending is SLOW_CONSUMER
    hub.leave(slow)
    hub.leave(slow)

    assert (here, hub.dropped_events, hub.ended_slow) == (1, 1, 1)


async def test_the_lag_of_the_event_loop_is_measured_again_and_again(autojump_clock: object):
    metrics = Metrics()
    with trio.move_on_after(LAG_EVERY_S * 3.5):
        await measure_lag(metrics)

    assert sum(metrics.loop_lags.counts) == 3
    assert metrics.event_loop() == {"lagMs": 0.0, "maxLagMs": 0.0}


def test_the_largest_lag_of_the_last_minute_is_told_beside_the_last_one():
    metrics = Metrics()
    for lag_s in (9.0, *[0.001] * 59, 0.5, 0.002):
        metrics.lagged(lag_s)

    assert metrics.event_loop() == {"lagMs": 2.0, "maxLagMs": 500.0}


async def test_a_scrape_tells_of_connections_requests_refusals_and_the_store(tmp_path: Path):
    # late: the client runs in the gateway's own loop here
    from tests.scenarios.clients import knocking, new_key, stranger
    from tests.serving import TOKEN

    async with open_gateway(tmp_path / "state") as gateway:
        await knocking(gateway.port, **stranger("a-wrong-token"))
        await knocking(gateway.port, "health", "no.such.method", key=new_key(), token=TOKEN)
        await knocking(gateway.port, **stranger(TOKEN, origin="https://evil.example"))
        text = (await ask(gateway.port, "/metrics")).body

    found = samples(text)
    assert found[named("openclaw_connections", role="none", state="waiting")] == 1
    refused = {
        dict(labels)["code"]: count
        for (name, labels), count in found.items()
        if name == "openclaw_refusals_total"
    }
    assert refused == {"AUTH_TOKEN_MISMATCH": 1, "CONTROL_UI_ORIGIN_NOT_ALLOWED": 1}
    assert found[named("openclaw_handshakes_total", role="operator")] == 1
    assert found[named("openclaw_request_seconds_count", method="health")] == 1
    assert found[named("openclaw_request_seconds_count", method="other")] == 1
    assert found[named("openclaw_paired_devices")] == 1
    assert found[named("openclaw_store_write_seconds_count")] >= 1
    syncs = found[named("openclaw_store_sync_seconds_count")]
    assert syncs > found[named("openclaw_store_write_seconds_count")]  # files and their folder
    assert found[named("openclaw_store_sync_seconds_sum")] > 0
    assert found[named("openclaw_config_invalid")] == 0
    assert b"no.such.method" not in text
    assert TOKEN.encode() not in text


async def test_open_sessions_are_shown_by_their_role(tmp_path: Path):
    async with open_gateway(tmp_path / "state") as gateway:
        for number, role in enumerate(("operator", "operator", "node")):
            session = Session(f"c{number}")
            session.admit(role=role, scopes=())
            gateway.runtime.hub.open(session)
        shown = {one.name: one for one in families(gateway.door)}
        for number in range(3):
            gateway.runtime.hub.leave(gateway.runtime.hub.sessions[f"c{number}"])

    assert dict(shown["openclaw_connections"].values) == {
        ("operator", "admitted"): 2,
        ("node", "admitted"): 1,
        ("none", "waiting"): 0,
    }


@pytest.mark.slow
def test_a_gateway_that_nobody_scrapes_loads_no_library_for_it():
    code = "import gateway.main, sys; sys.exit('prometheus_client' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


async def test_a_scrape_tells_of_nodes_what_waits_and_what_is_wrong_with_their_files(
    tmp_path: Path,
):
    async with a_scene(tmp_path) as scene:
        await scene.ask()
        asked = await scene.asked()
        (scene.gateway.state_dir / "nodes" / "pending.json").write_text('{"x": {"nodeId": 1}}')
        await look(scene.gateway.runtime)
        found = samples(render(families(scene.gateway.door), "")[0])
        await scene.tell(asked)
        later = samples(render(families(scene.gateway.door), "")[0])

    assert found[named("openclaw_store_problems")] == 1
    assert found[named("openclaw_node_questions")] == 1
    assert later[named("openclaw_node_questions")] == 0

"""What Prometheus reads, down to its own opinion of it."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from reconciler.api.metrics import MEDIA_TYPE, Exposition, is_up, page
from reconciler.api.metrics_own import CountingDecider, Counts
from reconciler.model.diagnostic import Diagnostic, Source
from reconciler.model.event import Decision, Event, Happening, LookAtHost, Spawn
from reconciler.model.observed import Slot, State
from reconciler.model.plan import Hold, HoldCode, Situation
from reconciler.model.record import PruneHold
from reconciler.model.remembered import Remembered
from reconciler.model.spec import DesiredState, ServiceType
from reconciler.model.status import Health, Picture, ServiceStatus
from reconciler.model.units import SECOND, Nanos, Serial, ServiceName
from reconciler.ports import Usage
from reconciler.runtime.control import Scene
from tests.api.builders import FOLLOWED, checked_shop, name, scene, service, slot_status
from tests.api.honest import HonestControl
from tests.steps import steps_of
from tests.waiting import until

USAGE = Usage(
    cpu_percent=12.5,
    rss=8_000_000,
    pss=4_000_000,
    swap=None,
    file_descriptors=9,
    listening=("127.0.0.1:80",),
)

Series = tuple[str, tuple[tuple[str, str], ...]]


def series(text: bytes) -> dict[Series, float]:
    """Read a page with the library's own parser."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def key(metric: str, **labels: str) -> Series:
    return metric, tuple(sorted(labels.items()))


def shop() -> Scene:
    web = [slot_status("web", index, up=100 + index) for index in range(2)]
    broken = slot_status("api", state=State.CRASHED, up=None)
    return scene(
        service("db"),
        replace_spec(service("web", slots=web), version="1.2", instances=2),
        service("api", slots=[broken], state=State.CRASHED, health=Health.DEGRADED),
        usage={slot.slot: USAGE for slot in web},
    )


def replace_spec(status: ServiceStatus, **changes: Any) -> ServiceStatus:
    assert status.spec is not None
    return replace(status, spec=replace(status.spec, **changes))


def starting(service: str, cause: str) -> Happening:
    return Happening(kind="service.starting", service=name(service), data={"cause": cause})


def test_the_families_of_services() -> None:
    counts = Counts()
    counts.add(Decision(happenings=(starting("web", "crash"), starting("web", "memory"))), 0.001)
    found = series(page(shop(), counts))
    assert found[key("service_up", service="db", version="")] == 1
    assert found[key("service_up", service="web", version="1.2")] == 1
    assert found[key("service_up", service="api", version="")] == 0
    assert found[key("service_uptime_seconds", service="web")] == 100
    assert key("service_uptime_seconds", service="api") not in found
    restarts = {labels: value for (metric, labels), value in found.items() if "restarts" in metric}
    assert restarts[key("", service="web", reason="crash")[1]] == 1
    assert restarts[key("", service="web", reason="memory")[1]] == 1
    assert restarts[key("", service="web", reason="manual")[1]] == 0
    assert restarts[key("", service="db", reason="change")[1]] == 0
    assert found[key("service_cpu_usage_percent", service="web", pid="4711")] == 12.5
    assert found[key("service_memory_bytes", service="web", pid="4712", type="rss")] == 8_000_000
    assert found[key("service_memory_bytes", service="web", pid="4712", type="pss")] == 4_000_000
    assert key("service_memory_bytes", service="web", pid="4712", type="swap") not in found
    assert found[key("service_file_descriptors", service="web", pid="4712")] == 9


def test_the_families_of_checks() -> None:
    found = series(page(checked_shop(), Counts()))
    took = "service_health_check_duration_seconds"
    db = {"service": "db", "check_type": "tcp", "status": "healthy"}
    assert found[key(f"{took}_bucket", **db, le="0.005")] == 1
    assert found[key(f"{took}_count", **db)] == 1
    assert found[key(f"{took}_sum", **db)] == 0.00234
    api = {"service": "api", "check_type": "http"}
    assert found[key(f"{took}_bucket", **api, status="unhealthy", le="2.5")] == 0
    assert found[key(f"{took}_bucket", **api, status="unhealthy", le="5.0")] == 2
    assert found[key(f"{took}_bucket", **api, status="unhealthy", le="+Inf")] == 2
    failures = "service_health_check_failures_total"
    assert found[key(failures, **api, reason="timeout")] == 2
    assert found[key(failures, **api, reason="refused")] == 0
    assert found[key(failures, service="db", check_type="tcp", reason="timeout")] == 0
    assert found[key("weaver_health_check_lateness_seconds_count")] == 46
    assert found[key("weaver_health_check_lateness_seconds_bucket", le="0.005")] == 46


def oneshot(state: State, health: Health) -> ServiceStatus:
    slot = slot_status("job", state=state, up=None if state is State.STOPPED else 5)
    status = service("job", slots=[slot], state=state, health=health)
    return replace_spec(status, type=ServiceType.ONESHOT)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (service("a"), True),
        (replace(service("a"), desired=DesiredState.STOPPED), False),
        (replace(service("a"), desired=None), False),
        (replace(service("a"), spec=None), False),
        (replace_spec(service("a"), instances=2), False),
        (service("a", slots=[slot_status("a", state=State.STARTING)]), False),
        (service("a", slots=[slot_status("a", state=State.DEGRADED)]), True),
        (replace_spec(service("a", slots=[]), instances=0), True),
        (
            replace(
                service("a"), slots=(slot_status("a"), slot_status("a", 1, state=State.STOPPING))
            ),
            True,
        ),
        (oneshot(State.RUNNING, Health.PROGRESSING), True),
        (oneshot(State.STOPPED, Health.HEALTHY), True),
        (oneshot(State.STOPPED, Health.MISSING), False),
        (oneshot(State.CRASHED, Health.DEGRADED), False),
    ],
    ids=range(13),
)
def test_up_means_that_every_wanted_slot_runs(status: ServiceStatus, expected: bool) -> None:
    assert is_up(status) is expected


@given(version=st.text(), reason=st.text(st.characters(exclude_categories=["Cs"])))
def test_no_text_can_forge_a_series(version: str, reason: str) -> None:
    """W21."""
    counts = Counts(restarts={name("web"): Counter({reason: 3})})
    text = page(scene(replace_spec(service("web"), version=version)), counts).decode("utf-8")
    lines = [line for line in text.split("\n") if line.startswith("service_")]
    up = [line for line in lines if line.startswith("service_up{")]
    assert len(up) == 1
    expected = version.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    assert up[0] == f'service_up{{service="web",version="{expected}"}} 1'


class Steady:
    """An engine that always decides the same."""

    def __init__(self, decision: Decision) -> None:
        self._decision = decision

    def step(self, events: Iterable[Event], now: Nanos) -> Decision:
        assert (list(events), now) == ([], 0)
        return self._decision

    def situation(self, now: Nanos) -> Situation:
        raise NotImplementedError

    def picture(self, now: Nanos) -> Picture:
        return Picture(now=now, revision=shop().picture.revision)


def test_what_the_engine_decides_is_counted() -> None:
    spec = shop().picture.services[name("web")].spec
    assert spec is not None
    spawn = Spawn(
        serial=Serial(1), slot=Slot(service=name("web"), index=0), spec=spec, because="why"
    )
    happenings = (
        starting("web", "start"),
        starting("web", "crash"),
        starting("db", "dependency"),
        Happening(kind="service.crashed", service=name("web"), data={"cause": "crash"}),
        Happening(kind="config.changed"),
    )
    decision = Decision(
        commands=(spawn, LookAtHost(serial=Serial(2)), spawn), happenings=happenings
    )
    counts = Counts()
    engine = CountingDecider(Steady(decision), counts)
    for _ in range(2):
        assert engine.step([], Nanos(0)) is decision
    assert engine.picture(Nanos(7)).now == 7
    found = series(page(shop(), counts))
    assert found[key("weaver_actions_total", action="start")] == 4
    assert found[key("weaver_actions_total", action="look")] == 2
    assert found[key("weaver_events_total", kind="service.starting")] == 6
    assert found[key("weaver_reconcile_duration_seconds_count")] == 2
    assert found[key("weaver_reconcile_duration_seconds_bucket", le="+Inf")] == 2
    assert 0 < found[key("weaver_reconcile_duration_seconds_sum")] < 1
    assert counts.restarts == {"web": {"crash": 2}, "db": {"dependency": 2}}
    counts.add(Decision(remembered=Remembered(services={name("web"): None})), 9.0)
    assert set(counts.restarts) == {"db"}


def test_the_duration_of_a_step_is_in_every_class_that_holds_it() -> None:
    counts = Counts()
    for span in (0.0005, 0.0006, 0.3, 60.0):
        counts.add(Decision(), span)
    found = series(page(shop(), counts))
    bounds = ("0.0005", "0.001", "0.25", "0.5", "1.0", "+Inf")
    classes = [found[key("weaver_reconcile_duration_seconds_bucket", le=le)] for le in bounds]
    assert classes == [1, 2, 2, 3, 3, 4]


def test_the_daemons_own_families() -> None:
    fault = Diagnostic(source=Source(file="services.d/x.yaml"), code="W104", message="no")
    held = scene(
        replace(service("web"), invalid=(fault,)),
        service("db"),
        diagnostics=(fault, replace(fault, is_warning=True)),
        source_held="rebase",
        troubles=("cannot save the record",),
    )
    hold = Hold(service=name("web"), code=HoldCode.BACKING_OFF, because="wait")
    held = replace(held, picture=replace(held.picture, holds=(hold, hold), converged=True))
    found = series(page(held, Counts()))
    assert found[key("weaver_services", state="running")] == 2
    assert found[key("weaver_holds", code="BackingOff")] == 2
    assert found[key("weaver_manifest_errors")] == 1
    assert found[key("weaver_services_invalid")] == 1
    assert found[key("weaver_converged")] == 1
    assert found[key("weaver_following")] == 0
    assert found[key("weaver_troubles")] == 1
    assert found[key("weaver_uptime_seconds")] == 12.5
    assert found[key("weaver_process_resident_memory_bytes")] > 1_000_000
    build = [dict(labels) for (metric, labels) in found if metric == "weaver_build_info"]
    assert build[0]["version"] == "0.1.0"


def test_what_is_followed_has_a_time_and_the_count_of_its_webhooks() -> None:
    hold = PruneHold(id="a1", services=(name("a"), name("b")), because="2 of 4 would be removed")
    unseen = scene(prune=hold)
    unseen = replace(unseen, daemon=replace(unseen.daemon, source=FOLLOWED))
    seen_at = Nanos(unseen.picture.now - 60 * SECOND)
    seen = replace(unseen, daemon=replace(unseen.daemon, source=replace(FOLLOWED, seen_at=seen_at)))
    at = key("weaver_last_successful_fetch_timestamp_seconds")
    found = series(page(seen, Counts(webhooks=Counter({"unsigned": 3}))))
    assert found[at] == pytest.approx(seen.wall - 60)
    assert found[key("weaver_webhooks_total", outcome="unsigned")] == 3
    assert found[key("weaver_webhooks_total", outcome="fetching")] == 0
    assert found[key("weaver_prune_held")] == 2
    assert at not in series(page(unseen, Counts()))
    assert not [one for one in series(page(shop(), Counts())) if "webhooks" in one[0]]


def test_the_page_is_made_of_what_the_daemon_says_now() -> None:
    control = HonestControl()
    text, media_type = asyncio.run(Exposition(control, Counts())())
    assert media_type == MEDIA_TYPE
    names = {dict(labels)["service"] for metric, labels in series(text) if metric == "service_up"}
    assert names == set(asyncio.run(control.scene()).picture.services)


def test_every_family_says_what_it_is_in_one_place() -> None:
    lines = page(shop(), Counts()).decode().splitlines()
    helped = [line.split()[2] for line in lines if line.startswith("# HELP")]
    assert len(helped) == len(set(helped))
    assert helped[:7] == [
        "service_up",
        "service_uptime_seconds",
        "service_restarts_total",
        "service_reloads_total",
        "service_cpu_usage_percent",
        "service_memory_bytes",
        "service_file_descriptors",
    ]
    assert all(len(line.split()) > 4 for line in lines if line.startswith("# HELP"))


def test_thousands_of_services_cost_as_many_times_what_a_few_do() -> None:
    """W21."""

    def cost(count: int) -> int:
        many = scene(
            *(service(f"s{number}") for number in range(count)),
            usage={Slot(service=ServiceName(f"s{n}"), index=0): USAGE for n in range(count)},
        )
        texts = []
        steps = steps_of(lambda: texts.append(page(many, Counts())))
        assert texts[0].count(b"\nservice_up{") == count
        return steps

    page(shop(), Counts())  # the library is loaded once
    assert cost(2_000) < 10.1 * cost(200)


promtool = shutil.which("promtool")
prometheus = shutil.which("prometheus")


@pytest.mark.real
@pytest.mark.skipif(promtool is None, reason="needs promtool (Debian's package prometheus)")
def test_promtool_has_nothing_to_say() -> None:
    counts = Counts()
    counts.add(Decision(happenings=(starting("web", "crash"),)), 0.1)
    text = page(shop(), counts)
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@contextmanager
def serving(text: bytes) -> Iterator[int]:
    """Serve a page, and give its port."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", MEDIA_TYPE)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def running_prometheus(folder: Path, target: int) -> Iterator[int]:
    """Run Prometheus against a target, and give its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\n"
        "scrape_configs:\n"
        "  - job_name: weaver\n"
        f"    static_configs: [{{targets: ['127.0.0.1:{target}']}}]\n"
    )
    command = [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield port
    finally:
        child.kill()
        child.wait()


def ask(port: int, query: str) -> dict[str, str]:
    """Ask Prometheus for the series of a metric, by service; {} while it does not answer."""
    try:
        url = f"http://127.0.0.1:{port}/api/v1/query?query={query}"
        with urllib.request.urlopen(url, timeout=2) as answer:
            result = json.load(answer)["data"]["result"]
    except OSError:
        return {}
    return {each["metric"].get("service", ""): each["value"][1] for each in result}


@pytest.mark.real
@pytest.mark.skipif(prometheus is None, reason="needs prometheus (Debian's package)")
def test_a_real_prometheus_scrapes_it(tmp_path: Path) -> None:
    with serving(page(shop(), Counts())) as target, running_prometheus(tmp_path, target) as port:
        seen = until(lambda: ask(port, "service_up"), 30)
        assert seen == {"db": "1", "web": "1", "api": "0"}
        assert ask(port, "up") == {"": "1"}
        assert ask(port, "weaver_converged") == {"": "0"}

"""Write docs/metrics.md from a page as Prometheus gets it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from reconciler.api.metrics import RESTART_REASONS
from reconciler.api.metrics import page as metrics_page
from reconciler.api.metrics_own import Counts
from reconciler.api.webhooks import Outcome
from reconciler.model.event import Decision, Happening, LookAtHost
from reconciler.model.health import CheckFault
from reconciler.model.plan import Hold, HoldCode
from reconciler.model.units import Serial
from reconciler.runtime.control import PushFacts
from tests.api.builders import FOLLOWED, checked_shop, name, shop

HEAD = """\
# Metrics

<!-- Written by `make docs` from a page of metrics; do not edit. -->

Prometheus metrics are at `/metrics` on the daemon's socket, and on TCP where `weaver.yaml` says so:

```yaml
metrics:
  listen: 127.0.0.1:9464
```

```yaml
# prometheus.yml
scrape_configs:
  - job_name: weaver
    static_configs:
      - targets: ["127.0.0.1:9464"]
```

`weaver metrics` shows what services use in a terminal, `weaver metrics -o prometheus` the page.
CPU and memory are of the whole process tree of an instance. Values of labels are written by whoever
writes the manifests, never by a service.
"""


def page() -> str:
    """Give the whole page."""
    families = list(text_string_to_metric_families(_sample()))
    services = [family for family in families if family.name.startswith("service_")]
    own = [family for family in families if not family.name.startswith("service_")]
    parts = [HEAD, "## Services", "", *_rows(services), *_notes()]
    return "\n".join([*parts, "## The daemon itself", "", *_rows(own)]) + "\n"


def _sample() -> str:
    """Give a page on which every family has a series."""
    counts = Counts()
    happening = Happening(kind="service.starting", service=name("db"), data={"cause": "crash"})
    look = LookAtHost(serial=Serial(1))
    counts.add(Decision(commands=(look,), happenings=(happening,)), 0.001)
    scene = replace(shop(), charts=checked_shop().charts)
    hold = Hold(service=name("mailer"), code=HoldCode.BACKING_OFF, because="starts again in 4 s")
    scene = replace(scene, picture=replace(scene.picture, holds=(hold,)))
    source = replace(FOLLOWED, seen_at=scene.picture.now)
    push = PushFacts(remote="origin", branch="main", waiting=1, reason="", reason_code="")
    scene = replace(scene, daemon=replace(scene.daemon, source=source, push=push))
    return metrics_page(scene, counts).decode()


def _rows(families: list[Metric]) -> Iterator[str]:
    """Give a table with a row for each family."""
    yield from ("| metric | type | labels | meaning |", "|---|---|---|---|")
    for family in families:
        shown = f"{family.name}_total" if family.type == "counter" else family.name
        keys = {key: None for sample in family.samples for key in sample.labels}
        labels = " ".join(f"`{key}`" for key in keys if key != "le")
        yield f"| `{shown}` | {family.type} | {labels} | {family.documentation} |"
    yield ""


def _notes() -> Iterator[str]:
    """Say which words the labels have."""
    reasons = ", ".join(f"`{reason}`" for reason in RESTART_REASONS)
    yield f"`reason` is one of {reasons}; `type` is `rss`, `pss` or `swap`."
    failures = ", ".join(f"`{fault.value}`" for fault in CheckFault)
    yield f"Of health checks, `reason` is one of {failures}; `status` is `healthy` or `unhealthy`."
    outcomes = ", ".join(f"`{outcome}`" for outcome in Outcome)
    yield f"Of webhooks, `outcome` is one of {outcomes}."
    yield "`service_up` of a oneshot that exited well is 1, and of a service that should not run 0."
    yield ""

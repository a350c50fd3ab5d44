"""The one table of what can be asked: method, path, handler, and who may.

The server routes by it, the OpenAPI document and the reference in `docs/` are made from it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from starlette.responses import Response

from reconciler.api import flows, questions
from reconciler.api.replies import CSV, EVENTS, JSON, LINES, TEXT, YAML
from reconciler.api.wire import (
    answers,
    catalogue,
    health,
    messages,
    preview,
    queries,
    records,
    requests,
    rollout,
    status,
)

Handler = Callable[..., Awaitable[Response]]

EXPOSITION = "text/plain; version=0.0.4"


class Who(Enum):
    """Who may use a route."""

    OWNER = "the user that the daemon runs as, and root"
    ANYONE = "anyone who can connect"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One row of the table."""

    method: str
    path: str
    handler: Handler
    who: Who
    summary: str
    query: type[queries.Query] = queries.Query
    body: Any = None
    """The type of the JSON body; None where there is none."""
    answers: dict[str, Any] = field(default_factory=dict)
    """Media types, each with the type of one document (or line) of it; None for text."""

    @property
    def name(self) -> str:
        """Give the handler's name, which is the operation's."""
        return str(self.handler.__name__)


_MESSAGES = {LINES: messages.MessageKeys}

ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/v1/status",
        handler=questions.status,
        who=Who.OWNER,
        summary="What runs and why not. With one name and `table`: all about that service.",
        query=queries.StatusQuery,
        answers={JSON: status.StatusDocument, YAML: None, TEXT: None},
    ),
    Endpoint(
        method="GET",
        path="/v1/services",
        handler=questions.services,
        who=Who.OWNER,
        summary="The catalogue: every service, its file, what is wanted, needs and needed by.",
        query=queries.CatalogueQuery,
        answers={JSON: catalogue.CatalogueDocument, YAML: None, TEXT: None},
    ),
    Endpoint(
        method="GET",
        path="/v1/services/{name}",
        handler=questions.service,
        who=Who.OWNER,
        summary="One service of the catalogue, with its manifest as saved.",
        query=queries.TextQuery,
        answers={JSON: catalogue.ManifestDocument, TEXT: None},
    ),
    Endpoint(
        method="GET",
        path="/v1/health",
        handler=questions.health,
        who=Who.OWNER,
        summary="What checks say of each instance, last and before. With one name: all about it.",
        query=queries.HealthQuery,
        answers={JSON: health.HealthDocument, TEXT: None},
    ),
    Endpoint(
        method="GET",
        path="/v1/rollouts",
        handler=questions.rollouts,
        who=Who.OWNER,
        summary="How far new versions have come to the instances of services.",
        query=queries.RolloutQuery,
        answers={JSON: rollout.RolloutDocument, TEXT: None},
    ),
    Endpoint(
        method="GET",
        path="/v1/plan",
        handler=questions.plan,
        who=Who.OWNER,
        summary="What is desired against what runs: `weaver diff` with a daemon.",
        query=queries.TextQuery,
        answers={JSON: preview.DiffDocument, TEXT: None},
    ),
    Endpoint(
        method="GET",
        path="/v1/events",
        handler=flows.events,
        who=Who.OWNER,
        summary="What happened. With `follow`: also what will, as server-sent events or text.",
        query=queries.EventsQuery,
        answers={JSON: records.EventsDocument, EVENTS: records.EventKeys, TEXT: None},
    ),
    Endpoint(
        method="GET",
        path="/v1/history/{name}",
        handler=questions.history,
        who=Who.OWNER,
        summary="What became of a service: its states and its commits, newest first.",
        query=queries.HistoryQuery,
        answers={JSON: records.HistoryDocument, TEXT: None},
    ),
    Endpoint(
        method="GET",
        path="/v1/why/{name}",
        handler=questions.why,
        who=Who.OWNER,
        summary="Why a service is in its state.",
        query=queries.TextQuery,
        answers={JSON: answers.WhyDocument, TEXT: None},
    ),
    Endpoint(
        method="GET",
        path="/v1/logs",
        handler=flows.logs,
        who=Who.OWNER,
        summary="Lines of logs, merged by time. With `follow`: also those to come.",
        query=queries.LogsQuery,
        answers={LINES: records.LogKeys, TEXT: None, CSV: None},
    ),
    Endpoint(
        method="GET",
        path="/v1/wait",
        handler=questions.wait,
        who=Who.OWNER,
        summary="Answers when services have come so far, cannot, or time is up.",
        query=queries.WaitQuery,
        answers={JSON: answers.WaitDocument, TEXT: None},
    ),
    Endpoint(
        method="GET",
        path="/v1/graph",
        handler=questions.graph,
        who=Who.OWNER,
        summary="Who needs whom. With `order`: the steps in which services start or stop.",
        query=queries.GraphQuery,
        answers={JSON: catalogue.GraphDocument, TEXT: None},
    ),
    Endpoint(
        method="GET",
        path="/v1/config",
        handler=questions.config,
        who=Who.OWNER,
        summary="The effective weaver.yaml.",
        query=queries.TextQuery,
        answers={JSON: answers.ConfigDocument, TEXT: None},
    ),
    Endpoint(
        method="GET",
        path="/v1/doctor",
        handler=questions.doctor,
        who=Who.OWNER,
        summary="What is wrong with this set-up, and what is right.",
        query=queries.TextQuery,
        answers={JSON: answers.DoctorDocument, TEXT: None},
    ),
    Endpoint(
        method="GET",
        path="/v1/environment/{name}",
        handler=questions.environment,
        who=Who.OWNER,
        summary="Where and with which environment a service runs.",
        answers={JSON: answers.EnvironmentDocument},
    ),
    Endpoint(
        method="GET",
        path="/v1/metrics",
        handler=questions.usage,
        who=Who.OWNER,
        summary="What every service uses now.",
        query=queries.MetricsQuery,
        answers={JSON: catalogue.UsageDocument, TEXT: None, EXPOSITION: None},
    ),
    Endpoint(
        method="GET",
        path="/v1/metrics/{name}",
        handler=questions.usage_of,
        who=Who.OWNER,
        summary="What one service uses now.",
        query=queries.MetricsQuery,
        answers={JSON: catalogue.UsageDocument, TEXT: None, EXPOSITION: None},
    ),
    Endpoint(
        method="GET",
        path="/v1/openapi.json",
        handler=questions.openapi,
        who=Who.OWNER,
        summary="This interface, as OpenAPI 3.1.",
        answers={JSON: None},
    ),
    Endpoint(
        method="GET",
        path="/metrics",
        handler=questions.exposition,
        who=Who.OWNER,
        summary="The metrics as Prometheus reads them; also on `metrics.listen`, to anyone there.",
        answers={EXPOSITION: None},
    ),
    Endpoint(
        method="POST",
        path="/v1/changes",
        handler=flows.change,
        who=Who.OWNER,
        summary="Change manifests: checked, committed, put into force, waited for.",
        query=queries.MessagesQuery,
        body=requests.ChangeBodies,
        answers=_MESSAGES,
    ),
    Endpoint(
        method="POST",
        path="/v1/operations",
        handler=flows.operate,
        who=Who.OWNER,
        summary="Do what changes no manifest: restart, reload, start what crashed, steer rollouts.",
        query=queries.MessagesQuery,
        body=requests.OperationBodies,
        answers=_MESSAGES,
    ),
    Endpoint(
        method="POST",
        path="/v1/prune/{id}/approve",
        handler=flows.approve,
        who=Who.OWNER,
        summary="Let a large removal that is held happen.",
        query=queries.MessagesQuery,
        body=requests.ApproveBody,
        answers=_MESSAGES,
    ),
    Endpoint(
        method="POST",
        path="/v1/sync",
        handler=flows.sync,
        who=Who.OWNER,
        summary="Fetch and read what is followed now, and wait for what comes of it.",
        query=queries.MessagesQuery,
        body=requests.SyncBody,
        answers=_MESSAGES,
    ),
    Endpoint(
        method="POST",
        path="/v1/accept-history",
        handler=flows.accept_history,
        who=Who.OWNER,
        summary="Follow a branch whose history was rewritten, at a commit that is named.",
        query=queries.MessagesQuery,
        body=requests.AcceptHistoryBody,
        answers=_MESSAGES,
    ),
    Endpoint(
        method="POST",
        path="/v1/shutdown",
        handler=flows.shut_down,
        who=Who.OWNER,
        summary="Stop services in reverse order (or leave them running), then end.",
        query=queries.MessagesQuery,
        body=requests.ShutdownBody,
        answers=_MESSAGES,
    ),
    Endpoint(
        method="POST",
        path="/v1/reexec",
        handler=flows.reexec,
        who=Who.OWNER,
        summary="Replace holder and daemon in place by what is installed now.",
        query=queries.MessagesQuery,
        body=requests.ReexecBody,
        answers=_MESSAGES,
    ),
)

METRICS_ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/metrics",
        handler=questions.exposition,
        who=Who.ANYONE,
        summary="The metrics as Prometheus reads them.",
        answers={EXPOSITION: None},
    ),
)
"""All that is served on TCP."""

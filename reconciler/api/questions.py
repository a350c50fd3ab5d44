"""Answer questions: what is asked of the daemon, and in which form it is given back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from starlette.responses import Response

from reconciler.api import answers_text, graph_text, standing, yaml_text
from reconciler.api.ask import Ask, choose, unknown
from reconciler.api.details_text import LAST_LINES, Background, details_text
from reconciler.api.diff_text import diff_text
from reconciler.api.graph_text import Graph
from reconciler.api.health_text import health_text, service_health_text
from reconciler.api.history_text import history_text
from reconciler.api.replies import JSON, YAML, reply_bytes, reply_json, reply_text
from reconciler.api.rollout_text import rollout_text
from reconciler.api.status_text import pids, status_text
from reconciler.api.why_text import why_text
from reconciler.api.wire import answers, catalogue
from reconciler.api.wire.base import Document, builtins
from reconciler.api.wire.health import health_document
from reconciler.api.wire.preview import diff_document, diff_exit_code
from reconciler.api.wire.queries import (
    CatalogueQuery,
    GraphQuery,
    HealthQuery,
    HistoryQuery,
    MetricsQuery,
    Query,
    RolloutQuery,
    StatusQuery,
    TextQuery,
    WaitQuery,
)
from reconciler.api.wire.records import history_document
from reconciler.api.wire.rollout import rollout_document
from reconciler.api.wire.status import status_document
from reconciler.core.pointers import Pointers
from reconciler.model.log import LogLine, LogQuery
from reconciler.model.spec import DesiredState
from reconciler.model.status import Picture, ServiceStatus
from reconciler.model.units import ServiceName
from reconciler.ports import LogEntry, WeaverError
from reconciler.runtime import requests
from reconciler.runtime.control import Scene

NOT_AS_WANTED = 7
"""The exit code of `--check` where something is not as wanted."""
BACKGROUND_WITHIN_S = 1.0
"""A page about a service does not wait longer for its commit and its last lines."""


async def status(ask: Ask, query: StatusQuery) -> Response:
    """Give what runs and why not."""
    scene = await ask.control.scene()
    chosen = choose(
        scene.picture, names=query.name, selectors=query.selector, problems=query.problems
    )
    code = _check(scene, chosen, query) if query.check else 0
    match query.format:
        case "json" | "yaml":
            named = [service.name for service in chosen] if query.name else []
            known = await asyncio.gather(*(_pointers(ask, name) for name in named))
            pointers = dict(zip(named, known, strict=True))
            document = status_document(scene, chosen, code, pointers)
            return reply_json(document) if query.format == "json" else _yaml(document)
        case "name":
            return _lines([service.name for service in chosen], code)
        case "pid":
            return _lines([str(pid) for service in chosen for pid in pids(service)], code)
        case "table" if len(query.name) == 1 and len(chosen) == 1:
            found = await _background(ask, chosen[0].name)
            return reply_text(details_text(scene, chosen[0], found, ask.page), code)
        case "table" | "wide" if query.selector and not (chosen or query.problems):
            return reply_text(f"No service has the label {', '.join(query.selector)}.\n", code)
        case "table" | "wide":
            wide = query.format == "wide"
            return reply_text(status_text(scene, chosen, ask.page, wide=wide), code)


def _check(scene: Scene, chosen: Sequence[ServiceStatus], query: StatusQuery) -> int:
    """Give 7 where something that was asked about is not as wanted."""
    everything = not (query.name or query.selector)
    if everything and (standing.troubles(scene) or standing.faults(scene.picture)):
        return NOT_AS_WANTED
    return 0 if all(map(standing.is_as_wanted, chosen)) else NOT_AS_WANTED


async def _background(ask: Ask, name: ServiceName) -> Background:
    """Give a service's last commit and last lines; what cannot be had in time is left out."""
    commit, log, pointers = await asyncio.gather(
        _last_commit(ask, name), _last_lines(ask, name), _pointers(ask, name)
    )
    return Background(commit=commit, log=log, pointers=pointers)


async def _last_commit(ask: Ask, name: ServiceName) -> LogEntry | None:
    """Give the last commit that touched a service's file, if it can be had."""
    try:
        async with asyncio.timeout(BACKGROUND_WITHIN_S):
            commits = (await ask.control.history(name, limit=1)).commits
    except (WeaverError, TimeoutError):
        return None
    return commits[0] if commits else None


async def _pointers(ask: Ask, name: ServiceName) -> Pointers | None:
    """Tell how far a service has come along its history, if that can be had."""
    try:
        async with asyncio.timeout(BACKGROUND_WITHIN_S):
            return await ask.control.pointers(name)
    except (WeaverError, TimeoutError):
        return None


async def _last_lines(ask: Ask, name: ServiceName) -> list[LogLine]:
    """Give the last lines that a service logged, if they can be had."""
    found: list[LogLine] = []
    try:
        async with asyncio.timeout(BACKGROUND_WITHIN_S):
            async for line in ask.control.logs(LogQuery(services=(name,), lines=LAST_LINES)):
                found.append(line)  # noqa: PERF401 - what was read in time is kept
    except (WeaverError, TimeoutError):
        pass
    return found


async def services(ask: Ask, query: CatalogueQuery) -> Response:
    """Give the catalogue: what manifests define."""
    picture = (await ask.control.scene()).picture
    chosen = choose(picture, selectors=query.selector)
    content = catalogue.CatalogueDocument(services=[catalogue.catalogue_keys(s) for s in chosen])
    match query.format:
        case "json":
            return reply_json(content)
        case "yaml":
            return _yaml(content)
        case "name":
            return _lines([service.name for service in chosen])
        case "table":
            return reply_text(answers_text.catalogue_text(chosen, ask.page))


async def service(ask: Ask, query: TextQuery) -> Response:
    """Give one service of the catalogue, with its manifest as saved."""
    picture = (await ask.control.scene()).picture
    found = _one(picture, ask.service)
    text = await ask.control.manifest(found.name)
    if query.format == "text":
        return reply_text(text)
    keys = catalogue.catalogue_keys(found)
    return reply_json(catalogue.ManifestDocument(service=keys, text=text))


async def health(ask: Ask, query: HealthQuery) -> Response:
    """Give what checks say of services; written on a thread, as it may be a lot."""
    scene = await ask.control.scene()
    chosen = choose(scene.picture, names=query.name)
    return await asyncio.to_thread(_health, ask, query, scene, chosen)


def _health(
    ask: Ask, query: HealthQuery, scene: Scene, chosen: Sequence[ServiceStatus]
) -> Response:
    """Answer with what checks say."""
    code = 0 if not query.check or _are_healthy(scene, chosen) else NOT_AS_WANTED
    if query.format == "json":
        return reply_json(health_document(scene, chosen, code))
    if len(query.name) == 1:
        return reply_text(service_health_text(scene, chosen[0], ask.page), code)
    return reply_text(health_text(scene, chosen, ask.page), code)


def _are_healthy(scene: Scene, chosen: Sequence[ServiceStatus]) -> bool:
    """Tell whether every instance that should run is known to be well."""
    return all(
        standing.health_word(slot, scene, is_checked=True) == "healthy"
        for service in chosen
        if service.spec is not None and service.spec.health is not None
        for slot in service.slots
        if service.desired is DesiredState.RUNNING
    )


async def rollouts(ask: Ask, query: RolloutQuery) -> Response:
    """Give how far new versions have come."""
    scene = await ask.control.scene()
    chosen = choose(scene.picture, names=query.name)
    if query.format == "text":
        return reply_text(rollout_text(chosen, ask.page), 0)
    return reply_json(rollout_document(chosen))


async def plan(ask: Ask, query: TextQuery) -> Response:
    """Compare what is desired with what runs."""
    preview = await ask.control.preview()
    if query.format == "text":
        return reply_text(diff_text(preview, ask.page), diff_exit_code(preview))
    return reply_json(diff_document(preview))


async def history(ask: Ask, query: HistoryQuery) -> Response:
    """Give what became of a service."""
    found = await ask.control.history(ask.service, limit=query.limit)
    if query.format == "text":
        return reply_text(history_text(found, ask.page))
    return reply_json(history_document(found))


async def why(ask: Ask, query: TextQuery) -> Response:
    """Explain a service's state."""
    chain = await ask.control.why(ask.service)
    if query.format == "text":
        return reply_text(why_text(chain, ask.page))
    return reply_json(answers.why_document(ask.service, chain))


async def wait(ask: Ask, query: WaitQuery) -> Response:
    """Answer when services have come so far, cannot come so far, or time is up."""
    asked = requests.WaitQuery(
        goal=requests.Goal(query.goal),
        services=tuple(ServiceName(name) for name in dict.fromkeys(query.name)),
        revision=query.revision,
        timeout=query.timeout,
    )
    result = await ask.backend.streams.while_wanted(ask.control.wait(asked), ask.leaving())
    if query.format == "text":
        text = answers_text.wait_text(asked, result, ask.page)
        return reply_text(text, result.exit_code)
    return reply_json(answers.wait_document(result))


async def graph(ask: Ask, query: GraphQuery) -> Response:
    """Draw who needs whom."""
    picture = (await ask.control.scene()).picture
    whole = Graph(
        needs={s.name: s.spec.needs if s.spec else () for s in picture.services.values()},
        states={s.name: s.state for s in picture.services.values()},
    )
    found = whole.around(_one(picture, query.name).name) if query.name else whole
    if query.order:
        return reply_text(graph_text.order(found, stopping=query.order == "stop"))
    match query.format:
        case "json":
            return reply_json(catalogue.graph_document(found))
        case "text":
            return reply_text(graph_text.tree(found, ask.page))
        case "mermaid":
            return reply_text(graph_text.mermaid(found))
        case "dot":
            return reply_text(graph_text.dot(found))


async def config(ask: Ask, query: TextQuery) -> Response:
    """Give the effective weaver.yaml."""
    settings = await ask.control.settings()
    if query.format == "text":
        return reply_text(answers_text.settings_text(settings, ask.page))
    return reply_json(answers.config_document(settings))


async def doctor(ask: Ask, query: TextQuery) -> Response:
    """Look for what is wrong with this set-up."""
    findings = await ask.control.doctor()
    if query.format == "text":
        text = answers_text.doctor_text(findings, ask.page)
        return reply_text(text, answers.doctor_exit_code(findings))
    return reply_json(answers.doctor_document(findings))


async def environment(ask: Ask, _query: Query) -> Response:
    """Give where and with which environment a service runs."""
    return reply_json(answers.environment_document(await ask.control.surroundings(ask.service)))


async def usage(ask: Ask, query: MetricsQuery) -> Response:
    """Give what all services use now."""
    if query.format == "prometheus":
        return await exposition(ask, query)
    scene = await ask.control.scene()
    return _usage(ask, query, scene, list(scene.picture.services.values()))


async def usage_of(ask: Ask, query: MetricsQuery) -> Response:
    """Give what one service uses now."""
    scene = await ask.control.scene()
    chosen = _one(scene.picture, ask.service)
    if query.format != "prometheus":
        return _usage(ask, query, scene, [chosen])
    body, media_type = await ask.backend.exposition()
    mark = f'service="{chosen.name}"'.encode()
    lines = body.splitlines(keepends=True)
    return reply_bytes(b"".join(x for x in lines if x.startswith(b"#") or mark in x), media_type)


def _usage(
    ask: Ask, query: MetricsQuery, scene: Scene, chosen: Sequence[ServiceStatus]
) -> Response:
    """Answer with what services use."""
    if query.format == "table":
        return reply_text(answers_text.usage_text(scene, chosen, ask.page))
    return reply_json(catalogue.usage_document(scene, chosen))


async def exposition(ask: Ask, _query: Query) -> Response:
    """Give the metrics as Prometheus reads them."""
    return reply_bytes(*await ask.backend.exposition())


async def openapi(_ask: Ask, _query: Query) -> Response:
    """Give this interface as OpenAPI."""
    from reconciler.api.openapi import openapi_document

    return reply_bytes(openapi_document(), JSON)


def _one(picture: Picture, name: str) -> ServiceStatus:
    """Give the service of a name. Raises NotFoundError."""
    found = picture.services.get(ServiceName(name))
    if found is None:
        raise unknown(name, picture)
    return found


def _yaml(content: Document) -> Response:
    """Answer with a document as YAML."""
    return reply_text(yaml_text.yaml_text(builtins(content)), content.exit_code, YAML)


def _lines(lines: Sequence[str], exit_code: int = 0) -> Response:
    """Answer with one word a line."""
    return reply_text("".join(f"{line}\n" for line in lines), exit_code)

"""Routes for operation: health, metrics, versions and nightly runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi import Query as FromQuery
from starlette.responses import PlainTextResponse, Response

from item2vec.service.answers import (
    Alive,
    Ready,
    RunAnswer,
    RunsAnswer,
    VersionAnswer,
    VersionsAnswer,
)
from item2vec.service.metrics import CONTENT_TYPE_LATEST
from item2vec.service.problems import Problem
from item2vec.service.routes.common import CHECKED_QUERY, ERRORS, InService, json_response
from item2vec.service.strict_route import StrictRoute

__all__ = ["router"]

router = APIRouter(route_class=StrictRoute, tags=["operations"], responses=ERRORS)

Limit = Annotated[int, FromQuery(ge=1, le=1_000)]


@router.get("/livez", response_model=Alive)
async def livez() -> Response:
    """Return status 200 as long as the process runs, even if no model is loaded."""
    return json_response({"status": "alive"})


@router.get("/readyz", response_model=Ready)
def readyz(context: InService) -> Response:
    """Return the served version, when it was loaded, and unavailable parts; 503 until a model is loaded."""
    status = context.serving.engine.status()
    loaded = datetime.fromisoformat(status["loaded_at"])
    return json_response(
        {
            "version": status["version"],
            "generation": status["generation"],
            "loaded_at": status["loaded_at"],
            "age_s": round((datetime.now(UTC) - loaded).total_seconds(), 3),
            "degraded": context.serving.degraded,
        }
    )


@router.get("/metrics", responses={200: {"content": {"text/plain": {}}}}, response_class=PlainTextResponse)
def metrics(context: InService) -> Response:
    """Return the metrics of the service in the text format of Prometheus."""
    if context.serving.is_ready:
        status = context.serving.engine.status()
        loaded = datetime.fromisoformat(status["loaded_at"]).timestamp()
        context.metrics.serve(status["generation"], loaded)
    return Response(context.metrics.text(), media_type=CONTENT_TYPE_LATEST)


@router.get("/v1/versions", response_model=VersionsAnswer, dependencies=CHECKED_QUERY)
def versions(context: InService) -> Response:
    """List the versions of the models folder, newest first."""
    return json_response({"versions": context.serving.versions()})


@router.get("/v1/versions/{version}", response_model=VersionAnswer, dependencies=CHECKED_QUERY)
def version(version: str, context: InService) -> Response:
    """Return one version of the models folder with its settings."""
    return json_response(_one(context.serving.versions(), version, "version"))


@router.get("/v1/runs", response_model=RunsAnswer, dependencies=CHECKED_QUERY)
def runs(context: InService, limit: Limit = 20) -> Response:
    """List the latest nightly runs, newest first, with gates and metrics."""
    return json_response({"runs": context.serving.runs(limit)})


@router.get("/v1/runs/{run}", response_model=RunAnswer, dependencies=CHECKED_QUERY)
def run(run: str, context: InService) -> Response:
    """Return one nightly run."""
    is_id = run.isascii() and run.isdecimal() and len(run) < 19  # ids have 64 bits
    return json_response(_one(context.serving.runs(1, id=int(run)) if is_id else [], run, "run"))


def _one(rows: list[dict[str, Any]], id_: str, kind: str) -> dict[str, Any]:
    for row in rows:
        if str(row["id"]) == id_:
            return row
    raise Problem(404, f"unknown {kind} {id_[:80]!r}; GET /v1/{kind}s lists the known {kind}s")

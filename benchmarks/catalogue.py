"""Catalogue reads beside MLflow's own: a model, a version, a list of 100 among 1,000 versions."""

import json
import tempfile
from pathlib import Path

import requests
from sqlalchemy import create_engine, text

from benchmarks.load import wrk
from benchmarks.rounds import Line, at_most, single
from benchmarks.servers import Platform

_NAME = "catalogue-bench"


def run(*, quick: bool = False) -> list[Line]:
    """Measure reads at concurrency 1; the bar is ours alone, a p95 of at most 5 ms."""
    seconds = 2 if quick else 5
    with (
        tempfile.TemporaryDirectory(prefix="mlops-bench-") as folder,
        Platform(Path(folder) / "home") as platform,
    ):
        _fill(platform)
        token = platform.token("ana@company.com", "data-scientist")
        paths = {
            "model": "",
            "version": "/versions/500",
            "list of 100 of 1,000": "/versions?limit=100",
        }
        inner, secret = platform.inner_mlflow
        peer = wrk(
            f"{inner}/api/2.0/mlflow/registered-models/get?name={_NAME}",
            "",
            connections=1,
            seconds=seconds,
            token=secret,
            method="GET",
        )
        lines = []
        for what, path in paths.items():
            url = f"{platform.url}/api/v1/models/{_NAME}{path}"
            ours = wrk(url, "", connections=1, seconds=seconds, token=token, method="GET")
            bar = at_most(5, ours.p95_ms, " ms")
            lines.append(single(f"{what}: p95 ms / MLflow's model", ours.p95_ms, peer.p95_ms, bar))
        return lines


def _fill(platform: Platform) -> None:
    """Register the model in MLflow and mirror 1,000 versions of it: rows as the mirror writes them."""
    headers = {"Authorization": f"Bearer {platform.token('ana@company.com', 'data-scientist')}"}
    address = f"{platform.mlflow_url}/api/2.0/mlflow/registered-models/create"
    requests.post(address, json={"name": _NAME}, headers=headers, timeout=30).raise_for_status()
    url = _database_url(platform)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO models (name, tenant, description, owner, tags, created_at, updated_at, latest_version) "
                "VALUES (:name, 'default', '', 'ana@company.com', '{}', now(), now(), 1000) ON CONFLICT (name) DO UPDATE SET latest_version = 1000"
            ),
            {"name": _NAME},
        )
        connection.execute(
            text(
                "INSERT INTO model_versions (name, version, run_id, source, status, stage, description, risk_level, tags, metrics, params, "
                "lineage, created_at, registry_updated_at) SELECT :name, number, 'run', 'models:/m-1', 'READY', 'development', '', 'medium', "
                "CAST(:tags AS jsonb), '{\"auc\": 0.9}', '{}', '{\"run_id\": \"run\"}', now(), now() FROM generate_series(1, 1000) AS number"
            ),
            {
                "name": _NAME,
                "tags": json.dumps({f"tag{index}": "value" for index in range(5)}),
            },
        )
    engine.dispose()


def _database_url(platform: Platform) -> str:
    port = (platform.home / "run" / "postgres-port").read_text()
    password = (platform.home / "postgres" / "password").read_text()
    return f"postgresql+psycopg://mlops:{password}@127.0.0.1:{port}/mlops"

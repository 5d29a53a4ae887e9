"""Every room's routes in one list: the table of contents of the API."""

import importlib
import importlib.util

from fastapi import APIRouter

ROOMS = ("models", "risk", "checks", "approvals", "deployments", "features", "audit", "identity", "costs")


def routers() -> list[APIRouter]:
    """Return the routers of all rooms."""
    return [
        importlib.import_module(f"mlops_platform.{room}.endpoints").router
        for room in ROOMS
        if importlib.util.find_spec(f"mlops_platform.{room}")
        and importlib.util.find_spec(f"mlops_platform.{room}.endpoints")
    ]


# the only paths that answer without a token; a house test compares this list with the application
PUBLIC = frozenset(
    {
        "/health",
        "/ready",
        "/metrics",
        "/api/docs",
        "/api/redoc",
        "/api/openapi.json",
        "/issuer/.well-known/openid-configuration",
        "/issuer/jwks.json",
        "/",
        "/console/sign-in",
        "/console/sign-out",
    }
)

"""The token that opens metrics and nothing else. Imports no web framework: the supervisor and commands read it too."""

import secrets
from pathlib import Path

from mlops_platform.kit.keyfiles import load_or_create


def scrape_token(path: Path) -> str:
    """Return the token in the file, made by whichever process needs it first. Raises OSError."""
    return load_or_create(path, lambda: secrets.token_urlsafe(32).encode()).decode().strip()

"""Settings of models' own libraries."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class EnvironmentSettings(BaseSettings):
    """Whether models get libraries of their own, and where these come from: never from the model."""

    model_config = SettingsConfigDict(env_prefix="MLOPS_", extra="ignore", frozen=True)

    environments: Literal["own", "platform"] = Field(
        "own",
        description="In which libraries models are loaded: 'own' installs those a model names when they differ from the platform's; "
        "'platform' loads every model in the platform's.",
    )
    environments_index_url: SecretStr | None = Field(
        None, description="Package index models' libraries come from, with its credentials; empty: PyPI."
    )
    environments_extra_index_urls: SecretStr | None = Field(
        None, description="More package indexes, separated by blanks; asked before MLOPS_ENVIRONMENTS_INDEX_URL."
    )
    environments_find_links: SecretStr | None = Field(
        None,
        description="Folder or page with wheels that are taken as well, such as the index of PyTorch's CPU builds.",
    )
    environments_from_source: bool = Field(
        False,
        description="Whether a package without a wheel may be built from source: its author's code then runs as the worker.",
    )
    environments_cache: Path | None = Field(
        None, description="Cache of wheels, best on the home's file system; by default <home>/environments/.cache."
    )
    environments_seconds: float = Field(
        900, gt=0, description="Longest time one model's libraries may take to install."
    )
    advisories: Path | None = Field(
        None,
        description="Known vulnerabilities in the OSV format: a JSON file, a zip of them as osv.dev gives out for PyPI, or a folder of "
        "these; read again when it changes. Empty: versions are shown without.",
    )
    environments_keep_hours: float = Field(
        72, ge=1, description="How long libraries that no bundle names stay installed."
    )

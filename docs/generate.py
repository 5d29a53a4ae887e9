"""Write docs/reference/*.md from the code: `make docs`. A house test compares the pages with what this writes now."""

import importlib
import pkgutil
from pathlib import Path
from typing import Any

from prometheus_client.metrics import MetricWrapperBase
from typer.main import get_command

import mlops_platform
from mlops_platform.audit.actions import Action
from mlops_platform.errors import PlatformError
from mlops_platform.identity.authorizer import ACTIONS, Authorizer
from mlops_platform.identity.principal import Principal, Role
from mlops_platform.settings import Settings
from mlops_platform.settings_limits import Limits
from mlops_platform.telemetry import metrics
from model_server.serve.metrics import ServerMetrics

FOLDER = Path(__file__).parent / "reference"


def pages() -> dict[str, str]:
    """Return every reference page by file name."""
    return {
        "settings.md": _page(
            "Settings", "Environment variables, prefix `MLOPS_`.", ("variable", "default", "meaning"), _settings()
        ),
        "metrics.md": _page(
            "Metrics",
            "What `GET /metrics` answers; `model_server_` ones are those of each model's own server.",
            ("metric", "labels", "meaning"),
            _metrics(),
        ),
        "audit-events.md": _page(
            "Audit events", "Every action the log can hold.", ("action",), [(f"`{action.value}`",) for action in Action]
        ),
        "problems.md": _page(
            "Problems", "Every problem type (RFC 9457) by status.", ("status", "type", "title"), _problems()
        ),
        "permissions.md": _page(
            "Permissions",
            "What each role may do, as the Cedar policies decide ([roles](../governance/roles.md)).",
            ("role", "in the own tenant", "also, of what is their own", "in other tenants"),
            _permissions(),
        ),
        "cli.md": _page("Command line", "`mlops COMMAND --help` says more.", ("command", "what it does"), _commands()),
    }


def _page(title: str, sentence: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [
        f"# {title}",
        "",
        f"{sentence} Written by `make docs`.",
        "",
        f"| {' | '.join(columns)} |",
        "|---" * len(columns) + "|",
    ]
    return "\n".join([*lines, *(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows)]) + "\n"


def _settings() -> list[tuple[str, ...]]:
    rows = []
    # where things are comes before how large they may be
    own = [name for name in Settings.model_fields if name not in Limits.model_fields]
    for name in (*own, *Limits.model_fields):
        field = Settings.model_fields[name]
        default = str(field.get_default(call_default_factory=True, validated_data={})).replace(
            str(Path(mlops_platform.__file__).parent), "<package>"
        )
        rows.append(
            (
                f"`MLOPS_{name.upper()}`",
                f"`{'(secret)' if 'url' in name and 'database' in name else default}`",
                field.description or "",
            )
        )
    return rows


def _metrics() -> list[tuple[str, ...]]:
    declared = (*vars(metrics).values(), *vars(ServerMetrics("")).values())
    rows = []
    for metric in (value for value in declared if isinstance(value, MetricWrapperBase)):
        described = metric.describe()[0]
        name = f"{described.name}_total" if described.type == "counter" else described.name
        rows.append((f"`{name}`", ", ".join(metric._labelnames) or "-", described.documentation))  # noqa: SLF001 - the library has no accessor
    return sorted(rows)


def _problems() -> list[tuple[str, ...]]:
    for module in pkgutil.walk_packages(mlops_platform.__path__, "mlops_platform."):
        if "migrations" not in module.name and not module.name.endswith((".demo", ".migrate")):
            importlib.import_module(module.name)

    def below(parent: type[PlatformError]) -> list[type[PlatformError]]:
        return [parent, *(each for child in parent.__subclasses__() for each in below(child))]

    rows = {(str(kind.status), f"`{kind.problem_type()}`", kind.title) for kind in below(PlatformError)}
    return sorted(rows)


def _permissions() -> list[tuple[str, ...]]:
    authorizer = Authorizer()

    def allowed(role: Role, tenant: str, *, own: bool = False) -> set[str]:
        caller = Principal("somebody", frozenset({role}), "own")
        return {action for action in ACTIONS if authorizer.allowed(caller, action, tenant, own=own)}

    def shown(found: set[str]) -> str:
        named = ", ".join(f"`{action}`" for action in ACTIONS if action in found)
        return "everything" if len(found) == len(ACTIONS) else named or "-"

    return [
        (
            f"`{role.value}`",
            shown(allowed(role, "own")),
            shown(allowed(role, "own", own=True) - allowed(role, "own")),
            shown(allowed(role, "other")),
        )
        for role in Role
    ]


def _commands() -> list[tuple[str, ...]]:
    from mlops_platform.cli.main import app

    def walk(command: Any, path: str) -> list[tuple[str, ...]]:
        if hasattr(command, "commands"):
            return [row for name, child in sorted(command.commands.items()) for row in walk(child, f"{path} {name}")]
        return [(f"`{path}`", (command.help or "").strip().split("\n\n")[0].replace("\n", " "))]

    return walk(get_command(app), "mlops")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, content in pages().items():
        (FOLDER / name).write_text(content)

"""How answers are shown: JSON for scripts, tables and sentences for people."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from mlops_platform.cli.cells import cell, is_nested
from mlops_platform.cli.exits import CommandFailed

_chosen = {"json": False}
_PIPE_WIDTH = 250
# sentences may fold, names and figures may not
_PROSE = frozenset({"found", "to_do", "message", "reason", "description"})
_PROSE_WIDTH = 25


def _choose(value: bool) -> bool:
    _chosen["json"] = value
    return value


Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.", callback=_choose)]
HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help="Folder with all state (default: MLOPS_HOME, else .mlops here).", file_okay=False),
]

Limit = Annotated[int, typer.Option(min=1, max=10_000, help="At most this many.")]


def wants_json() -> bool:
    """Return whether this command was given --json."""
    return _chosen["json"]


def show_json(value: Any) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(value, indent=2, default=str, ensure_ascii=False) + "\n")


def say(sentence: str) -> None:
    """Print a sentence for a person; silent with --json."""
    if not wants_json():
        sys.stdout.write(sentence + "\n")
        # `mlops up | tee log` must show the banner when it is said, not when the platform stops
        sys.stdout.flush()


def show(value: Any, sentence: str) -> None:
    """Print the whole answer with --json, else one sentence."""
    if wants_json():
        show_json(value)
    else:
        sys.stdout.write(sentence + "\n")


def show_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], empty: str, answer: Any = None) -> None:
    """Print rows as a table (with --json: `answer`, or the rows). `empty` is the sentence when there are none."""
    found = list(rows)
    if wants_json():
        show_json(found if answer is None else answer)
        return
    if not found:
        sys.stdout.write(empty + "\n")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        # names and ids are what people copy: they are never cut
        table.add_column(column.replace("_", " "), overflow="fold", no_wrap=column in {"id", "name", "approval_id"})
    cells = [[cell(column, row.get(column)) for column in columns] for row in found]
    for row_cells in cells:
        table.add_row(*row_cells)
    console = Console()
    if not console.is_terminal:
        # piped output has no width: eighty columns would fold every id
        console = Console(width=_PIPE_WIDTH)
    widest = [max(map(len, values)) for values in zip(columns, *cells, strict=True)]
    needed = sum(
        2 + (min(width, _PROSE_WIDTH) if column in _PROSE else width)
        for column, width in zip(columns, widest, strict=True)
    )
    if needed <= console.width:
        console.print(table)
        return
    # folded columns cannot be read: a screen that is too narrow gets a block of lines for each row
    width = max(len(column) for column in columns)
    blocks = (
        "\n".join(
            f"{column.replace('_', ' '):<{width}}  {cell}" for column, cell in zip(columns, row_cells, strict=True)
        )
        for row_cells in cells
    )
    sys.stdout.write("\n\n".join(blocks) + "\n")


def show_fields(value: Mapping[str, Any]) -> None:
    """Print one object (with --json: as it is): its plain fields a line each, then a section for each thing inside it."""
    if wants_json():
        show_json(value)
        return
    plain = {name: field for name, field in value.items() if not is_nested(field)}
    _show_lines(plain)
    for name, field in value.items():
        if is_nested(field):
            sys.stdout.write(f"\n{name.replace('_', ' ')}\n")
            _show_section(field)


def _show_lines(fields: Mapping[str, Any], indent: str = "") -> None:
    width = max((len(name) for name in fields), default=0)
    for name, field in fields.items():
        sys.stdout.write(f"{indent}{name.replace('_', ' '):<{width}}  {cell(name, field)}\n")


def _show_section(field: Any) -> None:
    if isinstance(field, dict):
        _show_lines(field, "  ")
        return
    # rows may differ: every column that some row has, but for what would need a section of its own
    named = dict.fromkeys(name for row in field for name in row)
    nested = {name for name in named if any(is_nested(row.get(name)) for row in field)}
    columns = [name for name in named if name not in nested]
    if not columns:
        for row in field:
            _show_lines(row, "  ")
        return
    show_table(field, columns, "")
    if nested:
        sys.stdout.write(f"--json shows {' and '.join(sorted(nested)).replace('_', ' ')} of each\n")


def show_error(failed: CommandFailed) -> None:
    """Print what went wrong and what to do, on standard error (as JSON with --json)."""
    if wants_json():
        sys.stderr.write(json.dumps(failed.body(), default=str) + "\n")
        return
    sys.stderr.write(f"mlops: {failed.sentence}\n")
    for error in (failed.problem or {}).get("errors") or []:
        sys.stderr.write(f"  {error.get('pointer') or error.get('field') or '-'}: {error.get('detail') or error}\n")
    if failed.todo:
        sys.stderr.write(f"  next: {failed.todo}\n")

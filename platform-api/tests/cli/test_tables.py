"""Lists are readable wherever they are printed: names, ids and figures are never folded."""

import pytest

from mlops_platform.cli.cells import cell
from mlops_platform.cli.output import show_fields, show_table

ROWS = [
    {
        "id": "01a20d8a-5acb-7b2d-9b19-25caddd4c770",
        "model_name": "customer-churn-predictor",
        "missing": ["manager", "architect"],
        "due_at": "2026-11-26T12:31:40Z",
    }
]


def test_piped_lists_have_a_line_for_each_row(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(ROWS * 3, list(ROWS[0]), "none")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert all("customer-churn-predictor" in line and ROWS[0]["due_at"] in line for line in lines[1:])


def test_a_narrow_screen_gets_a_block_for_each_row(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("FORCE_COLOR", "1")
    show_table(ROWS * 2, list(ROWS[0]), "none")
    first, second = capsys.readouterr().out.split("\n\n")
    assert first.splitlines()[0] == f"id          {ROWS[0]['id']}"
    assert "missing     manager, architect" in first
    assert second.strip() == first


def test_sentences_may_fold(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("FORCE_COLOR", "1")
    show_table([{"check": "memory", "found": "much of it " * 12}], ["check", "found"], "none")
    assert capsys.readouterr().out.count("memory") == 1


def test_no_rows_are_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    show_table([], ["id"], "nothing waits")
    assert capsys.readouterr().out == "nothing waits\n"


def test_one_object_is_shown_in_sections_and_never_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    lineage = {"run_id": "r1", "dataset": None}
    checks = [{"check": "scan", "status": "passed"}, {"check": "card", "status": "failed", "detail": "no owner"}]
    show_fields(
        {
            "name": "churn",
            "lineage": lineage,
            "checks": checks,
            "tags": [],
            "requirements": [{"roles": ["a", "b"]}],
            "history": [{"actor": "ana", "details": {"x": 1}}],
        }
    )
    shown = capsys.readouterr().out
    assert shown.splitlines()[0] == "name  churn"
    assert "\nlineage\n  run id   r1\n  dataset  -\n" in shown
    assert "card   failed  no owner" in shown
    assert "\nrequirements\nroles\na, b" in shown
    assert "\nhistory\nactor\nana  \n--json shows details of each\n" in shown
    assert "{" not in shown


def test_figures_are_read_by_people() -> None:
    assert (cell("traffic", 0.05), cell("usd", 1234.5), cell("usd", 0.0002), cell("n", 3.0)) == (
        "5%",
        "1,234.50",
        "< 0.01",
        "3",
    )
    assert (cell("name", "Zürich"), cell("x", None), cell("x", [])) == ("Zürich", "-", "-")


def test_times_are_local_on_a_screen_and_whole_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    at = "2026-11-26T12:31:40.123456Z"
    assert cell("due_at", at) == at
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert cell("due_at", at).startswith("2026-11-2")
    assert len(cell("due_at", at)) == 16
    assert cell("due_at", "never") == "never"

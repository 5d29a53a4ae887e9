"""A process of a build sees no secrets of its caller, its limits hold, and whatever it says is no more than its own steps."""

import json
from pathlib import Path

import pytest

from model_server.build.report import Report
from model_server.build.stages import Stages
from model_server.refusals import Refused
from model_server.sandbox import environment, identity
from model_server.sandbox.isolation import Outcome, run_isolated
from model_server.sandbox.limits import Limits
from model_server.sandbox.protections import BEST_EFFORT, REQUIRED, Missing, Sealed


def test_secrets_of_the_caller_are_not_in_the_childs_environment(tmp_path: Path) -> None:
    kept = environment.clean({"MLOPS_DATABASE_URL": "postgresql://secret", "LD_PRELOAD": "x", "TZ": "UTC"}, tmp_path)
    assert not {name for name in kept if name.startswith(("MLOPS", "LD_"))}
    assert kept["HOME"] == kept["TMPDIR"] == str(tmp_path)


def test_child_that_dies_at_once_is_an_outcome_not_an_error(tmp_path: Path) -> None:
    outcome = run_isolated("model_server.build.worker", {"readable": []}, tmp_path, Limits(timeout_seconds=30))
    assert outcome.ended == "crashed"
    assert [event["event"] for event in outcome.events] == ["sealed"]
    assert "KeyError" in outcome.detail


def _taken(stage: str, *events: dict[str, object]) -> Report:
    report = Report()
    stages = Stages(Path("/nowhere"), report, Limits(), BEST_EFFORT)
    with pytest.raises(Refused):
        stages._taken(stage, Outcome([dict(event) for event in events], "crashed", ""))  # type: ignore[arg-type]
    return report


def test_a_model_cannot_report_steps_of_others_nor_one_twice() -> None:
    step = {"event": "step", "step": {"name": "scan", "status": "passed", "detail": "all is well"}}
    load = {"event": "step", "step": {"name": "load", "status": "passed", "measured_by": "platform", "seconds": "x"}}
    report = _taken("model", step, load, load, {"event": "described", "content": {}})
    assert [(found["name"], found["measured_by"]) for found in report.steps] == [
        ("load", "model"),
        ("schema", "platform"),
    ]
    assert report.steps[0]["seconds"] == 0.0


@pytest.mark.parametrize(
    "said", [{}, {"event": "step"}, {"event": "step", "step": []}, {"event": "refused", "code": "../x"}]
)
def test_nonsense_is_no_error_of_ours(said: dict[str, object]) -> None:
    content = json.dumps(said).encode()
    from model_server.sandbox.isolation import _events

    report = _taken("model", *_events(content + b"\n" + b'{"event": "step", "step": NaN}\n[[[['))
    assert all(step["name"] == "load" for step in report.steps)


def test_a_missing_protection_refuses_where_it_is_required_and_a_misspelt_mode_counts_as_required() -> None:
    sealed = Sealed({}, (Missing("files", "Landlock is not there"),))
    sealed.demand(BEST_EFFORT)
    for mode in (REQUIRED, "Required", ""):
        with pytest.raises(Refused, match="Landlock is not there") as refused:
            sealed.demand(mode)
        assert refused.value.code == "not_confined"
    Sealed({}, (Missing("own user", "only root can"),)).demand(REQUIRED)


def test_a_user_id_is_taken_only_where_the_container_has_it() -> None:
    whole, rootless = "         0          0 4294967295\n", "0 1000 1\n1 100000 65536\n"
    assert identity.is_mapped(whole, 1_879_048_192 + 77)
    assert not identity.is_mapped(rootless, 1_879_048_192 + 77)
    assert identity.is_mapped(rootless, 65_534)
    assert not identity.is_mapped("", 0)

"""`mlops status` knows every model's process; a file that cannot be read hides no other model."""

import json
from pathlib import Path

from mlops_platform.local.model_processes import ModelProcess, model_processes


def test_models_are_listed_by_name_and_one_bad_file_hides_no_other(tmp_path: Path) -> None:
    for folder in ("specs", "status"):
        (tmp_path / folder).mkdir()
    for revision, name in (("r1", "zebra"), ("r2", "churn"), ("r3", "no-status-yet"), ("r4", "torn")):
        (tmp_path / "specs" / f"{revision}.json").write_text(json.dumps({"model_name": name, "version": 3}))
        if revision != "r3":
            said = {"state": "ready", "pid": 7, "process_started": 1.5, "restarts": 0}
            (tmp_path / "status" / f"{revision}.json").write_text(json.dumps(said))
    (tmp_path / "status" / "r4.json").write_text('{"state": "rea')
    (tmp_path / "specs" / "r5.json").write_text("[]")
    found = model_processes(tmp_path)
    assert found == [ModelProcess(name, "ready", 7, 1.5, 0) for name in ("churn:3", "zebra:3")]
    assert model_processes(tmp_path / "nowhere") == []

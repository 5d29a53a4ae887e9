"""Write docs/reference/estimators.md: every estimator of scikit-learn that predicts, built and served and compared.

Takes about ten minutes. What was found is kept in .estimators.jsonl as it comes: interrupted, it goes on where it was, as
long as scikit-learn stays the same.
"""

import json
import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import sklearn

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "platform-api"))

from tests.estimators.outcome import Outcome, names, outcome  # noqa: E402 - found by the line above

PAGE = ROOT / "docs" / "reference" / "estimators.md"
_KEPT = ROOT / ".estimators.jsonl"
_PROCESSES = min(4, os.cpu_count() or 1)
_WORDS = {"served": "served, equal", "refused": "refused", "differs": "**differs**", "unfit": "does not fit a table"}


def main() -> None:
    """Find out what is not known yet, say how far it is, and write the page."""
    found = _known()
    left = [name for name in names() if name not in found]
    with ProcessPoolExecutor(_PROCESSES) as pool, _KEPT.open("a") as kept:
        asked = {pool.submit(_one, name): name for name in left}
        for done in as_completed(asked):
            name = asked[done]
            found[name] = done.result()
            kept.write(json.dumps({"sklearn": sklearn.__version__, "name": name, "outcome": found[name]}) + "\n")
            kept.flush()
            sys.stdout.write(f"{len(found)} of {len(names())}: {name}: {found[name].state} {found[name].says}\n")
    PAGE.write_text(page(found))
    sys.stdout.write(f"written: {PAGE.relative_to(ROOT)}\n")


def page(found: dict[str, Outcome]) -> str:
    """Return the page's text."""
    fitted = {name: result for name, result in found.items() if result.state != "unfit"}
    served = sum(result.state == "served" for result in fitted.values())
    lines = [
        "# Estimators",
        "",
        "<!-- written by docs/estimators.py -->",
        "",
        f"Every estimator of scikit-learn {sklearn.__version__} that predicts, fitted to a small table of numbers, logged with MLflow, built,",
        f"served, and held against its own answers: **{served} of {len(fitted)}** are served and equal. `make test-all` repeats it.",
        "Transformers alone predict nothing: log them in a pipeline with what does. What guesses (DummyClassifier) has a `random_state`:",
        "without one it answers otherwise at every call, here as anywhere.",
        "",
        "| estimator | outcome | engine | answers, or why not |",
        "|---|---|---|---|",
    ]
    for name, result in sorted(found.items()):
        says = result.says.replace("|", "\\|").replace("\n", " ")
        lines.append(f"| {name} | {_WORDS[result.state]} | {result.engine} | {says} |")
    return "\n".join(lines) + "\n"


def _one(name: str) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="estimator-") as folder:
        return outcome(name, Path(folder))


def _known() -> dict[str, Outcome]:
    if not _KEPT.exists():
        return {}
    entries = [json.loads(line) for line in _KEPT.read_text().splitlines()]
    return {entry["name"]: Outcome(*entry["outcome"]) for entry in entries if entry["sklearn"] == sklearn.__version__}


if __name__ == "__main__":
    main()

"""Files that a witness keeps, and what they say about the log: for `mlops audit verify --against` and `check-proof`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_platform.cli.api import call
from mlops_platform.cli.exits import CommandFailed, Exit

if TYPE_CHECKING:
    from mlops_platform.audit.heads import SignedHead


def read(file: Path) -> dict[str, Any]:
    """Return the JSON object of a file. Raises CommandFailed."""
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise CommandFailed(
            Exit.USAGE, f"{file} cannot be read as JSON", "make it with `mlops audit head > FILE`"
        ) from error
    if not isinstance(found, dict):
        raise CommandFailed(Exit.USAGE, f"{file} holds no JSON object", "make it with `mlops audit head > FILE`")
    return found


def head_of(kept: dict[str, Any]) -> "SignedHead":
    """Return the head that a kept file holds. Raises CommandFailed when it is none, or its own key did not sign it."""
    from mlops_platform.audit.witness import NotAProof, kept_head

    try:
        return kept_head(kept)[0]
    except NotAProof as error:
        raise CommandFailed(Exit.USAGE, str(error), "take the file that `mlops audit head` wrote, unchanged") from error


def compare(result: dict[str, Any], kept: dict[str, Any]) -> None:
    """Add to a result what a kept head says about the log: the platform proves, this machine checks. Raises CommandFailed."""
    size = head_of(kept).size
    result["witness"], result["limits"] = "head", []
    if result["events"] < size:
        sentences = [f"the log has {result['events']} events, the head that was kept elsewhere has {size}: it was cut"]
    else:
        sentences = _continued(kept, size)
    result["problems"] += [{"kind": "witness", "seq": size, "sentence": sentence} for sentence in sentences]
    result["intact"] = result["intact"] and not sentences


def check(proof: dict[str, Any], kept: dict[str, Any]) -> list[str]:
    """Return why a proof does not hold for a kept head. Raises CommandFailed for files that are neither."""
    from mlops_platform.audit.witness import NotAProof, consistency_problems, inclusion_problems, kept_head

    judge = inclusion_problems if proof.get("kind") == "inclusion" else consistency_problems
    try:
        return judge(kept_head(kept), proof)
    except NotAProof as error:
        raise CommandFailed(
            Exit.USAGE, str(error), "take the files that the platform gave, unchanged (`mlops audit prove`, `head`)"
        ) from error


def _continued(kept: dict[str, Any], size: int) -> list[str]:
    try:
        proof = call("GET", "/api/v1/audit/proofs/consistency", params={"first": size})
    except CommandFailed as failed:
        if failed.problem is None or failed.problem.get("status") != 404:  # noqa: PLR2004 - not found
            raise
        return [f"the platform cannot prove that the log continues the kept head: {failed.sentence}"]
    return check(proof, kept)

"""Policy documents (IAM, resource and trust policies) as sets that can be compared. Pure."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# where each type keeps policy documents
POLICY_FIELDS: dict[str, tuple[str, ...]] = {
    "aws_dynamodb_resource_policy": ("policy",),
    "aws_ecr_repository_policy": ("policy",),
    "aws_iam_group_policy": ("policy",),
    "aws_iam_policy": ("policy",),
    "aws_iam_role": ("assume_role_policy",),
    "aws_iam_role_policy": ("policy",),
    "aws_iam_user_policy": ("policy",),
    "aws_kms_key": ("policy",),
    "aws_kms_key_policy": ("policy",),
    "aws_lambda_permission": (),
    "aws_s3_bucket_policy": ("policy",),
    "aws_secretsmanager_secret_policy": ("policy",),
    "aws_sns_topic_policy": ("policy",),
    "aws_sqs_queue_policy": ("policy",),
    "aws_vpc_endpoint": ("policy",),
}


@dataclass(frozen=True)
class Grant:
    """One thing a statement allows: an action on a resource, to a principal, under conditions."""

    action: str
    resource: str
    principal: str
    condition: str


class BadPolicy(ValueError):
    """The text is not a policy document."""


def grants(document: str | None) -> frozenset[Grant]:
    """Return everything a document allows; `Deny` only takes away and is not part. Raises BadPolicy."""
    if not document:
        return frozenset()
    try:
        statements = json.loads(document)["Statement"]
    except (ValueError, KeyError, TypeError) as error:
        raise BadPolicy("the policy is not JSON with statements") from error
    return frozenset(
        Grant(action, resource, principal, json.dumps(statement.get("Condition") or {}, sort_keys=True))
        for statement in _list(statement_or_list=statements)
        if statement.get("Effect") == "Allow"
        for action in _actions(statement)
        for resource in _list(statement.get("Resource", statement.get("NotResource", "")))
        for principal in _principals(statement)
    )


def denials(document: str | None) -> frozenset[str]:
    """Return the deny statements as text. Raises BadPolicy."""
    if not document:
        return frozenset()
    try:
        statements = json.loads(document)["Statement"]
    except (ValueError, KeyError, TypeError) as error:
        raise BadPolicy("the policy is not JSON with statements") from error
    return frozenset(
        json.dumps({name: part for name, part in statement.items() if name != "Sid"}, sort_keys=True)
        for statement in _list(statements)
        if statement.get("Effect") == "Deny"
    )


def _actions(statement: dict[str, Any]) -> list[str]:
    # everything but some is everything, for whoever looks at risks
    return ["*"] if "NotAction" in statement else [str(action) for action in _list(statement.get("Action", ()))]


def _principals(statement: dict[str, Any]) -> Iterator[str]:
    if "NotPrincipal" in statement:
        yield "*"
        return
    match statement.get("Principal"):
        case None:
            yield ""
        case str() as one:
            yield one
        case dict() as kinds:
            for kind, names in kinds.items():
                for name in _list(names):
                    yield "*" if name == "*" else f"{kind}:{name}"


def _list(statement_or_list: Any) -> list[Any]:
    return list(statement_or_list) if isinstance(statement_or_list, list | tuple) else [statement_or_list]

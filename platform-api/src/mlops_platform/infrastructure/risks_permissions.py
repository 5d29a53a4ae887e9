"""Does anybody get rights nobody had before? Pure."""

from collections.abc import Iterator

from mlops_platform.infrastructure.dangers import Danger, Risk
from mlops_platform.infrastructure.plan import Change
from mlops_platform.infrastructure.policies import POLICY_FIELDS, BadPolicy, Grant, denials, grants

# managed policies that give (nearly) everything
MIGHTY = ("AdministratorAccess", "PowerUserAccess", "IAMFullAccess")
_CLUSTER_ADMIN = ("AmazonEKSClusterAdminPolicy", "AmazonEKSAdminPolicy")
# one of these on every resource is a way to every other right
LADDERS = frozenset(
    {"iam:PassRole", "sts:AssumeRole", "iam:AttachRolePolicy", "iam:PutRolePolicy", "iam:CreateAccessKey"}
)
# an action like `s3:*` is the whole service; `kms:ReEncrypt*` names a family and is only a risk on every resource
_EVERYTHING = "*"


def of(change: Change) -> Iterator[Risk]:
    """Yield the rights a change adds that are wide, or that go to somebody new."""
    if change.deletes or change.forgets:
        yield from _lost_denials(change, frozenset())
        return
    yield from _attached(change)
    for name in POLICY_FIELDS.get(change.type, ()):
        before, after = change.before.get(name), change.after.get(name)
        if change.unknown.get(name) is True:
            if not change.creates:
                yield Risk(Danger.UNREADABLE, change.address, f"its {name} is only known after apply; read it then")
            continue
        try:
            old, new = grants(before), grants(after)
        except BadPolicy as error:
            yield Risk(Danger.UNREADABLE, change.address, f"{name}: {error}")
            continue
        yield from _wider(change, old, new)
        yield from _lost_denials(change, denials(after))


def _wider(change: Change, old: frozenset[Grant], new: frozenset[Grant]) -> Iterator[Risk]:
    added = new - old
    own_root = {grant.principal for grant in new if grant.principal.endswith(":root")}
    wide = {
        (grant.action, grant.resource)
        for grant in added
        # a key's policy gives its own account the key; IAM then decides, which is how keys work
        if _is_wide(grant) and not (change.type.startswith("aws_kms_key") and grant.principal in own_root)
        if not any(other.action == grant.action and other.resource == grant.resource for other in old)
    }
    for action, resource in sorted(wide):
        yield Risk(Danger.PERMISSIONS, change.address, f"allows {action} on {resource or 'itself'}")
    if change.creates:
        return
    everywhere = {grant.action for grant in added if grant.resource == _EVERYTHING} - {action for action, _ in wide}
    for action in sorted(everywhere & {grant.action for grant in old if grant.resource != _EVERYTHING}):
        yield Risk(Danger.PERMISSIONS, change.address, f"{action} now reaches every resource")
    known = {grant.principal for grant in old}
    for principal in sorted({grant.principal for grant in added} - known - {"", "*"}):
        yield Risk(Danger.PERMISSIONS, change.address, f"{principal} is let in")
    # the same rights under fewer conditions
    conditions = {(grant.action, grant.resource, grant.principal): grant.condition for grant in old}
    for grant in sorted(added, key=str):
        if conditions.get((grant.action, grant.resource, grant.principal), "{}") != "{}" and grant.condition == "{}":
            yield Risk(Danger.PERMISSIONS, change.address, f"{grant.action} no longer depends on a condition")


def _is_wide(grant: Grant) -> bool:
    if grant.action == _EVERYTHING or grant.action.endswith(":*"):
        return True
    if grant.resource != _EVERYTHING:
        return False
    return grant.action in LADDERS or ("*" in grant.action and grant.condition == "{}")


def _lost_denials(change: Change, kept: frozenset[str]) -> Iterator[Risk]:
    for name in POLICY_FIELDS.get(change.type, ()):
        if change.type == "aws_iam_role":
            continue
        lost = denials(change.before.get(name)) - kept
        if lost:
            yield Risk(
                Danger.PERMISSIONS,
                change.address,
                f"{len(lost)} deny statement{'s' if len(lost) > 1 else ''} taken away or changed",
            )


def _attached(change: Change) -> Iterator[Risk]:
    arn = str(change.after.get("policy_arn") or "")
    was = str(change.before.get("policy_arn") or "")
    if change.type.endswith("policy_attachment") and arn.endswith(MIGHTY) and arn != was:
        yield Risk(Danger.PERMISSIONS, change.address, f"{arn.rsplit('/', 1)[-1]} is attached")
    if change.type == "aws_eks_access_policy_association" and arn.endswith(_CLUSTER_ADMIN) and arn != was:
        who = change.after.get("principal_arn") or "somebody known after apply"
        yield Risk(Danger.PERMISSIONS, change.address, f"{who} becomes administrator of the cluster")
    if change.type in {"aws_iam_access_key", "aws_iam_user_login_profile"} and change.creates:
        yield Risk(Danger.PERMISSIONS, change.address, "a long-lived credential is made")

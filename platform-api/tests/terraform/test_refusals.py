"""A broken input ends the plan with a sentence that says what to do; no account is asked for."""

import pytest

from .conftest import EmulatedAws
from .workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.external("terraform"), pytest.mark.timeout(900)]

TAINTED = 'taints=[{key="CriticalAddonsOnly",value="true",effect="NoSchedule"}]'
SYSTEM = f'system={{instance_types=["m5.large"],desired_size=3,{TAINTED}}}'

BROKEN = {
    "overlapping CIDR": (["vpc_cidr=10.1.0.0/16"], "overlaps 10.1.0.0/16"),
    "two zones in production": (
        ["environment=production", 'availability_zones=["us-east-1a","us-east-1b"]'],
        "Production needs three",
    ),
    "one NAT gateway in production": (["environment=production"], "NAT gateway per zone"),
    "unknown database class": (["rds_instance_class=db.enormous"], "unknown instance class"),
    "unknown node class": (
        ['node_groups={system={instance_types=["m5.huge"],desired_size=3,' + TAINTED + "}}"],
        "unknown instance class",
    ),
    "public endpoint to the world": (['public_access_cidrs=["0.0.0.0/0"]'], "open the API server to the world"),
    "GPU group without taint": (
        ["node_groups={" + SYSTEM + ',gpu={instance_types=["g4dn.xlarge"],desired_size=0,min_size=0}}'],
        "has GPUs but no taint",
    ),
    "VPC too small": (["vpc_cidr=10.0.0.0/24"], "between /16"),
    "environment nobody knows": (["environment=test"], "dev, staging or production"),
}


@pytest.fixture(scope="module")
def prepared(workspace: Workspace) -> Workspace:
    copy = workspace.folder / "environments" / "broken"
    if not copy.exists():
        copy.mkdir()
        for source in (workspace.folder / "environments" / "dev").iterdir():
            if source.is_file() and source.name != "backend.tf":
                (copy / source.name).write_bytes(source.read_bytes())
    workspace.init("environments/broken")
    return workspace


# terraform plans for seconds: three kinds of a check are enough before every change
_ALWAYS = {"unknown node class", "public endpoint to the world", "GPU group without taint"}


@pytest.mark.parametrize(
    "broken",
    [
        name if name in _ALWAYS else pytest.param(name, marks=pytest.mark.whole("another broken input of terraform"))
        for name in BROKEN
    ],
)
def test_a_broken_input_says_what_to_do(prepared: Workspace, aws: EmulatedAws, broken: str) -> None:
    given, sentence = BROKEN[broken]
    arguments = [part for setting in given for part in ("-var", setting)]
    planned = prepared.attempt("environments/broken", "plan", "-no-color", *arguments, extra=aws.variables)
    assert planned.returncode == 1
    assert sentence in " ".join(planned.stderr.replace("│", " ").split())


def test_a_missing_key_says_where_to_get_one(prepared: Workspace, aws: EmulatedAws) -> None:
    """No environment can leave a key out; a module used alone can."""
    prepared.init("modules/dynamodb")
    planned = prepared.attempt(
        "modules/dynamodb", "plan", "-no-color", "-var", "name=x", "-var", "kms_key_arn=", extra=aws.variables
    )
    assert planned.returncode == 1
    assert "The kms module makes one" in " ".join(planned.stderr.replace("│", " ").split())

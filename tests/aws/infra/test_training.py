"""Training in the cloud: off unless wanted, on spot machines that may be taken away, from an image that is pinned."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from aws.infra.template import ROOT, Node, resources, template, transformed, values
from training import cloud

PARAMETERS = template()["Parameters"]
CONDITIONAL = {name for name, found in template()["Resources"].items() if found.get("Condition") == "Trains"}
JOB: Node = template()["Resources"]["TrainingJob"]["Properties"]
DOCKERFILE = (ROOT / "training" / "Dockerfile").read_text()
FILLED = {
    "TrainingImage": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/eo-shards-training:1",
    "TrainingSubnets": ["subnet-0123456789abcdef0"],
    "TrainingSecurityGroups": ["sg-0123456789abcdef0"],
}
EMPTY = {"TrainingImage": "", "TrainingSubnets": [""], "TrainingSecurityGroups": [""]}


def holds(node: Any, given: Node) -> Any:
    """What CloudFormation makes of a rule's functions."""
    match node:
        case {"Ref": name}:
            return given[name]
        case {"Fn::Equals": [one, other]}:
            return holds(one, given) == holds(other, given)
        case {"Fn::Not": [one]}:
            return not holds(one, given)
        case {"Fn::Contains": [several, one]}:
            return holds(one, given) in holds(several, given)
    return node


def accepted(given: Node) -> bool:
    rule = template()["Rules"]["TrainingNeedsAPlace"]
    return not holds(rule["RuleCondition"], given) or all(holds(each["Assert"], given) for each in rule["Assertions"])


def test_nothing_of_it_is_deployed_unless_it_is_wanted() -> None:
    assert template()["Conditions"]["Trains"] == {"Fn::Equals": [{"Ref": "Training"}, "on"]}
    assert PARAMETERS["Training"]["Default"] == "off"
    of_batch = {name for name, found in template()["Resources"].items() if re.match("AWS::(Batch|EC2)", found["Type"])}
    assert of_batch <= CONDITIONAL
    assert {name for name in template()["Resources"] if name.startswith("Training")} == CONDITIONAL
    # What is always deployed names nothing that is not.
    for name, found in transformed()["Resources"].items():
        if found.get("Condition") != "Trains":
            assert not re.search(r"\bTraining[A-Z]", json.dumps(found)), name
    for found in template()["Outputs"].values():
        assert ("Training" in json.dumps(found)) <= (found.get("Condition") == "Trains")


def test_off_needs_nothing_and_on_needs_an_image_and_a_place() -> None:
    assert accepted({"Training": "off", **EMPTY})
    assert accepted({"Training": "on", **FILLED})
    for name, missing in EMPTY.items():
        assert not accepted({"Training": "on", **FILLED, name: missing}), name


@pytest.mark.parametrize(
    ("parameter", "value", "taken"),
    [
        ("TrainingImage", FILLED["TrainingImage"], True),
        ("TrainingImage", "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/team/training@sha256:" + 64 * "a", True),
        # What nobody has pinned, or somebody else may change.
        ("TrainingImage", "123456789012.dkr.ecr.eu-central-1.amazonaws.com/eo-shards-training", False),
        ("TrainingImage", "docker.io/library/python:3.11", False),
        ("TrainingSubnets", "subnet-0123abcd", True),
        ("TrainingSubnets", "vpc-0123456789abcdef0", False),
        ("TrainingSecurityGroups", "sg-0123456789abcdef0", True),
        ("TrainingSecurityGroups", "subnet-0123abcd", False),
    ],
)
def test_parameters_are_what_batch_takes(parameter: str, value: str, taken: bool) -> None:
    assert (re.fullmatch(PARAMETERS[parameter]["AllowedPattern"], value) is not None) == taken


def test_machines_are_spot_and_none_runs_without_a_job() -> None:
    made = template()["Resources"]["TrainingMachines"]["Properties"]["ComputeResources"]
    assert made["Type"] == "SPOT"
    assert made["MinvCpus"] == 0
    assert {kind.partition(".")[0] for kind in made["InstanceTypes"]} == {"g5", "g6"}
    assert "NVIDIA" in made["Ec2Configuration"][0]["ImageType"]
    # A strategy of Batch's newer kind; only with these a change of the environment keeps its name.
    assert made["AllocationStrategy"] == "SPOT_PRICE_CAPACITY_OPTIMIZED"


def test_disks_are_encrypted_and_the_machines_role_is_out_of_reach() -> None:
    launched = template()["Resources"]["TrainingLaunch"]["Properties"]["LaunchTemplateData"]
    assert launched["MetadataOptions"]["HttpTokens"] == "required"
    assert launched["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    assert all(disk["Ebs"]["Encrypted"] for disk in launched["BlockDeviceMappings"])


def test_an_interruption_is_told_and_tried_again_and_a_failure_is_not() -> None:
    user_data = template()["Resources"]["TrainingLaunch"]["Properties"]["LaunchTemplateData"]["UserData"]["Fn::Base64"]
    assert "ECS_ENABLE_SPOT_INSTANCE_DRAINING=true" in user_data
    [seconds] = map(int, re.findall(r"ECS_CONTAINER_STOP_TIMEOUT=(\d+)s", user_data))
    # To end the training, then to save: within what the container has, within the two minutes of a spot machine.
    assert cloud.PATIENCE * 1.5 < seconds < 120
    # https://docs.aws.amazon.com/batch/latest/userguide/spot_interruption.html
    first, *others = JOB["RetryStrategy"]["EvaluateOnExit"]
    assert first == {"Action": "RETRY", "OnStatusReason": "Host EC2*"}
    assert others == [{"Action": "EXIT", "OnReason": "*"}]
    assert 1 < JOB["RetryStrategy"]["Attempts"] <= 10


def test_a_disk_holds_bigearthnet_and_what_the_job_before_left_of_it() -> None:
    launched = template()["Resources"]["TrainingLaunch"]["Properties"]["LaunchTemplateData"]
    [disk] = launched["BlockDeviceMappings"]
    # GiB: system and image, then version 1 as Zarr, 590,326 patches of 125 kB, twice.
    assert disk["Ebs"]["VolumeSize"] > 30 + 2 * 590_326 * 125e3 / 2**30
    # Else it stays for three hours, in which others begin.
    assert "ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION=1m" in launched["UserData"]["Fn::Base64"]


def words_of_a_job(monkeypatch: pytest.MonkeyPatch, **parameters: str) -> list[str]:
    """As Batch makes them of the job definition and what an order says."""
    monkeypatch.setenv("AWS_BATCH_JOB_ID", "a7b1")
    said = {f"Ref::{name}": value for name, value in (JOB["Parameters"] | parameters).items()}
    return [
        {"DataBucket": "data-bucket"}[word["Ref"]] if isinstance(word, dict) else said.get(word, word)
        for word in JOB["ContainerProperties"]["Command"]
    ]


def test_the_job_says_what_the_command_of_the_image_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 'ENTRYPOINT ["python", "-m", "training.cloud"]' in DOCKERFILE
    words = words_of_a_job(monkeypatch)
    # Batch: "Command field cannot have empty strings". A placeholder without a default stays as it is.
    assert all(words)
    assert not [word for word in words if word.startswith("Ref::")]
    given = cloud._parsed(words)
    assert (given.bucket, given.model, given.run) == ("data-bucket", "atmosphere-field", "a7b1")
    assert (given.training, given.data, given.options) == (cloud.CORRECTION, None, ["--country", "NOR"])


def test_the_same_job_trains_land_cover_and_not_without_data(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the parameters that the command's own help says."""
    [order] = re.findall(r"--parameters '(\{.*?\})'", str(cloud.__doc__), re.DOTALL)
    told = json.loads(order)
    given = cloud._parsed(words_of_a_job(monkeypatch, **told))
    assert given.training.module == "training.land_cover"
    assert (given.model, given.data) == ("land-cover-resnet26", "bigearthnet.zarr")
    assert given.options == ["--architecture", "resnet26", "--workers", "4", "--precision", "bf16-mixed"]
    with pytest.raises(SystemExit):
        cloud._parsed(words_of_a_job(monkeypatch, model=told["model"]))
    assert "give --data NAME" in capsys.readouterr().err


def test_the_job_has_a_gpu_roles_of_its_own_and_a_log_that_ends() -> None:
    container = JOB["ContainerProperties"]
    assert {"Type": "GPU", "Value": "1"} in container["ResourceRequirements"]
    assert container["JobRoleArn"] == {"Fn::GetAtt": ["TrainingRole", "Arn"]}
    assert container["ExecutionRoleArn"] == {"Fn::GetAtt": ["TrainingStartRole", "Arn"]}
    assert not container.get("Privileged")
    log = container["LogConfiguration"]["Options"]["awslogs-group"]["Ref"]
    assert resources("AWS::Logs::LogGroup")[log]["Properties"]["RetentionInDays"] == {"Ref": "LogDays"}
    assert not [
        value for value in values(container) if isinstance(value, str) and re.search(r"(?i)secret|token", value)
    ]


def test_the_image_is_pinned_and_runs_as_nobody() -> None:
    [base] = re.findall(r"^FROM (\S+)$", DOCKERFILE, re.MULTILINE)
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", base)
    assert "--require-hashes" in DOCKERFILE
    assert re.search(r"^USER (?!root)\w+$", DOCKERFILE, re.MULTILINE)
    pinned = (ROOT / "training" / "requirements.txt").read_text()
    assert len(re.findall(r"^[a-z0-9.-]+==", pinned, re.MULTILINE)) == len(
        re.findall(r"^[a-z0-9]", pinned, re.MULTILINE)
    )
    assert not re.search(r"https?://", pinned)
    named = set(re.findall(r"^[a-z0-9-]+", (ROOT / "training" / "requirements.in").read_text(), re.MULTILINE))
    assert named <= set(re.findall(r"^([a-z0-9.-]+)==", pinned, re.MULTILINE))


def test_the_image_has_what_the_project_has_in_the_same_versions() -> None:
    """A model that the image publishes is refused by an older onnxruntime."""
    pin = re.compile(r"^([a-z0-9.-]+)==([^ ;\\]+)", re.MULTILINE)
    pinned = dict(pin.findall((ROOT / "training" / "requirements.txt").read_text()))
    compute = dict(pin.findall((ROOT / "layers" / "compute" / "requirements.txt").read_text()))
    for name in ("onnxruntime", "pydantic"):
        assert pinned[name] == compute[name], name

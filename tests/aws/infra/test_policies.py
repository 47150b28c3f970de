"""Who may do what: least privilege, told statement by statement."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from aws.infra.template import Node, as_list, functions, resources, statements, template, transformed

ANY_RESOURCE = {
    "xray:PutTraceSegments": "X-Ray has no resources to name",
    "xray:PutTelemetryRecords": "X-Ray has no resources to name",
    "xray:GetSamplingRules": "X-Ray has no resources to name",
    "xray:GetSamplingTargets": "X-Ray has no resources to name",
    "logs:CreateLogDelivery": "log deliveries cannot be named (Step Functions Developer Guide, Logging using CloudWatch Logs)",
    "logs:DeleteLogDelivery": "as above",
    "logs:DescribeLogGroups": "as above",
    "logs:DescribeResourcePolicies": "as above",
    "logs:GetLogDelivery": "as above",
    "logs:ListLogDeliveries": "as above",
    "logs:PutResourcePolicy": "as above",
    "logs:UpdateLogDelivery": "as above",
    "ecr:GetAuthorizationToken": "for the registry of the account (Service Authorization Reference, Amazon ECR)",
    "ecs:DiscoverPollEndpoint": "has no resource to name (Service Authorization Reference, Amazon ECS)",
}
"""Actions that may be allowed on "*", with the reason."""
WILDCARDS = {
    ":secret:${SecretName}-??????": "Secrets Manager ends the ARN with six characters of its own",
    ":execution:${AWS::StackName}-workflow:*": "one execution for each attempt at a job",
    ":execution:${AWS::StackName}-workflow/*": "the children of a distributed map",
    ":${HttpApi}/*": "all routes of this API may call its one function",
    ":cluster/*${AWS::StackName}-training*": "Batch makes the cluster, and adds to the environment's name",
    ":container-instance/*": "of that cluster, by the statement's condition or as its machines register",
    ":repository/*": "the parameter names an image, not its repository",
}
"""How ARNs with wildcards may end, with the reason. Those of the data bucket are listed in REACH."""
REACH: dict[str, dict[str, set[str]]] = {
    "PlanRole": {
        "s3:GetObject": {"jobs/*", "scratch/*", "incoming/*", "leases/*"},
        "s3:PutObject": {"jobs/*/plan.json", "jobs/*/status.json", "jobs/*/units/*", "scratch/*", "leases/*"},
    },
    **{
        role: {
            "s3:GetObject": {"jobs/*", "scratch/*", "incoming/*", "leases/*"},
            "s3:PutObject": {"scratch/*", "leases/*"},
            "s3:AbortMultipartUpload": {"scratch/*"},
        }
        for role in ("FetchRole", "FetchCdseRole")
    },
    **{
        role: {
            "s3:GetObject": {"jobs/*", "scratch/*"},
            "s3:PutObject": {"scratch/*"},
        }
        for role in ("PointCloudRole", "AtmosphericCorrectionRole", "LandCoverRole")
    },
    "MergeRole": {
        "s3:GetObject": {"jobs/*", "scratch/*"},
        **{
            action: {"jobs/*/result.json", "jobs/*/result/*", "jobs/*/status.json", "scratch/*"}
            for action in ("s3:PutObject", "s3:AbortMultipartUpload")
        },
        "s3:DeleteObject": {"scratch/*/joined/*"},
    },
    "ApiRole": {
        "s3:GetObject": {"jobs/*", "owners/*"},
        "s3:PutObject": {"jobs/*/request.json", "jobs/*/status.json", "owners/*"},
    },
    "UploadRole": {
        "s3:GetObject": {"jobs/*", "owners/*", "incoming/*"},
        "s3:PutObject": {
            *("jobs/*/request.json", "jobs/*/status.json", "owners/*"),
            *("incoming/*.error.json", "incoming/*.job.json"),
        },
        "s3:DeleteObject": {"incoming/*.error.json", "incoming/*.job.json"},
    },
    "WorkflowRole": {"s3:GetObject": {"jobs/*/units/*"}},
    "TrainingRole": {
        "s3:GetObject": {"training/data/*", "training/runs/*"},
        "s3:PutObject": {"training/runs/*", "models/*"},
        "s3:AbortMultipartUpload": {"training/runs/*", "models/*"},
    },
    "TrainingStartRole": {},
    "TrainingInstanceRole": {},
}
"""Objects of the data bucket that each role may touch."""
ALLOWED = [(name, statement) for name, statement in statements() if statement["Effect"] == "Allow"]


def actions(role: str) -> set[str]:
    return {action for name, statement in ALLOWED if name == role for action in as_list(statement["Action"])}


def spelled(resource: Any) -> str:
    """An ARN as the template has it."""
    if isinstance(resource, str):
        return resource
    return str(resource.get("Fn::Sub") or resource.get("Fn::GetAtt") or resource)


@pytest.mark.parametrize(
    ("name", "statement"), ALLOWED, ids=lambda value: value if isinstance(value, str) else value.get("Sid", "trust")
)
def test_nothing_is_allowed_without_a_name_unless_there_is_a_reason(name: str, statement: Node) -> None:
    for action in as_list(statement["Action"]):
        assert "*" not in action, f"{name} allows {action}"
        for resource in as_list(statement.get("Resource", [])):
            if resource == "*":
                assert action in ANY_RESOURCE, f"{name} allows {action} on everything"
            elif "*" in spelled(resource) or "?" in spelled(resource):
                known = [ending for ending in WILDCARDS if spelled(resource).endswith(ending)]
                assert known or spelled(resource).startswith("${DataBucket.Arn}/"), f"{name}: {spelled(resource)}"
    assert statement.get("Principal") != "*", f"{name} lets in everyone"


@pytest.mark.parametrize("role", REACH)
def test_a_role_touches_only_the_objects_that_its_work_needs(role: str) -> None:
    reach: dict[str, set[str]] = {}
    for name, statement in ALLOWED:
        for resource in as_list(statement.get("Resource", [])) if name == role else []:
            if spelled(resource).startswith("${DataBucket.Arn}/"):
                for action in as_list(statement["Action"]):
                    reach.setdefault(action, set()).add(spelled(resource).removeprefix("${DataBucket.Arn}/"))
    assert reach == REACH[role]


def test_every_role_is_told_here() -> None:
    assert set(resources("AWS::IAM::Role")) == set(REACH)


def test_no_role_takes_a_policy_of_somebody_else() -> None:
    assert not any("ManagedPolicyArns" in found["Properties"] for found in resources("AWS::IAM::Role").values())
    assert not any("Policies" in found for found in functions().values())


def test_no_two_functions_share_a_role_and_only_lambda_may_take_it() -> None:
    roles = [found["Role"]["Fn::GetAtt"][0] for found in functions().values()]
    assert len(set(roles)) == len(roles)
    for role in roles:
        [trust] = resources("AWS::IAM::Role")[role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Principal"] == {"Service": "lambda.amazonaws.com"}


def test_an_absent_object_is_told_from_a_forbidden_one() -> None:
    """S3 answers 403 instead of 404 to who may not list; what s3:prefix is then is not documented, so it may be missing."""
    for role in {role for role, reach in REACH.items() if reach} - {"WorkflowRole"}:
        [listing] = [
            statement for name, statement in ALLOWED if name == role and statement["Action"] == "s3:ListBucket"
        ]
        assert set(listing["Condition"]) == {"StringLikeIfExists"}
        read = {key.partition("/")[0] for key in REACH[role]["s3:GetObject"]}
        assert read <= {prefix.partition("/")[0] for prefix in listing["Condition"]["StringLikeIfExists"]["s3:prefix"]}


def test_who_trains_reaches_no_job_and_is_no_machine() -> None:
    """Code of a training runs in a container: neither the machine's role nor that which starts it is its own."""
    allowed = {action.partition(":")[0] for action in actions("TrainingRole")}
    assert allowed == {"s3", "sts"}
    for role in ("TrainingRole", "TrainingStartRole", "TrainingInstanceRole"):
        assert not {action for action in actions(role) if action.startswith(("iam:", "lambda:", "states:"))}
        assert resources("AWS::IAM::Role")[role]["Condition"] == "Trains"
    assert not {action for action in actions("TrainingInstanceRole") if action.startswith(("s3:", "ecr:", "logs:"))}


def test_secrets_are_read_only_by_who_reaches_sources() -> None:
    readers = {role for role in REACH if "secretsmanager:GetSecretValue" in actions(role)}
    assert readers == {"PlanRole", "FetchRole", "FetchCdseRole"}


def test_only_who_takes_orders_starts_jobs_and_only_the_api_stops_them() -> None:
    assert {role for role in REACH if "states:StartExecution" in actions(role)} == {
        "ApiRole",
        "UploadRole",
        "WorkflowRole",
    }
    assert {role for role in REACH if "states:StopExecution" in actions(role)} == {"ApiRole", "WorkflowRole"}


def test_who_takes_orders_may_look_what_became_of_earlier_ones() -> None:
    """An order for a job that is there settles it first, by its execution."""
    arn = ":execution:${AWS::StackName}-workflow:*"
    for role in ("ApiRole", "UploadRole"):
        [watch] = [found for name, found in ALLOWED if name == role and found.get("Sid") == "Watch"]
        assert "states:DescribeExecution" in as_list(watch["Action"])
        assert spelled(watch["Resource"]).endswith(arn)


def test_the_workflow_calls_the_functions_that_plan_do_units_and_merge_and_no_others() -> None:
    """By name: a pattern would take in those of another stack whose name begins with this one's."""
    [calls] = [found for name, found in ALLOWED if name == "WorkflowRole" and found.get("Sid") == "Functions"]
    called = {resource["Fn::GetAtt"][0] for resource in calls["Resource"]}
    assert called == set(functions()) - {"ApiFunction", "UploadFunction"}


def test_nobody_who_reads_sources_deletes_anything() -> None:
    """Work that is begun afresh lies elsewhere, and leases change hands by conditional writes."""
    assert {role for role in REACH if "s3:DeleteObject" in actions(role)} == {"MergeRole", "UploadRole"}


def test_nothing_travels_in_the_clear() -> None:
    denied = [(name, statement) for name, statement in statements() if statement["Effect"] == "Deny"]
    clear = {name for name, found in denied if found["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}}
    assert clear == {"DataBucketPolicy", "UploadFailuresPolicy", "UntoldFailuresPolicy", "AlarmsPolicy"}
    for _, statement in denied:
        assert statement["Principal"] == "*"


def test_only_its_own_api_may_call_a_function() -> None:
    [permission] = resources("AWS::Lambda::Permission").values()
    assert permission["Properties"]["SourceArn"]["Fn::Sub"].endswith(":${HttpApi}/*")


@pytest.mark.parametrize(
    ("function", "rule", "queue"),
    [
        ("UploadFunction", "UploadFunctionUploaded", "UploadFailures"),
        ("MergeFunction", "MergeFunctionEnded", "UntoldFailures"),
    ],
)
def test_only_its_own_rule_may_call_a_function_and_fill_its_queue(function: str, rule: str, queue: str) -> None:
    made = transformed()["Resources"]
    arn = {"Fn::GetAtt": [rule, "Arn"]}
    assert made[rule]["Type"] == "AWS::Events::Rule"
    permission = made[f"{rule}Permission"]["Properties"]
    assert (permission["Principal"], permission["SourceArn"]) == ("events.amazonaws.com", arn)
    assert permission["FunctionName"] == {"Ref": function}
    [fills] = [found for name, found in ALLOWED if name == f"{queue}Policy"]
    assert fills["Condition"] == {"ArnEquals": {"aws:SourceArn": arn}}
    # What was called and failed is put there by the function's own role.
    role = functions()[function]["Role"]["Fn::GetAtt"][0]
    [sends] = [found for name, found in ALLOWED if name == role and found["Action"] == "sqs:SendMessage"]
    assert sends["Resource"] == {"Fn::GetAtt": [queue, "Arn"]}


def test_all_that_keeps_data_is_encrypted_at_rest() -> None:
    kept = {"AWS::S3::Bucket": "BucketEncryption", "AWS::SQS::Queue": "SqsManagedSseEnabled"}
    for kind, setting in kept.items():
        for name, found in resources(kind).items():
            assert found["Properties"].get(setting), f"{name} is not encrypted"
    # Log groups are encrypted by the service. A topic's messages are not kept, and an alarm's name is no secret: with the
    # service's own key CloudWatch could not publish.
    others = {found["Type"] for found in template()["Resources"].values()} & {
        "AWS::DynamoDB::Table",
        "AWS::Kinesis::Stream",
    }
    assert not others
    assert not re.search(r"(?i)public-read|AllUsers", json.dumps(template()["Resources"]))

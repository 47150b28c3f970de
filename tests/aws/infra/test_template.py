"""What is deployed: constrained parameters, a private bucket, and functions that each have their own log, limits and traces."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib

import pytest

import registry
from aws.infra.template import ROOT, Node, as_list, functions, resources, sam, template, transformed, values

PARAMETERS = template()["Parameters"]
FUNCTIONS = functions()
SECRET_READERS = {"PlanFunction", "FetchFunction", "FetchCdseFunction"}
EVENT_SECONDS = 30
"""An HTTP API gives up after so many (https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html)."""


def test_sam_and_cfn_lint_find_nothing() -> None:
    validated = sam("sam", "validate", "--lint")
    assert validated.returncode == 0, validated.stdout + validated.stderr
    linted = sam("cfn-lint", "--template", "template.yaml", "--non-zero-exit-code", "informational")
    assert linted.returncode == 0, linted.stdout + linted.stderr


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_parameter_is_described_and_constrained(name: str) -> None:
    parameter = PARAMETERS[name]
    assert {"Type", "Default", "Description", "ConstraintDescription"} <= set(parameter)
    bounded = {"MinValue", "MaxValue"} if parameter["Type"] == "Number" else {"AllowedPattern"}
    assert "AllowedValues" in parameter or bounded <= set(parameter)
    if "AllowedPattern" in parameter:
        assert re.fullmatch(parameter["AllowedPattern"], parameter["Default"])
        assert re.fullmatch(parameter["AllowedPattern"], "no such\nvalue") is None
    if "AllowedValues" in parameter:
        assert parameter["Default"] in parameter["AllowedValues"]
    if "MinValue" in parameter:
        assert parameter["MinValue"] <= parameter["Default"] <= parameter["MaxValue"]


def test_every_parameter_is_used_and_stands_in_a_group_of_the_console() -> None:
    text = json.dumps({key: template()[key] for key in ("Resources", "Conditions", "Globals", "Rules")})
    used = {name for name in PARAMETERS if f'{{"Ref": "{name}"}}' in text or f"${{{name}}}" in text}
    assert used == set(PARAMETERS)
    interface = template()["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [name for group in interface["ParameterGroups"] for name in group["Parameters"]]
    assert sorted(grouped) == sorted(PARAMETERS)
    assert set(interface["ParameterLabels"]) == set(PARAMETERS)


def test_tokens_need_both_parameters() -> None:
    asserted = template()["Rules"]["TokensNeedBoth"]["Assertions"][0]["Assert"]
    empty = [{"Fn::Equals": [{"Ref": name}, ""]} for name in ("JwtIssuer", "JwtAudience")]
    assert asserted == {"Fn::Or": [{"Fn::And": empty}, {"Fn::And": [{"Fn::Not": [one]} for one in empty]}]}
    assert "TokensNeedBoth" in transformed()["Rules"]


def test_the_api_asks_for_signatures_unless_tokens_are_wanted() -> None:
    routes = {
        found["Properties"]["RouteKey"]: found["Properties"] for found in resources("AWS::ApiGatewayV2::Route").values()
    }
    assert routes.pop("$default")["AuthorizationType"] == {"Fn::If": ["TakesTokens", "JWT", "AWS_IAM"]}
    # Only a browser's question what it may send comes without credentials.
    assert {key: route["AuthorizationType"] for key, route in routes.items()} == {
        "OPTIONS /": "NONE",
        "OPTIONS /{proxy+}": "NONE",
    }
    stage = next(iter(resources("AWS::ApiGatewayV2::Stage").values()))["Properties"]
    assert json.loads(stage["AccessLogSettings"]["Format"])["status"] == "$context.status"
    assert {"ThrottlingBurstLimit", "ThrottlingRateLimit"} <= set(stage["DefaultRouteSettings"])


def test_the_bucket_is_private_encrypted_and_kept() -> None:
    bucket = template()["Resources"]["DataBucket"]
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("Retain", "Retain")
    properties = bucket["Properties"]
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(properties["PublicAccessBlockConfiguration"]) == 4
    rules = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rules[0]["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert properties["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]


def test_scratch_expires_after_the_longest_execution_and_unfinished_uploads_after_a_day() -> None:
    rules = {
        rule["Id"]: rule
        for rule in template()["Resources"]["DataBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    }
    assert rules["scratch"] == {
        "Id": "scratch",
        "Prefix": "scratch/",
        "Status": "Enabled",
        "ExpirationInDays": {"Ref": "ScratchDays"},
    }
    assert rules["unfinished-uploads"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    assert "Prefix" not in rules["unfinished-uploads"]
    workflow = json.loads((ROOT / "functions/workflow.asl.json").read_text())
    assert PARAMETERS["ScratchDays"]["MinValue"] * 86400 > workflow["TimeoutSeconds"]


def test_browsers_may_read_ranges_of_results() -> None:
    [rule] = template()["Resources"]["DataBucket"]["Properties"]["CorsConfiguration"]["CorsRules"]
    assert rule["AllowedMethods"] == ["GET", "HEAD"]
    assert {"Content-Range", "Content-Length", "ETag", "Accept-Ranges"} <= set(rule["ExposedHeaders"])
    assert rule["AllowedOrigins"] == {"Ref": "AllowedOrigins"}


def test_uploads_reach_their_function_by_way_of_eventbridge() -> None:
    bucket = template()["Resources"]["DataBucket"]["Properties"]
    assert bucket["NotificationConfiguration"] == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
    pattern = FUNCTIONS["UploadFunction"]["Events"]["Uploaded"]["Properties"]["Pattern"]
    assert pattern["detail"] == {
        "bucket": {"name": [{"Ref": "DataBucket"}]},
        "object": {"key": [{"prefix": "incoming/"}]},
    }


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_has_its_own_role_log_name_and_handler(name: str) -> None:
    function = FUNCTIONS[name]
    own = name.removesuffix("Function")
    assert function["Role"] == {"Fn::GetAtt": [f"{own}Role", "Arn"]}
    assert function["LoggingConfig"]["LogGroup"] == {"Ref": f"{own}Logs"}
    called = function["FunctionName"]["Fn::Sub"]
    assert called == "${AWS::StackName}-" + re.sub(r"(?<=[a-z])(?=[A-Z])", "-", own).lower()
    log = template()["Resources"][f"{own}Logs"]["Properties"]
    assert log["LogGroupName"]["Fn::Sub"] == f"/aws/lambda/{called}"
    module, _, attribute = function["Handler"].rpartition(".")
    assert attribute == "handler"
    assert importlib.util.find_spec(module) is not None, f"{module} is not there"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_has_limits_and_traces(name: str) -> None:
    function = FUNCTIONS[name]
    assert (function["Runtime"], function["Architectures"]) == ("python3.13", ["x86_64"])
    assert function["Tracing"] == "Active"
    assert 0 < function["Timeout"] <= 900
    assert function["MemorySize"] == {"Ref": "WorkerMemory"} or 128 <= function["MemorySize"] <= 3008
    assert len(function["Layers"]) == 1


def test_the_api_answers_before_its_gateway_gives_up() -> None:
    assert FUNCTIONS["ApiFunction"]["Timeout"] < EVENT_SECONDS
    [integration] = resources("AWS::ApiGatewayV2::Integration").values()
    assert integration["Properties"]["TimeoutInMillis"] >= FUNCTIONS["ApiFunction"]["Timeout"] * 1000


def test_connections_to_the_data_space_are_the_concurrency_of_one_function() -> None:
    limited = {
        name: found["ReservedConcurrentExecutions"]
        for name, found in FUNCTIONS.items()
        if "ReservedConcurrentExecutions" in found
    }
    wanted = {"Fn::If": ["ReservesConnections", {"Ref": "CdseConnections"}, {"Ref": "AWS::NoValue"}]}
    assert limited == {"FetchCdseFunction": wanted}
    assert FUNCTIONS["FetchCdseFunction"]["Handler"] == FUNCTIONS["FetchFunction"]["Handler"]


@pytest.mark.parametrize("identifier", registry.PROCESSES)
def test_every_stage_of_every_process_has_a_function(identifier: str) -> None:
    """The plan calls a stage's function by the package of its map."""
    process = registry.process(identifier)
    stages = process.stages(process.Inputs.model_validate({"bbox": [11.0, 46.0, 11.1, 46.1]}))
    packages = {found["Handler"].partition(".")[0] for found in FUNCTIONS.values()}
    assert {stage.map.partition(".")[0] for stage in stages} <= packages


@pytest.mark.parametrize("memory", PARAMETERS["WorkerMemory"]["AllowedValues"])
def test_plans_may_count_on_three_quarters_of_a_worker(memory: int) -> None:
    units = int(template()["Mappings"]["UnitMemory"][str(memory)]["Megabytes"]) * 1_000_000
    assert 0.7 < units / (memory * 1024 * 1024) < 0.8


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_secret_stands_in_an_environment_variable(name: str) -> None:
    variables: Node = FUNCTIONS[name]["Environment"]["Variables"]
    for variable, value in variables.items():
        # Names of things, numbers and a path. The secret is read by name, by those that need it.
        assert isinstance(value, str | int) or set(value) <= {"Ref", "Fn::FindInMap"}, variable
        assert not re.search(r"KEY|TOKEN|PASSWORD|CREDENTIAL", variable)
        assert "resolve:" not in json.dumps(value)
    assert ("EO_SHARDS_SECRET" in variables) == (name in SECRET_READERS)


def test_no_parameter_holds_a_secret() -> None:
    assert not [name for name in PARAMETERS if re.search(r"(?i)key|token|password", name)]
    assert "resolve:" not in json.dumps(template()["Resources"])


def test_every_log_is_kept_for_the_days_asked_for() -> None:
    for name, found in resources("AWS::Logs::LogGroup").items():
        assert found["Properties"]["RetentionInDays"] == {"Ref": "LogDays"}, name
    # One for each function, one for the workflow, one for the API's requests.
    assert len(resources("AWS::Logs::LogGroup")) == len(FUNCTIONS) + 2


def test_what_is_called_asynchronously_has_a_dead_letter_queue_twice() -> None:
    asynchronous = {name: found for name, found in FUNCTIONS.items() if "Events" in found}
    assert set(asynchronous) == {"UploadFunction"}
    queue = {"Fn::GetAtt": ["UploadFailures", "Arn"]}
    upload = asynchronous["UploadFunction"]
    assert upload["DeadLetterQueue"]["TargetArn"] == queue
    assert upload["Events"]["Uploaded"]["Properties"]["DeadLetterConfig"]["Arn"] == queue
    assert template()["Resources"]["UploadFailures"]["Properties"]["SqsManagedSseEnabled"] is True


def test_alarms_watch_failed_jobs_and_lost_uploads() -> None:
    alarms = resources("AWS::CloudWatch::Alarm")
    watched = {(found["Properties"]["Namespace"], found["Properties"]["MetricName"]) for found in alarms.values()}
    assert {
        ("AWS/States", "ExecutionsFailed"),
        ("AWS/States", "ExecutionsTimedOut"),
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible"),
    } <= watched
    for found in alarms.values():
        assert found["Properties"]["AlarmActions"]["Fn::If"][0] == "SendsAlarms"
        assert found["Properties"]["TreatMissingData"] == "notBreaching"


def test_the_dashboard_is_json() -> None:
    body = template()["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    widgets = json.loads(body)["widgets"]
    assert len(widgets) >= 6
    shown = set(re.findall(r"\$\{(\w+)Function\}", body))
    assert {f"{name}Function" for name in shown} == set(FUNCTIONS)


def test_nothing_depends_on_itself() -> None:
    """CloudFormation refuses cycles, and linters have passed some, so look at what SAM makes of the template."""
    made = transformed()["Resources"]
    needs = {name: _referred(found) & set(made) for name, found in made.items()}
    done: set[str] = set()
    while ready := {name for name, needed in needs.items() if name not in done and needed <= done}:
        done |= ready
    assert done == set(made), f"a cycle through {sorted(set(made) - done)}"


def test_a_cycle_would_be_found() -> None:
    assert _referred(
        {"a": [{"Fn::Sub": "x-${Bucket.Arn}/${Key}"}, {"Fn::GetAtt": ["Role", "Arn"]}], "DependsOn": "Queue"}
    ) == {*("Bucket", "Key", "Role", "Queue")}


def _referred(found: Node) -> set[str]:
    """Logical ids that a resource names."""
    names: set[str] = set(as_list(found.get("DependsOn", [])))
    for value in values(found):
        if not isinstance(value, dict):
            continue
        if "Ref" in value:
            names.add(value["Ref"])
        if "Fn::GetAtt" in value:
            names.add(as_list(value["Fn::GetAtt"])[0].partition(".")[0])
        if "Fn::Sub" in value:
            names |= {
                name.partition(".")[0] for name in re.findall(r"\$\{([^!}]+)\}", str(as_list(value["Fn::Sub"])[0]))
            }
    return names


def test_deploying_asks_for_no_more_than_roles() -> None:
    deploy = tomllib.loads((ROOT / "samconfig.toml").read_text())["default"]["deploy"]["parameters"]
    # Named roles would need CAPABILITY_NAMED_IAM; macros CAPABILITY_AUTO_EXPAND.
    assert deploy["capabilities"] == "CAPABILITY_IAM"
    assert not any("RoleName" in found["Properties"] for found in resources("AWS::IAM::Role").values())

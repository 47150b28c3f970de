"""What is deployed: constrained parameters, a private bucket, and functions that each have their own log, limits and traces."""

from __future__ import annotations

import importlib.util
import json
import logging
import re
import shlex
import subprocess
import tomllib
from typing import Any, get_args

import pytest

import registry
from aws.infra.template import ROOT, Node, as_list, functions, resources, sam, template, transformed, values
from eo.orders import ENDED
from eo.retry import Policy
from eo.settings import CDSE_CONNECTIONS, Settings

PARAMETERS = template()["Parameters"]
FUNCTIONS = functions()
SECRET_READERS = {"PlanFunction", "FetchFunction", "FetchCdseFunction"}
EXECUTION_SECONDS = json.loads((ROOT / "functions/workflow.asl.json").read_text())["TimeoutSeconds"]
"""How long a job may run."""
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
    assert {route["AuthorizationType"] for route in routes.values()} == {"NONE"}
    # A browser's question what it may send comes without credentials, and where tokens are taken so do its pages.
    pages = {"GET /", "GET /jobs/{job}/view", "GET /static/{name}"}
    assert set(routes) == {"OPTIONS /", "OPTIONS /{proxy+}"} | pages
    found = resources("AWS::ApiGatewayV2::Route").values()
    assert {one["Properties"]["RouteKey"] for one in found if one.get("Condition") == "TakesTokens"} == pages
    stage = next(iter(resources("AWS::ApiGatewayV2::Stage").values()))["Properties"]
    assert json.loads(stage["AccessLogSettings"]["Format"])["status"] == "$context.status"
    assert {"ThrottlingBurstLimit", "ThrottlingRateLimit"} <= set(stage["DefaultRouteSettings"])


def test_the_bucket_is_private_encrypted_and_kept() -> None:
    bucket = template()["Resources"]["DataBucket"]
    # A first deployment that fails leaves no bucket behind; https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-deletionpolicy.html
    kept = {"DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain"}
    assert kept.items() <= bucket.items()
    # What lies in it goes over TLS alone as long as it is there.
    assert kept.items() <= template()["Resources"]["DataBucketPolicy"].items()
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
    assert PARAMETERS["ScratchDays"]["MinValue"] * 86400 > EXECUTION_SECONDS


def test_uploads_stay_or_expire_after_the_longest_execution() -> None:
    """A job reads what was uploaded until its end."""
    [rule] = [
        rule
        for rule in template()["Resources"]["DataBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
        if rule["Id"] == "incoming"
    ]
    assert rule["Status"] == {"Fn::If": ["ExpiresIncoming", "Enabled", "Disabled"]}
    keeps, *days = PARAMETERS["IncomingDays"]["AllowedValues"]
    assert keeps == 0
    assert min(days) * 86400 > EXECUTION_SECONDS


def test_browsers_may_read_ranges_of_results() -> None:
    [rule] = template()["Resources"]["DataBucket"]["Properties"]["CorsConfiguration"]["CorsRules"]
    assert rule["AllowedMethods"] == ["GET", "HEAD"]
    assert {"Content-Range", "Content-Length", "ETag", "Accept-Ranges"} <= set(rule["ExposedHeaders"])
    assert rule["AllowedOrigins"] == {"Ref": "AllowedOrigins"}


@pytest.mark.parametrize(
    ("origin", "taken"),
    [
        # What the API takes: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html
        *((origin, True) for origin in ("*", "https://*", "http://*", "https://maps.example.org")),
        *(
            (origin, True)
            for origin in ("http://localhost:8080", "http://127.0.0.1:8080", "https://xn--bcher-kva.example")
        ),
        # S3 takes one * anywhere (https://docs.aws.amazon.com/AmazonS3/latest/userguide/ManageCorsUsing.html), the API not.
        *((origin, False) for origin in ("https://*.example.org", "https://maps.*", "http://localhost:*")),
        # What no browser sends: they write hosts in lower case and add no path.
        *((origin, False) for origin in ("https://Maps.example.org", "https://maps.example.org/", "maps.example.org")),
        *((origin, False) for origin in ("", "null", "https://", "https://maps..example.org", "ftp://example.org")),
    ],
)
def test_an_origin_is_one_that_the_api_and_the_bucket_both_understand(origin: str, taken: bool) -> None:
    assert (re.fullmatch(PARAMETERS["AllowedOrigins"]["AllowedPattern"], origin) is not None) == taken
    api = template()["Resources"]["HttpApi"]["Properties"]["CorsConfiguration"]
    assert api["AllowOrigins"] == {"Ref": "AllowedOrigins"}


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
    # Lambda takes five: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    libraries, *more = [layer["Ref"] for layer in function["Layers"]]
    assert libraries in {"GeoLayer", "ComputeLayer"}
    assert ("TablesLayer" in more) == (name == "MergeFunction")
    models = set(more) - {"TablesLayer"}
    assert models < {f"{name.removesuffix('Function')}ModelsLayer", "ModelCardsLayer"}
    assert models <= set(resources("AWS::Serverless::LayerVersion"))


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


@pytest.mark.parametrize("connections", range(PARAMETERS["CdseConnections"]["MaxValue"] + 1))
def test_who_reaches_sources_counts_on_the_connections_that_are_given(connections: int) -> None:
    """Without a reserve the leases limit them, to what an account has."""
    leases = int(template()["Mappings"]["Connections"][str(connections)]["Leases"])
    assert leases == (connections or CDSE_CONNECTIONS)
    for name, found in FUNCTIONS.items():
        given = found["Environment"]["Variables"].get("EO_SHARDS_CDSE_CONNECTIONS")
        wanted = {"Fn::FindInMap": ["Connections", {"Ref": "CdseConnections"}, "Leases"]}
        assert given == (wanted if name in SECRET_READERS else None)


def test_the_plan_knows_the_memory_that_units_are_billed_for() -> None:
    memory = FUNCTIONS["PlanFunction"]["Environment"]["Variables"]["EO_SHARDS_FUNCTION_MEMORY"]
    units = (
        "FetchFunction",
        "FetchCdseFunction",
        "PointCloudFunction",
        "AtmosphericCorrectionFunction",
        "LandCoverFunction",
    )
    assert {json.dumps(FUNCTIONS[name]["MemorySize"]) for name in units} == {json.dumps(memory)}


def test_a_request_gives_up_while_its_function_has_time_for_two_more() -> None:
    """What is killed is paid for and lost; what gives up is called again by the workflow, which waits for free."""
    variables = FUNCTIONS["FetchFunction"]["Environment"]["Variables"]
    settings = Settings.from_environment({name: str(value) for name, value in variables.items() if "RETRY" in name})
    policy = Policy.of(settings)
    # As long as it takes to connect, and to wait for an answer, at each attempt; and the longest Retry-After between them.
    longest = policy.attempts * 2 * settings.timeout + (policy.attempts - 1) * policy.max_delay * 1.1
    assert 3 * longest <= FUNCTIONS["FetchFunction"]["Timeout"]


@pytest.mark.parametrize("level", PARAMETERS["LogLevel"]["AllowedValues"])
def test_lambda_lets_every_message_through_that_the_functions_log(level: str) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_LoggingConfig.html"""
    known = {"TRACE": 5, "DEBUG": 10, "INFO": 20, "WARN": 30, "ERROR": 40, "FATAL": 50}
    assert known[template()["Mappings"]["LogLevels"][level]["Lambda"]] == logging.getLevelNamesMapping()[level]
    for found in FUNCTIONS.values():
        assert found["LoggingConfig"]["LogFormat"] == "JSON"
        mapped = {"Fn::FindInMap": ["LogLevels", {"Ref": "LogLevel"}, "Lambda"]}
        assert found["LoggingConfig"]["ApplicationLogLevel"] == mapped
        assert found["Environment"]["Variables"]["POWERTOOLS_LOG_LEVEL"] == {"Ref": "LogLevel"}


@pytest.mark.parametrize("identifier", registry.PROCESSES)
def test_every_stage_of_every_process_has_a_function(identifier: str) -> None:
    """The plan calls a stage's function by the package of its map."""
    process = registry.process(identifier)
    stages = process.stages(process.Inputs.model_validate({"bbox": [11.0, 46.0, 11.1, 46.1]}))
    packages = {found["Handler"].partition(".")[0] for found in FUNCTIONS.values()}
    assert {stage.map.partition(".")[0] for stage in stages} <= packages


@pytest.mark.parametrize("identifier", registry.PROCESSES)
def test_every_model_that_can_be_ordered_is_deployed_and_its_card_to_who_asks_for_it(identifier: str) -> None:
    """Which models there are is said by the type of the input or, where any may be named, by its default; layers/Makefile
    says which are packed."""
    field = registry.process(identifier).Inputs.model_fields.get("model")
    offered = set(get_args(field.annotation)) | {field.default} if field is not None else set()
    whole = {name for name in resources("AWS::Serverless::LayerVersion") if name.endswith("ModelsLayer")}
    assert offered <= {model for layer in whole for model in packed(layer)}
    assert offered <= packed("ModelCardsLayer")


def test_models_are_where_they_run_and_cards_where_they_are_read() -> None:
    layers = {name: {layer["Ref"] for layer in found["Layers"]} for name, found in FUNCTIONS.items()}
    for layer in (name for name in resources("AWS::Serverless::LayerVersion") if name.endswith("ModelsLayer")):
        own = f"{layer.removesuffix('ModelsLayer')}Function"
        assert {name for name, found in layers.items() if layer in found} == {own}
    # An upload is checked for the bands that a job needs, which the card of its model names.
    asking = {"PlanFunction", "MergeFunction", "UploadFunction"}
    assert {name for name, found in layers.items() if "ModelCardsLayer" in found} == asking


def packed(layer: str) -> set[str]:
    """Models that `make` packs for a layer, as it would say it."""
    if layer not in resources("AWS::Serverless::LayerVersion"):
        return set()
    told = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", f"build-{layer}", "PYTHON=python", "ARTIFACTS_DIR=out"],
        cwd=ROOT / "layers",
        capture_output=True,
        text=True,
        check=True,
    )
    words = shlex.split(told.stdout)
    return set(words[words.index("out") + 1 :])


def test_no_function_tells_microsoft_what_it_runs() -> None:
    """onnxruntime's builds do, since 1.29, unless they find this when they are imported."""
    assert {found["Environment"]["Variables"]["ORT_DISABLE_TELEMETRY"] for found in FUNCTIONS.values()} == {"1"}


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
    # One for each function, one for the workflow, one for the API's requests, one for trainings.
    assert len(resources("AWS::Logs::LogGroup")) == len(FUNCTIONS) + 3


@pytest.mark.parametrize(
    ("function", "queue"), [("UploadFunction", "UploadFailures"), ("MergeFunction", "UntoldFailures")]
)
def test_what_is_called_asynchronously_has_a_dead_letter_queue_twice(function: str, queue: str) -> None:
    assert {name for name, found in FUNCTIONS.items() if "Events" in found} == {"UploadFunction", "MergeFunction"}
    arn = {"Fn::GetAtt": [queue, "Arn"]}
    called = FUNCTIONS[function]
    assert called["DeadLetterQueue"]["TargetArn"] == arn
    assert called["EventInvokeConfig"]["MaximumRetryAttempts"] <= 2
    [event] = called["Events"].values()
    assert event["Properties"]["DeadLetterConfig"]["Arn"] == arn
    assert {"MaximumEventAgeInSeconds", "MaximumRetryAttempts"} <= set(event["Properties"]["RetryPolicy"])
    assert template()["Resources"][queue]["Properties"]["SqsManagedSseEnabled"] is True
    [alarm] = [
        found["Properties"]
        for found in resources("AWS::CloudWatch::Alarm").values()
        if {"Name": "QueueName", "Value": {"Fn::GetAtt": [queue, "QueueName"]}} in found["Properties"]["Dimensions"]
    ]
    assert alarm["MetricName"] == "ApproximateNumberOfMessagesVisible"


def ended(status: str, *, machine: str = "workflow", name: str = "0123456789abcdef-2") -> Node:
    """An execution that ended: https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html"""
    place = "states:eu-central-1:123456789012"
    return {
        "source": "aws.states",
        "detail-type": "Step Functions Execution Status Change",
        "detail": {
            "executionArn": f"arn:aws:{place}:execution:{machine}:{name}",
            "stateMachineArn": f"arn:aws:{place}:stateMachine:{machine}",
            "name": name,
            "status": status,
        },
    }


def matches(pattern: Any, event: Any) -> bool:
    """Whether an event has one of the values that a pattern of EventBridge names, for each of its keys."""
    if isinstance(pattern, dict):
        return all(key in event and matches(wanted, event[key]) for key, wanted in pattern.items())
    return event in pattern


def ending_rule() -> Node:
    """What EventBridge gets, with the workflow of `ended`."""
    [rule] = [
        found["Properties"]
        for found in transformed()["Resources"].values()
        if found["Type"] == "AWS::Events::Rule" and found["Properties"]["EventPattern"]["source"] == ["aws.states"]
    ]
    detail = rule["EventPattern"]["detail"]
    assert detail["stateMachineArn"] == [{"Ref": "Workflow"}]
    detail = {**detail, "stateMachineArn": [ended("FAILED")["detail"]["stateMachineArn"]]}
    return {**rule, "EventPattern": {**rule["EventPattern"], "detail": detail}}


@pytest.mark.parametrize("status", sorted(ENDED))
def test_an_execution_that_ended_without_a_word_is_told_of(status: str) -> None:
    rule = ending_rule()
    event = ended(status)
    assert matches(rule["EventPattern"], event)
    [target] = rule["Targets"]
    assert target["Arn"] == {"Fn::GetAtt": ["MergeFunction", "Arn"]}
    text = target["InputTransformer"]["InputTemplate"]
    for key, path in target["InputTransformer"]["InputPathsMap"].items():
        found: Any = event
        for step in path.removeprefix("$.").split("."):
            found = found[step]
        text = text.replace(f"<{key}>", json.dumps(found))
    assert json.loads(text) == {"task": "fail", "execution": "0123456789abcdef-2", "error": status, "cause": ""}


@pytest.mark.parametrize(
    "event",
    [
        ended("RUNNING"),
        ended("SUCCEEDED"),
        # A child of the map: https://docs.aws.amazon.com/step-functions/latest/dg/concepts-examine-map-run.html
        ended("FAILED", machine="workflow/Units", name="1c6b5a2e-6d5f-4a5c-9a3e-0d8f4f1e2b7a"),
        ended("FAILED", machine="workflow-test"),
    ],
    ids=lambda event: f"{event['detail']['stateMachineArn'].rpartition(':')[2]}-{event['detail']['status']}",
)
def test_other_executions_are_not_told_of(event: Node) -> None:
    assert not matches(ending_rule()["EventPattern"], event)


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


def test_the_dashboards_address_is_that_of_the_console() -> None:
    """https://docs.aws.amazon.com/general/latest/gr/mgmt-console.html; services have another domain, partitions other ones."""
    shown = template()["Outputs"]["DashboardUrl"]
    assert shown["Value"]["Fn::Sub"].startswith("https://${AWS::Region}.console.aws.amazon.com/cloudwatch/")
    assert template()["Conditions"][shown["Condition"]] == {"Fn::Equals": [{"Ref": "AWS::Partition"}, "aws"]}


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

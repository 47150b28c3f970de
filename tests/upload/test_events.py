"""Events of new objects: both forms, and what is no order."""

from typing import Any

import pytest

from eo.errors import InvalidInput
from upload.events import ERROR, JOBS, Upload, uploads


def bridge(key: str, **found: Any) -> dict[str, Any]:
    return {
        "detail-type": "Object Created",
        "source": "aws.s3",
        "detail": {"version": "0", "bucket": {"name": "data"}, "object": {"key": key, "size": 3, **found}},
    }


def record(key: str, name: str = "ObjectCreated:Put", **found: Any) -> dict[str, Any]:
    return {"eventName": name, "s3": {"bucket": {"name": "data"}, "object": {"key": key, **found}}}


def test_both_forms_say_the_same() -> None:
    one = uploads(bridge("incoming/p/a b+c.json", etag="e", sequencer="0A", **{"version-id": "v"}))
    other = uploads({"Records": [record("incoming/p/a+b%2Bc.json", eTag="e", sequencer="0A", versionId="v")]})
    assert one == other == [Upload("data", "incoming/p/a b+c.json", "e", "v", "0A")]


def test_a_key_that_looks_encoded_is_left_alone_by_eventbridge() -> None:
    assert uploads(bridge("incoming/p/100%25+.json"))[0].key == "incoming/p/100%25+.json"


def test_a_bucket_without_versions_has_none() -> None:
    assert uploads(bridge("incoming/p/a.json", **{"version-id": "null"}))[0].version == ""


def test_what_is_no_new_object_is_none() -> None:
    assert uploads({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "data"}) == []
    assert uploads({"Records": [record("incoming/p/a.json", "ObjectRemoved:Delete")]}) == []
    assert uploads(bridge("incoming/p/a.json") | {"detail-type": "Object Deleted"}) == []


@pytest.mark.parametrize("event", [{}, {"detail": {}}, {"Records": [{}]}, {"Records": 3}, {"detail": None}])
def test_what_is_no_event_of_s3_is_refused(event: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="none that S3 or EventBridge sends"):
        uploads(event)


@pytest.mark.parametrize(
    "key",
    [
        "incoming/",
        "incoming/p/",
        "jobs/1/plan.json",
        *(f"incoming/p/a{one}{two}" for one in (JOBS, ERROR) for two in (JOBS, ERROR)),
    ],
)
def test_folders_other_places_and_answers_to_what_looks_like_one_are_no_orders(key: str) -> None:
    assert not uploads(bridge(key))[0].wanted


@pytest.mark.parametrize("key", ["incoming/p/my.job.json", "incoming/p/x.error.json", "incoming/p/a.job.json.json"])
def test_a_name_like_an_answers_may_be_an_orders(key: str) -> None:
    assert uploads(bridge(key))[0].wanted


def test_the_prefix_names_the_process() -> None:
    assert uploads(bridge("incoming/point-cloud/2026/a.json"))[0].process == "point-cloud"
    with pytest.raises(InvalidInput, match=r"incoming/point-cloud/a\.json"):
        _ = uploads(bridge("incoming/a.json"))[0].process

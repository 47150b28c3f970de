"""The job service on a bucket: one job however often it is ordered, one end however many want to end it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from eo import life
from eo.bucket_store import BucketStore
from eo.errors import InvalidInput, JobBusy, NotReady, SourceUnavailable, UnknownJob
from eo.job import Result
from eo.orders import BucketService
from peers.s3 import KEY, SECRET, S3Peer

BUCKET = "orders"
ANNA, BERT = "arn:aws:iam::123456789012:user/anna", "arn:aws:iam::123456789012:user/bert"
INPUTS: dict[str, Any] = {"bbox": [11.0, 46.0, 11.1, 46.1]}


class Scripted:
    """Executions that do nothing but remember."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.stopped: list[str] = []
        self.states: dict[str, str] = {}
        self.broken = False

    def start(self, job: str, attempt: int) -> None:
        if self.broken:
            raise SourceUnavailable("scripted")
        self.started.append(f"{job}-{attempt}")
        self.states.setdefault(f"{job}-{attempt}", "RUNNING")

    def stop(self, job: str, attempt: int) -> None:
        self.stopped.append(f"{job}-{attempt}")

    def state(self, job: str, attempt: int) -> str | None:
        return self.states.get(f"{job}-{attempt}")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[BucketStore]:
    with S3Peer() as peer:
        for name, value in {
            "AWS_ENDPOINT_URL_S3": peer.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        peer.put(BUCKET, "made", b"")
        yield BucketStore(BUCKET)


@pytest.fixture
def executions() -> Scripted:
    return Scripted()


@pytest.fixture
def service(store: BucketStore, executions: Scripted) -> BucketService:
    return BucketService(store, executions)


class TestOrder:
    def test_the_same_order_is_one_job_and_one_execution(self, service: BucketService, executions: Scripted) -> None:
        first = service.order("point-cloud", INPUTS, owner=ANNA, key="k")
        second = service.order("point-cloud", INPUTS, owner=ANNA, key="k")
        assert first.job == second.job
        assert set(executions.started) == {f"{first.job}-1"}
        assert first.state == "accepted"

    def test_many_at_once_make_one_job(self, service: BucketService, executions: Scripted) -> None:
        with ThreadPoolExecutor(8) as pool:
            jobs = list(pool.map(lambda _: service.order("point-cloud", INPUTS, owner=ANNA, key="k").job, range(16)))
        assert len(set(jobs)) == 1
        assert set(executions.started) == {f"{jobs[0]}-1"}
        assert len(service.jobs(owner=ANNA)) == 1

    def test_owner_and_key_are_both_part_of_it(self, service: BucketService) -> None:
        jobs = {
            service.order("point-cloud", INPUTS, owner=owner, key=key).job for owner in (ANNA, BERT) for key in "kl"
        }
        assert len(jobs) == 4

    def test_a_key_with_other_inputs_is_refused(self, service: BucketService) -> None:
        service.order("point-cloud", INPUTS, owner=ANNA, key="k")
        with pytest.raises(InvalidInput, match="use a new Idempotency-Key"):
            service.order("point-cloud", INPUTS | {"sampled_fraction": 1}, owner=ANNA, key="k")

    def test_bad_inputs_leave_nothing(self, service: BucketService, store: BucketStore) -> None:
        with pytest.raises(InvalidInput, match="sampled_fraction"):
            service.order("point-cloud", INPUTS | {"sampled_fraction": 2}, owner=ANNA, key="k")
        with pytest.raises(InvalidInput, match="process 'x' is not known"):
            service.order("x", INPUTS, owner=ANNA, key="k")
        assert list(store.keys("jobs/")) == []

    def test_names_of_owners_are_not_kept(self, service: BucketService, store: BucketStore) -> None:
        service.order("point-cloud", INPUTS, owner="anna@example.org", key="secret-key")
        for key in [*store.keys("jobs/"), *store.keys("owners/")]:
            assert "anna" not in key
            assert b"anna" not in store.read(key)
            assert b"secret-key" not in store.read(key)

    def test_where_the_start_fails_the_same_order_starts_it_later(
        self, service: BucketService, executions: Scripted
    ) -> None:
        executions.broken = True
        with pytest.raises(SourceUnavailable):
            service.order("point-cloud", INPUTS, owner=ANNA, key="k")
        executions.broken = False
        assert service.order("point-cloud", INPUTS, owner=ANNA, key="k").state == "accepted"
        assert len(executions.started) == 1

    def test_one_that_was_never_started_is_started_by_who_looks(
        self, service: BucketService, executions: Scripted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        status = service.order("point-cloud", INPUTS, owner=ANNA, key="k")
        executions.states.clear()
        executions.started.clear()
        service.status(status.job, owner=ANNA)
        assert executions.started == []
        monkeypatch.setattr("eo.orders.START_SECONDS", -10)
        service.status(status.job, owner=ANNA)
        assert executions.started == [f"{status.job}-1"]


class TestAgain:
    def test_a_failed_job_goes_on_as_its_next_attempt(
        self, service: BucketService, store: BucketStore, executions: Scripted
    ) -> None:
        job = service.order("point-cloud", INPUTS, owner=ANNA, key="k").job
        life.begin(store, job, 1)
        life.end(store, job, 1, state="failed", message="no answer", error="SourceUnavailable")
        again = service.order("point-cloud", INPUTS, owner=ANNA, key="k")
        assert (again.attempt, again.state, again.message) == (2, "accepted", "")
        assert executions.started[-1] == f"{job}-2"
        assert (again.afresh, again.error) == (1, "SourceUnavailable")
        assert life.begin(store, job, 2).error == "SourceUnavailable"
        assert life.end(store, job, 2, state="successful", message="1 point").error == ""

    @pytest.mark.parametrize("error", ["LostWork", "NothingFound"])
    def test_what_cannot_be_gone_on_from_is_begun_afresh_by_every_later_attempt(
        self, service: BucketService, store: BucketStore, error: str
    ) -> None:
        job = service.order("point-cloud", INPUTS, owner=ANNA, key="k").job
        life.end(store, job, 1, state="failed", message="x", error=error)
        assert service.order("point-cloud", INPUTS, owner=ANNA, key="k").afresh == 2
        life.begin(store, job, 2)
        life.end(store, job, 2, state="failed", message="x", error="SourceUnavailable")
        assert service.order("point-cloud", INPUTS, owner=ANNA, key="k").afresh == 2

    def test_a_job_whose_execution_has_died_goes_on_when_it_is_ordered_again(
        self, service: BucketService, store: BucketStore, executions: Scripted
    ) -> None:
        job = service.order("point-cloud", INPUTS, owner=ANNA, key="k").job
        life.begin(store, job, 1)
        executions.states[f"{job}-1"] = "TIMED_OUT"
        assert service.order("point-cloud", INPUTS, owner=ANNA, key="k").attempt == 2
        assert executions.started[-1] == f"{job}-2"

    def test_a_job_that_somebody_removed_is_not_listed(self, service: BucketService, store: BucketStore) -> None:
        jobs = [service.order("point-cloud", INPUTS, owner=ANNA, key=key).job for key in "kl"]
        store.delete(f"jobs/{jobs[0]}/")
        assert [status.job for status in service.jobs(owner=ANNA)] == jobs[1:]

    def test_many_at_once_take_one_attempt(self, service: BucketService, store: BucketStore) -> None:
        job = service.order("point-cloud", INPUTS, owner=ANNA, key="k").job
        life.end(store, job, 1, state="failed", message="x", error="TooLarge")
        with ThreadPoolExecutor(8) as pool:
            taken = pool.map(lambda _: service.order("point-cloud", INPUTS, owner=ANNA, key="k").attempt, range(8))
        assert set(taken) == {2}

    def test_a_second_delivery_of_an_upload_does_not_start_a_failed_job(
        self, service: BucketService, store: BucketStore
    ) -> None:
        def deliver(sequencer: str) -> int:
            origin = {"kind": "s3", "sequencer": sequencer}
            return service.order("point-cloud", INPUTS, owner="s3:b", key="k", origin=origin).attempt

        assert deliver("0055AED6DCD90281E5") == 1
        job = service.jobs(owner="s3:b")[0].job
        life.end(store, job, 1, state="failed", message="x", error="TooLarge")
        assert deliver("0055AED6DCD90281E5") == 1
        assert deliver("0055AED6DCD90281E6") == 2
        life.end(store, job, 2, state="failed", message="x", error="TooLarge")
        assert deliver("0055AED6DCD90281E6") == 2
        assert deliver("0055AED6DCD90281E5") == 2

    def test_a_successful_job_stays(self, service: BucketService, store: BucketStore, executions: Scripted) -> None:
        job = service.order("point-cloud", INPUTS, owner=ANNA, key="k").job
        life.begin(store, job, 1)
        life.end(store, job, 1, state="successful", message="1 point")
        assert service.order("point-cloud", INPUTS, owner=ANNA, key="k").state == "successful"
        assert set(executions.started) == {f"{job}-1"}


class TestLife:
    @pytest.fixture
    def job(self, service: BucketService) -> str:
        return service.order("point-cloud", INPUTS, owner=ANNA, key="k").job

    def test_what_was_dismissed_never_becomes_successful(
        self, service: BucketService, store: BucketStore, executions: Scripted, job: str
    ) -> None:
        life.begin(store, job, 1)
        assert service.dismiss(job, owner=ANNA).state == "stopped"
        assert executions.stopped == [f"{job}-1"]
        assert life.end(store, job, 1, state="successful", message="").state == "stopped"
        with pytest.raises(JobBusy, match="attempt 1 is stopped"):
            life.begin(store, job, 1)

    def test_an_old_attempt_does_not_speak_for_a_new_one(
        self, service: BucketService, store: BucketStore, job: str
    ) -> None:
        service.dismiss(job, owner=ANNA)
        service.order("point-cloud", INPUTS, owner=ANNA, key="k")
        assert life.end(store, job, 1, state="failed", message="late", error="TooLarge").state == "accepted"
        with pytest.raises(JobBusy, match="attempt 2 is accepted"):
            life.begin(store, job, 1)
        assert life.begin(store, job, 2).state == "running"

    def test_beginning_twice_is_beginning_once(self, store: BucketStore, job: str) -> None:
        life.begin(store, job, 1)
        before = life.read_status(store, job)
        assert life.begin(store, job, 1) == before
        assert life.read_status(store, job) == before
        assert before.started is not None

    def test_one_of_many_ends_it(self, store: BucketStore, job: str) -> None:
        life.begin(store, job, 1)
        ends = ["successful", "failed"] * 4
        with ThreadPoolExecutor(8) as pool:
            found = list(
                pool.map(lambda end: life.end(store, job, 1, state=end, message=end).message, ends)  # type: ignore[arg-type]
            )
        assert len(set(found)) == 1
        assert life.read_status(store, job).message == found[0]

    @pytest.mark.parametrize("state", ["FAILED", "TIMED_OUT", "ABORTED"])
    def test_an_execution_that_ended_without_a_word_fails_the_job(
        self, service: BucketService, store: BucketStore, executions: Scripted, job: str, state: str
    ) -> None:
        life.begin(store, job, 1)
        executions.states[f"{job}-1"] = state
        status = service.status(job, owner=ANNA)
        assert (status.state, status.error) == ("failed", "Unexpected")
        assert state in status.message
        assert service.order("point-cloud", INPUTS, owner=ANNA, key="k").attempt == 2


class TestOwners:
    def test_nobody_sees_what_belongs_to_somebody_else(self, service: BucketService, store: BucketStore) -> None:
        job = service.order("point-cloud", INPUTS, owner=ANNA, key="k").job
        life.end(store, job, 1, state="successful", message="")
        store.write(f"jobs/{job}/result.json", [Result(files={}, summary={}).model_dump_json().encode()])
        assert service.result(job, owner=ANNA).files == {}
        assert service.jobs(owner=BERT) == []
        for ask in (service.status, service.result, service.dismiss):
            with pytest.raises(UnknownJob) as theirs:
                ask(job, owner=BERT)
            with pytest.raises(UnknownJob) as nobodys:
                ask("0" * 16, owner=BERT)
            assert str(theirs.value).replace(job, "") == str(nobodys.value).replace("0" * 16, "")

    def test_newest_jobs_come_first(self, service: BucketService, monkeypatch: pytest.MonkeyPatch) -> None:
        made = []
        for minute in range(3):
            monkeypatch.setattr(life, "now", lambda minute=minute: f"2026-11-21T10:0{minute}:00Z")
            made.append(service.order("point-cloud", INPUTS, owner=ANNA, key=str(minute)).job)
        assert [status.job for status in service.jobs(owner=ANNA)] == made[::-1]

    def test_there_is_no_result_before_the_job_is_successful(self, service: BucketService, store: BucketStore) -> None:
        job = service.order("point-cloud", INPUTS, owner=ANNA, key="k").job
        with pytest.raises(NotReady, match="it is accepted"):
            service.result(job, owner=ANNA)
        life.end(store, job, 1, state="failed", message="too many points", error="TooLarge")
        with pytest.raises(NotReady, match="it is failed: too many points"):
            service.result(job, owner=ANNA)

    def test_a_result_that_somebody_removed_is_told(self, service: BucketService, store: BucketStore) -> None:
        job = service.order("point-cloud", INPUTS, owner=ANNA, key="k").job
        life.begin(store, job, 1)
        life.end(store, job, 1, state="successful", message="1 point")
        with pytest.raises(NotReady, match=f"the result of job {job} is not readable any more"):
            service.result(job, owner=ANNA)

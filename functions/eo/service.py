"""What takes orders: the one port behind which jobs are started, on AWS and on this machine."""

from collections.abc import Mapping
from typing import Any, Protocol

from eo.job import Result, Status


class Service(Protocol):
    """Orders of processes, each seen by its owner alone.

    Implemented by `eo.orders` over a bucket and a state machine, and by `cli.local_service` over the local engine.
    """

    def order(
        self,
        process: str,
        inputs: Mapping[str, Any],
        *,
        owner: str,
        key: str,
        origin: Mapping[str, Any] | None = None,
    ) -> Status:
        """Take an order; the same owner, key and inputs are the same job, and a failed or stopped one goes on.

        Raises InvalidInput where the inputs are not valid or the key came with others before, JobBusy where the job is
        just being stopped.
        """
        ...

    def status(self, job: str, *, owner: str) -> Status:
        """What became of a job. Raises UnknownJob where there is none, or it is somebody else's."""
        ...

    def jobs(self, *, owner: str) -> list[Status]:
        """The owner's jobs, newest first."""
        ...

    def progress(self, status: Status) -> int:
        """Percent of the job's work that is done: 100 only where it is successful."""
        ...

    def dismiss(self, job: str, *, owner: str) -> Status:
        """Stop a job and give its status, `stopped` from now on; one that has ended is left as it is. Raises UnknownJob."""
        ...

    def result(self, job: str, *, owner: str) -> Result:
        """What a job delivered. Raises UnknownJob, and NotReady where there is no result."""
        ...

    def link(self, job: str, name: str) -> str:
        """URL of a result file, made for this request. Whoever calls this has asked `result` for the owner before."""
        ...

"""Every failure a user can meet, as a type.

Step Functions' Retry and Catch, HTTP statuses and the exit codes of the command line all follow from
the class, so a new kind of failure is one class here. A message says the value, the limit and the remedy.
"""

from typing import ClassVar

AFRESH = "order the same job again, which then makes its work anew (on the command line --new drops its plan too)"
"""The remedy for LostWork."""


class EoShardsError(Exception):
    """Base of all failures that are explained to the user instead of shown as a traceback."""

    retryable: ClassVar[bool] = False
    http_status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1


class InvalidInput(EoShardsError):
    """An input is malformed, out of range or contradicts another one."""

    http_status = 422
    exit_code = 2


class NothingFound(EoShardsError):
    """The inputs are valid but no scene, no valid pixel or no elevation answers to them."""

    http_status = 404
    exit_code = 3


class TooLarge(EoShardsError):
    """The job needs more memory, disk, parts or points than there are or were allowed."""

    http_status = 413
    exit_code = 4


class CorruptData(EoShardsError):
    """A source file or a stored object is not what its description says."""

    http_status = 502
    exit_code = 5


class LostWork(CorruptData):
    """What the job itself has written is gone or not what was written. Its next attempt makes everything anew."""


class AccessDenied(EoShardsError):
    """A source refused the credentials, or none were given. Asking again does not help."""

    http_status = 502
    exit_code = 6


class SourceUnavailable(EoShardsError):
    """A source did not answer, or answered with a fault of its own. A later try may succeed."""

    retryable = True
    http_status = 503
    exit_code = 7


class RateLimited(SourceUnavailable):
    """A source asks for fewer or later requests."""

    http_status = 429
    exit_code = 8


class WorkerLost(EoShardsError):
    """A worker process was killed from outside, mostly by the kernel for want of memory."""

    retryable = True
    http_status = 503
    exit_code = 9


class JobBusy(EoShardsError):
    """The job is being worked on by another process."""

    http_status = 409
    exit_code = 10


class Unexpected(EoShardsError):
    """A fault of EO Shards itself; the log has the traceback."""


class UnknownJob(EoShardsError):
    """There is no such job, or it belongs to somebody else, who is not told apart."""

    http_status = 404
    exit_code = 2


class NotReady(EoShardsError):
    """The job has no result, yet or at all; its status says which."""

    http_status = 404
    exit_code = 10

"""Every failure a user can meet: one class per `error.type`, with its exit code and HTTP status.

* MlxkError
  - UsageError, InvalidValue, InvalidDocument                     what was typed or written (exit 2)
  - ModelNotFound, AmbiguousMatch, RevisionNotFound, ModelUnhealthy, RuntimeIncompatible
  - EngineMissing, EngineFailed, ContextLengthExceeded, OutOfMemory, OverCapacity, RequestTimeout
  - DraftMismatch
  - ExtraMissing, HarnessMissing, HarnessFailed
  - HubError: HubUnreachable, HubNotFound, GatedRepo, HubUnauthorized
  - DiskFull, PermissionDenied, LocksPresent, ConfirmationRequired
  - UnsafePath, AlreadyExists, NotFound, Unauthorized
  - Locked, PortConflict, StartTimeout, StartFailed, ServiceManagerUnavailable
  - NotRunning, RateLimited                                       what the gateway says
  - OverBudget, NothingFits, CorruptState
  - NotARepository, DirtyMerge, SessionNotFound, SessionBusy, HistoryCorrupt, BranchNotFound
  - UnmergedBranch, MergeConflict, StaleBranch, SigningFailed
  - ToolDenied, EmptyAnswer, LoopDetected                         an agent run that ended badly
  - ProviderError: ProviderAuth, ProviderRateLimited, ProviderRefused
  - LimitReached (exit 4), CheckFailed, SchemaMismatch, ReplayDiffers (exit 3)
  - Interrupted (exit 130 or 143)
  - InternalError (exit 70)
"""

from typing import Any, ClassVar

from mlxk.contract.envelope import ErrorInfo


class MlxkError(Exception):
    """`hint` says what to type next; `details` are JSON values; `data` is what was done so far."""

    type: ClassVar[str]
    exit_code: int = 1
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        data: object = None,
        exit_code: int | None = None,
        **details: Any,
    ) -> None:
        super().__init__(message)
        self.hint = hint
        self.data = data
        self.details = details
        if exit_code is not None:
            self.exit_code = exit_code

    def info(self) -> ErrorInfo:
        return ErrorInfo(self.type, str(self), self.hint, self.retryable, self.details or None)


class UsageError(MlxkError):
    """The command line could not be read: an unknown flag, a missing or extra argument."""

    type = "usage_error"
    exit_code = 2
    http_status = 400


class InvalidValue(MlxkError):
    """A value is outside what is allowed; the message names the value."""

    type = "invalid_value"
    exit_code = 2
    http_status = 400


class InvalidDocument(MlxkError):
    """JSON that does not parse or does not obey its schema; `details.problems` has pointers."""

    type = "invalid_document"
    exit_code = 2
    http_status = 400


class ModelNotFound(MlxkError):
    """No model on this machine has that name."""

    type = "model_not_found"
    http_status = 404


class AmbiguousMatch(MlxkError):
    """A short name fits several; `details.matches` lists them."""

    type = "ambiguous_match"
    http_status = 400


class RevisionNotFound(MlxkError):
    """The model is there, that branch, tag or hash of it is not."""

    type = "revision_not_found"
    http_status = 404


class ModelUnhealthy(MlxkError):
    """Files of the model are missing or damaged; `mlxk health` names each."""

    type = "model_unhealthy"


class RuntimeIncompatible(MlxkError):
    """Whole, but nothing installed here can run it (or write that repository format)."""

    type = "runtime_incompatible"
    http_status = 422


class EngineMissing(MlxkError):
    """MLX is not installed; the hint is the line that installs it."""

    type = "engine_missing"
    http_status = 503


class DraftMismatch(MlxkError):
    """The model of `--draft` has other tokens than the model it should draft for."""

    type = "draft_mismatch"
    http_status = 422


class HarnessMissing(MlxkError):
    """The program that `--leash` names is not installed; the hint is the line that installs it."""

    type = "harness_missing"
    http_status = 503


class HarnessFailed(MlxkError):
    """The program on the leash ended badly; the message says what it said."""

    type = "harness_failed"
    http_status = 502


class ExtraMissing(MlxkError):
    """An optional part of mlxk is not installed; the hint is the line that installs it."""

    type = "extra_missing"
    http_status = 503


class EngineFailed(MlxkError):
    """The engine process died or hung on this request more than once."""

    type = "engine_failed"
    retryable = True


class ContextLengthExceeded(MlxkError):
    """Prompt and answer do not fit the model's context; both counts are in the message."""

    type = "context_length_exceeded"
    http_status = 400


class OutOfMemory(MlxkError):
    """The device has no memory left for the model or the request."""

    type = "out_of_memory"
    http_status = 503


class OverCapacity(MlxkError):
    """The queue is full; HTTP replies carry Retry-After."""

    type = "over_capacity"
    http_status = 503
    retryable = True


class RequestTimeout(MlxkError):
    """The other side did not answer in time."""

    type = "request_timeout"
    http_status = 504
    retryable = True


class HubError(MlxkError):
    """The hub answered with an error of its own."""

    type = "hub_error"
    http_status = 502
    retryable = True


class HubUnreachable(HubError):
    """The hub could not be reached: network, DNS or proxy."""

    type = "hub_unreachable"


class HubNotFound(HubError):
    """The hub has no such repository, or the token may not see it."""

    type = "hub_not_found"
    http_status = 404
    retryable = False


class GatedRepo(HubError):
    """The repository asks for consent on its web page first."""

    type = "gated_repo"
    http_status = 403
    retryable = False


class HubUnauthorized(HubError):
    """The hub refused the token, or wants one."""

    type = "hub_unauthorized"
    http_status = 401
    retryable = False


class DiskFull(MlxkError):
    """The disk has no room; nothing half-written is left behind."""

    type = "disk_full"
    http_status = 507


class PermissionDenied(MlxkError):
    """A file or folder may not be read or written."""

    type = "permission_denied"
    http_status = 403


class LocksPresent(MlxkError):
    """A live process holds the model's lock."""

    type = "locks_present"
    http_status = 409
    retryable = True


class ConfirmationRequired(MlxkError):
    """A destructive command without a terminal wants `--force`."""

    type = "confirmation_required"
    exit_code = 2
    http_status = 400


class UnsafePath(MlxkError):
    """A path leaves the folder it must stay in, enters `.git`, or is not a regular file."""

    type = "unsafe_path"
    http_status = 400


class AlreadyExists(MlxkError):
    """The name or target is taken."""

    type = "already_exists"
    http_status = 409


class NotFound(MlxkError):
    """There is nothing of that name."""

    type = "not_found"
    http_status = 404


class Unauthorized(MlxkError):
    """Our own server was asked without its API key."""

    type = "unauthorized"
    http_status = 401


class Locked(MlxkError):
    """Another mlxk process holds the lock."""

    type = "locked"
    http_status = 409
    retryable = True


class PortConflict(MlxkError):
    """The port is taken; `--port auto` finds a free one."""

    type = "port_conflict"
    http_status = 409


class StartTimeout(MlxkError):
    """A service did not become ready in time."""

    type = "start_timeout"
    http_status = 504
    retryable = True


class StartFailed(MlxkError):
    """A service ended before it was ready."""

    type = "start_failed"
    http_status = 502


class ServiceManagerUnavailable(MlxkError):
    """Neither launchd nor a systemd user manager can be reached."""

    type = "service_manager_unavailable"
    http_status = 503


class NotRunning(MlxkError):
    """The deployment that should answer does not run; HTTP replies carry Retry-After."""

    type = "not_running"
    http_status = 503
    retryable = True


class RateLimited(MlxkError):
    """Our own gateway was asked for one model more often at once than its stack allows."""

    type = "rate_limited"
    http_status = 429
    retryable = True


class OverBudget(MlxkError):
    """The deployments need more memory than the budget allows."""

    type = "over_budget"
    http_status = 409


class NothingFits(MlxkError):
    """No model of the catalog fits this machine."""

    type = "nothing_fits"
    http_status = 404


class CorruptState(MlxkError):
    """A state file of mlxk cannot be read."""

    type = "corrupt_state"


class NotARepository(MlxkError):
    """The agent works in git repositories; this folder is in none."""

    type = "not_a_repository"
    http_status = 409


class DirtyMerge(MlxkError):
    """The checkout is in a merge with conflicts; finish or abort it first."""

    type = "dirty_merge"
    http_status = 409


class SessionNotFound(MlxkError):
    """No session, branch or commit matches."""

    type = "session_not_found"
    http_status = 404


class SessionBusy(MlxkError):
    """Another process is writing that session."""

    type = "session_busy"
    http_status = 409
    retryable = True


class HistoryCorrupt(MlxkError):
    """Objects of a session are damaged; the last good step is named."""

    type = "history_corrupt"


class BranchNotFound(MlxkError):
    """There is no such branch."""

    type = "branch_not_found"
    http_status = 404


class UnmergedBranch(MlxkError):
    """The branch holds work that has not landed; `--force` removes it."""

    type = "unmerged_branch"
    http_status = 409


class MergeConflict(MlxkError):
    """The branch does not merge cleanly; `details` lists the paths."""

    type = "merge_conflict"
    http_status = 409


class SigningFailed(MlxkError):
    """Your git configuration wants commits signed, and the program or key for it does not work."""

    type = "signing_failed"
    http_status = 409


class StaleBranch(MlxkError):
    """The branch moved, or the step is not its last."""

    type = "stale_branch"
    http_status = 409
    retryable = True


class ToolDenied(MlxkError):
    """A call that the run needed was refused."""

    type = "tool_denied"
    http_status = 403


class EmptyAnswer(MlxkError):
    """The model ended without saying or doing anything."""

    type = "empty_answer"
    http_status = 502
    retryable = True


class LoopDetected(MlxkError):
    """The model repeated one call with one result."""

    type = "loop_detected"
    http_status = 502


class ProviderError(MlxkError):
    """The model's API failed, or its answer ended early."""

    type = "provider_error"
    http_status = 502
    retryable = True


class ProviderAuth(ProviderError):
    """The API refused the key, or wants one."""

    type = "provider_auth"
    http_status = 401
    retryable = False


class ProviderRateLimited(ProviderError):
    """The API said 429 more often than we retry."""

    type = "provider_rate_limited"
    http_status = 429


class ProviderRefused(ProviderError):
    """It understood us and said no: asking the same again will not help."""

    type = "provider_refused"
    http_status = 400
    retryable = False


class LimitReached(MlxkError):
    """A budget of the run is used up; the work so far is kept."""

    type = "limit_reached"
    exit_code = 4
    http_status = 409


class CheckFailed(MlxkError):
    """A check did not pass."""

    type = "check_failed"
    exit_code = 3
    http_status = 422


class ReplayDiffers(MlxkError):
    """The recorded answers led to other files than they did then."""

    type = "replay_differs"
    exit_code = 3
    http_status = 409


class SchemaMismatch(MlxkError):
    """The answer does not obey the schema that was asked for."""

    type = "schema_mismatch"
    exit_code = 3
    http_status = 422


class Interrupted(MlxkError):
    """Ctrl-C (130) or SIGTERM (143, given as `exit_code`)."""

    type = "interrupted"
    exit_code = 130
    http_status = 503
    retryable = True


class InternalError(MlxkError):
    """A bug of ours, never the user's fault."""

    type = "internal_error"
    exit_code = 70

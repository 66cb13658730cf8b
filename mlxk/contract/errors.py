"""Every failure a user can meet: one class per `error.type`, with its exit code and HTTP status.

* MlxkError
  - UsageError, InvalidValue, InvalidDocument                     what was typed or written (exit 2)
  - ModelNotFound, AmbiguousMatch, RevisionNotFound, ModelUnhealthy, RuntimeIncompatible
  - EngineMissing, EngineFailed, ContextLengthExceeded, OutOfMemory, OverCapacity, RequestTimeout
  - HubError: HubUnreachable, HubNotFound, GatedRepo, HubUnauthorized
  - DiskFull, PermissionDenied, LocksPresent, ConfirmationRequired
  - UnsafePath, AlreadyExists, NotFound, Unauthorized
  - Locked, PortConflict, StartTimeout, StartFailed, ServiceManagerUnavailable
  - OverBudget, NothingFits, CorruptState
  - NotARepository, DirtyMerge, SessionNotFound, SessionBusy, HistoryCorrupt, BranchNotFound
  - UnmergedBranch, MergeConflict, StaleBranch
  - ToolDenied, EmptyAnswer, LoopDetected                         an agent run that ended badly
  - ProviderError: ProviderAuth, ProviderRateLimited, ProviderRefused
  - LimitReached (exit 4), CheckFailed, SchemaMismatch (exit 3)
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
    type = "usage_error"
    exit_code = 2
    http_status = 400


class InvalidValue(MlxkError):
    type = "invalid_value"
    exit_code = 2
    http_status = 400


class InvalidDocument(MlxkError):
    type = "invalid_document"
    exit_code = 2
    http_status = 400


class ModelNotFound(MlxkError):
    type = "model_not_found"
    http_status = 404


class AmbiguousMatch(MlxkError):
    type = "ambiguous_match"
    http_status = 400


class RevisionNotFound(MlxkError):
    type = "revision_not_found"
    http_status = 404


class ModelUnhealthy(MlxkError):
    type = "model_unhealthy"


class RuntimeIncompatible(MlxkError):
    type = "runtime_incompatible"


class EngineMissing(MlxkError):
    type = "engine_missing"
    http_status = 503


class EngineFailed(MlxkError):
    type = "engine_failed"
    retryable = True


class ContextLengthExceeded(MlxkError):
    type = "context_length_exceeded"
    http_status = 400


class OutOfMemory(MlxkError):
    type = "out_of_memory"
    http_status = 503


class OverCapacity(MlxkError):
    type = "over_capacity"
    http_status = 503
    retryable = True


class RequestTimeout(MlxkError):
    type = "request_timeout"
    http_status = 504
    retryable = True


class HubError(MlxkError):
    type = "hub_error"
    http_status = 502
    retryable = True


class HubUnreachable(HubError):
    type = "hub_unreachable"


class HubNotFound(HubError):
    type = "hub_not_found"
    http_status = 404
    retryable = False


class GatedRepo(HubError):
    type = "gated_repo"
    http_status = 403
    retryable = False


class HubUnauthorized(HubError):
    type = "hub_unauthorized"
    http_status = 401
    retryable = False


class DiskFull(MlxkError):
    type = "disk_full"
    http_status = 507


class PermissionDenied(MlxkError):
    type = "permission_denied"
    http_status = 403


class LocksPresent(MlxkError):
    type = "locks_present"
    http_status = 409
    retryable = True


class ConfirmationRequired(MlxkError):
    type = "confirmation_required"
    exit_code = 2
    http_status = 400


class UnsafePath(MlxkError):
    type = "unsafe_path"
    http_status = 400


class AlreadyExists(MlxkError):
    type = "already_exists"
    http_status = 409


class NotFound(MlxkError):
    type = "not_found"
    http_status = 404


class Unauthorized(MlxkError):
    """Our own server was asked without its API key."""

    type = "unauthorized"
    http_status = 401


class Locked(MlxkError):
    type = "locked"
    http_status = 409
    retryable = True


class PortConflict(MlxkError):
    type = "port_conflict"
    http_status = 409


class StartTimeout(MlxkError):
    type = "start_timeout"
    http_status = 504
    retryable = True


class StartFailed(MlxkError):
    type = "start_failed"


class ServiceManagerUnavailable(MlxkError):
    type = "service_manager_unavailable"


class OverBudget(MlxkError):
    type = "over_budget"


class NothingFits(MlxkError):
    type = "nothing_fits"


class CorruptState(MlxkError):
    type = "corrupt_state"


class NotARepository(MlxkError):
    type = "not_a_repository"


class DirtyMerge(MlxkError):
    type = "dirty_merge"


class SessionNotFound(MlxkError):
    type = "session_not_found"
    http_status = 404


class SessionBusy(MlxkError):
    type = "session_busy"
    http_status = 409
    retryable = True


class HistoryCorrupt(MlxkError):
    type = "history_corrupt"


class BranchNotFound(MlxkError):
    type = "branch_not_found"
    http_status = 404


class UnmergedBranch(MlxkError):
    type = "unmerged_branch"


class MergeConflict(MlxkError):
    type = "merge_conflict"


class StaleBranch(MlxkError):
    type = "stale_branch"
    retryable = True


class ToolDenied(MlxkError):
    type = "tool_denied"
    http_status = 403


class EmptyAnswer(MlxkError):
    type = "empty_answer"
    retryable = True


class LoopDetected(MlxkError):
    type = "loop_detected"


class ProviderError(MlxkError):
    type = "provider_error"
    http_status = 502
    retryable = True


class ProviderAuth(ProviderError):
    type = "provider_auth"
    http_status = 401
    retryable = False


class ProviderRateLimited(ProviderError):
    type = "provider_rate_limited"
    http_status = 429


class ProviderRefused(ProviderError):
    """It understood us and said no: asking the same again will not help."""

    type = "provider_refused"
    retryable = False


class LimitReached(MlxkError):
    type = "limit_reached"
    exit_code = 4


class CheckFailed(MlxkError):
    type = "check_failed"
    exit_code = 3


class SchemaMismatch(MlxkError):
    type = "schema_mismatch"
    exit_code = 3


class Interrupted(MlxkError):
    """Ctrl-C (130) or SIGTERM (143, given as `exit_code`)."""

    type = "interrupted"
    exit_code = 130
    retryable = True


class InternalError(MlxkError):
    """A bug of ours, never the user's fault."""

    type = "internal_error"
    exit_code = 70

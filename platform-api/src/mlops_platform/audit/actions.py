"""Every action that can appear in the audit log. docs/reference/audit-events.md lists them; a test compares."""

from enum import StrEnum


class Action(StrEnum):
    """`source:subject:what happened`. Add only: an old log must stay readable."""

    MODEL_VERSION_REGISTERED = "model:version:registered"
    MODEL_VERSION_CHANGED = "model:version:changed"
    MODEL_VERSION_DELETED = "model:version:deleted"
    MODEL_CREATED = "model:model:created"
    MODEL_CHANGED = "model:model:changed"
    MODEL_RENAMED = "model:model:renamed"
    MODEL_DELETED = "model:model:deleted"
    MODEL_STAGE_CHANGED = "model:stage:changed"
    APPROVAL_REQUESTED = "approval:request:created"
    APPROVAL_DECIDED = "approval:decision:made"
    APPROVAL_SETTLED = "approval:request:settled"
    APPROVAL_REVOKED = "approval:request:revoked"
    DEPLOYMENT_REQUESTED = "deployment:revision:requested"
    DEPLOYMENT_BUILT = "deployment:revision:built"
    DEPLOYMENT_STATE_CHANGED = "deployment:revision:state-changed"
    DEPLOYMENT_ROLLOUT_STEPPED = "deployment:rollout:stepped"
    DEPLOYMENT_OPERATED = "deployment:operation:asked"
    DEPLOYMENT_REVIEW_DUE = "deployment:review:due"
    DEPLOYMENT_REVIEW_CLEARED = "deployment:review:cleared"
    STATEMENT_SIGNED = "statement:approval:signed"
    GATE_RECORDED = "check:gate:recorded"
    GATE_OVERRIDDEN = "check:gate:overridden"
    AUDIT_LOG_RECOVERED = "audit:log:recovered"
    PIPELINE_RUN_RECORDED = "pipeline:run:recorded"

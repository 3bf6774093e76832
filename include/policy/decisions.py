"""What becomes of assignments and their values: the decision tables of the policy, as SQL.

Each CASE reads the columns of one situation (one row) and names a verdict; each table of outcomes says
which states a verdict stands for. All of engine.md 3.4, 3.10 and 3.11 that applies without roles is here.

A row is *in flight* from its order's sending until a read that started after the order was carried out.
While there is no answer (Transmitted) no read can tell, and an instant of execution is that of an earlier
order. A row is *stale* while the last read is older than its last execution: the repository does not show
it as it is by now.
"""

from __future__ import annotations

from include.policy.states import ProvisioningState as Provisioning
from include.policy.states import WorkflowState as Workflow

SENT = f"({Provisioning.TRANSMITTED:d}, {Provisioning.EXECUTED:d})"
CREATIONS = "('create', 'create as asked', 'validate')"
"""The fates of an assignment that is to have a resource of its own."""
UNSENT = (
    f"({Provisioning.NONE:d}, {Provisioning.PENDING:d}, {Provisioning.AWAITING_APPROVAL:d}, {Provisioning.INACTIVE:d})"
)
FAILED = f"({Provisioning.ERRORED:d}, {Provisioning.ERROR:d})"

FUNCTIONS = (
    """CREATE MACRO is_stale(executed_at, read_at) AS
        executed_at IS NOT NULL AND (read_at IS NULL OR read_at <= executed_at)""",
    f"""CREATE MACRO is_in_flight(state, executed_at, read_at) AS
        coalesce(state = {Provisioning.TRANSMITTED:d} OR state = {Provisioning.EXECUTED:d}
            AND (executed_at IS NULL OR is_stale(executed_at, read_at)), false)""",
)

# Columns: stored, included, present, taken, conflict, changed, dependency_met (booleans); matched_confidence;
# state, workflow, known_id, known_key (as stored); in_flight, irrevocable, stale, removal,
# proposed (booleans).
# Placeholders: allow_add, allow_remove, block, retry, suggested, validated (the type rule only suggests,
# or a person validates what it gives).
ASSIGNMENT_FATE = f"""
    CASE
        -- What is on its way is not decided again.
        WHEN irrevocable OR in_flight AND included THEN 'in flight'

        WHEN included THEN CASE
            WHEN workflow = {Workflow.DECLINED:d} THEN 'declined'
            -- Read back as deleted, or as created: the repository will show it after the next read.
            WHEN removal AND state = {Provisioning.VERIFIED:d} AND stale THEN 'in flight'
            WHEN present AND matched_confidence < 100 THEN 'proposed'
            WHEN present THEN 'owned'
            WHEN state = {Provisioning.VERIFIED:d} AND stale THEN 'in flight'
            WHEN stored AND NOT removal AND NOT proposed
                AND (known_id IS NOT NULL OR state = {Provisioning.VERIFIED:d} OR state IN {SENT}) THEN 'missing'
            WHEN conflict THEN 'dropped'
            WHEN $suggested AND workflow IS DISTINCT FROM {Workflow.APPROVED:d} THEN 'suggested'
            WHEN state IN {FAILED} AND NOT removal AND $retry THEN 'create as asked'
            WHEN state IN {FAILED} AND NOT removal AND NOT changed THEN 'creation failed'
            WHEN NOT $allow_add THEN 'not allowed'
            WHEN NOT dependency_met THEN 'waiting'
            WHEN state = {Provisioning.PENDING:d} AND NOT removal AND NOT ($block AND changed) THEN 'create as asked'
            WHEN $validated AND workflow IS DISTINCT FROM {Workflow.APPROVED:d} THEN 'validate'
            ELSE 'create'
        END

        -- From here on the owner is gone, or the type rule no longer includes it.
        WHEN proposed OR taken OR workflow = {Workflow.DECLINED:d} THEN 'dropped'
        WHEN removal AND state = {Provisioning.VERIFIED:d} AND stale THEN 'in flight'
        WHEN NOT present AND NOT (stale AND known_key IS NOT NULL) THEN 'dropped'
        -- Deleted by an order, and still there at a later read: a person must look.
        WHEN removal AND (state = {Provisioning.VERIFIED:d} OR state IN {SENT}) THEN 'survived'
        WHEN workflow = {Workflow.FOUND:d} AND state = {Provisioning.EXECUTED:d} AND known_id IS NOT NULL
            THEN 'survived'
        WHEN NOT $allow_remove THEN 'unwanted'
        WHEN removal AND state IN {FAILED} AND NOT $retry THEN 'deletion failed'
        WHEN removal AND (state IN {FAILED} OR state = {Provisioning.PENDING:d}) THEN 'delete as asked'
        ELSE 'delete'
    END
"""

# fate, provisioning state, workflow state (NULL: as it stands; 'gate': Pending, or Awaiting Approval
# where the resource type blocks), and what its values may do:
#   present   the target is there: compare        creation   there is none yet: they go with the creation
#   flight    wait                                idle       nothing may be sent
ASSIGNMENT_OUTCOMES = f"""
    (VALUES
        ('in flight', NULL, NULL, 'flight'),
        ('declined', NULL, NULL, 'idle'),
        ('proposed', {Provisioning.AWAITING_APPROVAL:d}, {Workflow.CALCULATED:d}, 'present'),
        ('owned', {Provisioning.VERIFIED:d}, {Workflow.CALCULATED:d}, 'present'),
        ('missing', NULL, {Workflow.FOUND:d}, 'idle'),
        ('creation failed', NULL, NULL, 'creation'),
        ('create as asked', {Provisioning.PENDING:d}, {Workflow.CALCULATED:d}, 'creation'),
        ('create', $gate, {Workflow.CALCULATED:d}, 'creation'),
        ('validate', {Provisioning.AWAITING_APPROVAL:d}, {Workflow.AUTOMATIC_WITH_VALIDATION:d}, 'creation'),
        ('suggested', {Provisioning.NONE:d}, {Workflow.SUGGESTED:d}, 'idle'),
        ('survived', {Provisioning.EXECUTED:d}, {Workflow.FOUND:d}, 'idle'),
        ('unwanted', {Provisioning.VERIFIED:d}, {Workflow.FOUND:d}, 'idle'),
        ('deletion failed', NULL, NULL, 'idle'),
        ('delete as asked', {Provisioning.PENDING:d}, {Workflow.CANCELLATION:d}, 'idle'),
        ('delete', $gate, {Workflow.CANCELLATION:d}, 'idle')
    ) AS outcome (fate, provisioning_state, workflow_state, mode)
"""

# Columns: mode, stored, in_flight, equal (the target holds what the policy says), changed (the policy says
# something else than when it was last decided), state, workflow (as stored), gate. Placeholder: retry.
# For scalars and for navigations alike.
VALUE_VERDICT = f"""
    CASE
        WHEN mode = 'creation' THEN 'as the creation'
        WHEN NOT stored AND mode <> 'present' THEN 'nothing'
        WHEN mode = 'flight' OR in_flight THEN 'kept'
        WHEN mode = 'idle' THEN CASE WHEN state IN {UNSENT} THEN 'put away' ELSE 'kept' END
        WHEN equal THEN 'verified'
        WHEN NOT stored OR changed OR state IN ({Provisioning.NONE:d}, {Provisioning.INACTIVE:d}) THEN 'decided'
        WHEN workflow = {Workflow.DECLINED:d} THEN 'kept'
        -- Approved by hand as it is: the value of the managed system stands until the policy changes.
        WHEN workflow = {Workflow.APPROVED:d} AND state = {Provisioning.VERIFIED:d} THEN 'kept'
        WHEN state IN {FAILED} THEN CASE WHEN $retry THEN 'asked again' ELSE 'kept' END
        WHEN state = {Provisioning.AWAITING_APPROVAL:d} THEN 'decided'
        WHEN state = {Provisioning.PENDING:d} THEN 'kept'
        ELSE 'gap'
    END
"""

VALUE_STATE = f"""
    CASE verdict
        WHEN 'as the creation' THEN parent_state
        WHEN 'verified' THEN {Provisioning.VERIFIED:d}
        WHEN 'decided' THEN gate
        WHEN 'asked again' THEN {Provisioning.PENDING:d}
        WHEN 'put away' THEN {Provisioning.INACTIVE:d}
        ELSE state
    END
"""

# Placeholder: removing, an SQL boolean: the policy takes the value away.
VALUE_WORKFLOW = f"""
    CASE
        WHEN verdict IN ('kept', 'put away') THEN workflow
        WHEN verdict = 'gap' THEN {Workflow.FOUND:d}
        WHEN verdict <> 'verified' AND $removing THEN {Workflow.CANCELLATION:d}
        ELSE {Workflow.CALCULATED:d}
    END
"""

# A new decision has not been carried out; the instant stays only where it tells that the read is older.
VALUE_EXECUTED_AT = f"""
    CASE
        WHEN verdict IN ('decided', 'asked again') AND NOT stale THEN NULL
        WHEN verdict = 'as the creation' AND parent_state NOT IN {FAILED} THEN NULL
        ELSE executed_at
    END
"""


def fill(template: str, **values: str | bool | int) -> str:
    """A decision table with its placeholders filled in."""
    for placeholder, value in values.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        template = template.replace(f"${placeholder}", text)
    return template

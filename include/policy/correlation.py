"""Whose is it: owners and targets that share a key, and no other, belong together.

Rules are tried by descending confidence, those of one confidence together. A key that several owners or
several targets share decides nothing: neither they nor a weaker rule pick one, the case is listed.
Cost is linear in rows: keys are counted on both sides before anything is paired.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from include.model.resource_type import CorrelationRule
from include.policy.workspace import Workspace
from include.storage.engine import literal

_TABLES = (
    "CREATE OR REPLACE TEMP TABLE matched (owner_id BIGINT, target_id BIGINT, confidence INTEGER)",
    "CREATE OR REPLACE TEMP TABLE conflict (owner_id BIGINT, target_id BIGINT, detail VARCHAR)",
    """CREATE OR REPLACE TEMP VIEW undecided_target AS
        SELECT * FROM free_target ANTI JOIN matched USING (target_id) ANTI JOIN conflict USING (target_id)""",
)
_UNDECIDED_OWNER = """CREATE OR REPLACE TEMP VIEW undecided_owner AS
    SELECT * FROM free_owner ANTI JOIN matched USING (owner_id) ANTI JOIN conflict USING (owner_id)
    WHERE included = $included"""
_LEVEL_TABLES = (
    "CREATE OR REPLACE TEMP TABLE pair (owner_id BIGINT, target_id BIGINT)",
    "CREATE OR REPLACE TEMP TABLE clash (owner_id BIGINT, target_id BIGINT, detail VARCHAR)",
)


def correlate(space: Workspace, rules: Sequence[CorrelationRule]) -> None:
    """Pair the owners of table ``free_owner`` with the targets of ``free_target``.

    Both are the tables ``owner`` and ``target`` (``include.policy.rules``) without those that are taken.
    Those who have left come last, for what the others leave: they are to lose it. Leaves ``matched``
    (owner_id, target_id, confidence) and ``conflict`` (owner_id, target_id where one side is alone or
    unknown, detail).
    """
    space.execute(*_TABLES)
    by_confidence = sorted(enumerate(rules), key=lambda item: -item[1].confidence)
    for (included,) in space.rows("SELECT DISTINCT included FROM free_owner ORDER BY included DESC"):
        space.execute(_UNDECIDED_OWNER.replace("$included", str(included)))
        for confidence, level in groupby(by_confidence, key=lambda item: item[1].confidence):
            space.execute(*_LEVEL_TABLES)
            for position, rule in level:
                space.execute(*_one_rule(position, rule))
            space.execute(_SEVERAL_PAIRS, _matches(confidence), "INSERT INTO conflict SELECT DISTINCT * FROM clash")


def _one_rule(position: int, rule: CorrelationRule) -> tuple[str, ...]:
    """Pairs of one rule, and who shares a key with too many."""
    label = literal(f" (rule {position + 1}: {rule.source_expression} = {rule.target_expression})")
    return (
        f"""CREATE OR REPLACE TEMP TABLE shared_key AS
            SELECT value, owners, owner_id, targets, target_id
            FROM (SELECT source_key_{position} AS value, count(*) AS owners, min(owner_id) AS owner_id
                  FROM undecided_owner GROUP BY ALL)
            JOIN (SELECT target_key_{position} AS value, count(*) AS targets, min(target_id) AS target_id
                  FROM undecided_target GROUP BY ALL) USING (value)""",
        "INSERT INTO pair SELECT owner_id, target_id FROM shared_key WHERE owners = 1 AND targets = 1",
        f"""INSERT INTO clash
            SELECT o.owner_id, CASE WHEN targets = 1 THEN target_id END,
                format('{{}} owners and {{}} targets share the key {{}}', owners, targets, value) || {label}
            FROM shared_key JOIN undecided_owner AS o ON o.source_key_{position} = value
            WHERE owners > 1 OR targets > 1""",
        f"""INSERT INTO clash
            SELECT NULL, t.target_id, NULL
            FROM shared_key JOIN undecided_target AS t ON t.target_key_{position} = value
            WHERE targets > 1""",
    )


# Rules of one confidence that lead one owner to several targets, or several owners to one target.
_SEVERAL_PAIRS = """INSERT INTO clash
    SELECT owner_id, target_id,
        format('rules of the same confidence lead to {} targets, and this one to {} owners', targets, owners)
    FROM (SELECT owner_id, target_id,
              count(*) OVER (PARTITION BY owner_id) AS targets, count(*) OVER (PARTITION BY target_id) AS owners
          FROM (SELECT DISTINCT owner_id, target_id FROM pair))
    WHERE targets > 1 OR owners > 1"""


def _matches(confidence: int) -> str:
    return f"""INSERT INTO matched
        SELECT DISTINCT owner_id, target_id, {confidence}
        FROM pair ANTI JOIN clash USING (owner_id) ANTI JOIN clash USING (target_id)"""

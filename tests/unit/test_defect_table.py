"""Every defect that users of such products met in synchronization, and the test that keeps it from coming back.

The first entries are from the release notes of the re-implemented product, the others from threads of
public issue trackers.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CSV, SINK = "tests/unit/connectors/files/test_csv.py", "tests/unit/connectors/test_sink.py"
PREPARE, COMPARE = "tests/unit/snapshot/test_prepare.py", "tests/unit/snapshot/test_compare.py"
LINKS, DIFFERENCE = "tests/unit/snapshot/test_links.py", "tests/unit/difference/test_compare.py"
INVARIANTS, BAD_INPUT, MODES, DEFECTS, ACCEPTANCE, KILLS = (
    f"tests/integration/orchestration/test_{name}.py"
    for name in ("invariants", "bad_input", "modes", "defects", "acceptance", "kills")
)

TABLE: dict[str, tuple[tuple[str, str], ...]] = {
    "5.2.3.16: links of restored objects left out": (
        (DEFECTS, "test_a_key_that_returns_gets_its_old_resource_id_and_its_links_back"),
    ),
    "5.2.0.8: files with a different header cannot be compared": (
        (DEFECTS, "test_a_header_in_another_order_is_no_change"),
        (PREPARE, "test_header_drift_names_the_column_and_the_nearest_one"),
        (BAD_INPUT, "test_a_bad_file_is_one_clear_line_and_changes_nothing"),
    ),
    "5.2.3.01: surrounding spaces trimmed": ((INVARIANTS, "test_a_value_arrives_byte_for_byte"),),
    "5.1.7.10, 5.2.0.2: doubled double quotes": (
        (INVARIANTS, "test_quotes_and_line_feeds_arrive_byte_for_byte"),
        (SINK, "test_every_text_survives_byte_for_byte"),
    ),
    "5.2.3.02: a change of case is not seen": (
        (DEFECTS, "test_a_change_of_case_only_is_an_update_of_the_same_resource"),
        (DIFFERENCE, "test_values_and_keys_are_compared_byte_for_byte"),
    ),
    "5.2.2.7: one error blocks all next synchronizations": (
        (DEFECTS, "test_one_bad_file_stops_its_own_connector_only"),
        (DEFECTS, "test_good_rows_are_loaded_beside_a_bad_one"),
        (ACCEPTANCE, "test_another_connector_still_runs"),
    ),
    "windows-1252 unsupported": ((CSV, "test_any_encoding_of_python_is_read"),),
    "a value of more than 4000 characters fails the task": ((DEFECTS, "test_a_long_value_arrives_whole"),),
    "a cyclic hierarchy overflows the stack": (
        (DEFECTS, "test_members_who_manage_each_other_are_loaded_changed_and_deleted"),
    ),
    "identical files produce changes": (
        (ACCEPTANCE, "test_1_a_complete_run_twice_has_no_changes_and_no_history_rows"),
    ),
    "a successful but empty answer deletes everybody": (
        (INVARIANTS, "test_an_empty_export_never_deletes_even_when_a_person_applies_it"),
        (ACCEPTANCE, "test_it_blocks_and_writes_nothing"),
    ),
    "a truncated answer deletes the rest: the report is incomplete": (
        (DEFECTS, "test_an_incomplete_answer_deletes_nothing_even_when_a_person_applies_it"),
        (COMPARE, "test_an_incomplete_table_blocks_while_rows_are_stored"),
    ),
    "a truncated answer deletes the rest: fewer rows than reported": (
        (COMPARE, "test_a_report_that_claims_more_rows_stops_before_any_change"),
    ),
    "a truncated answer deletes the rest: the file is cut": (
        (CSV, "test_a_file_cut_inside_a_line"),
        (CSV, "test_a_file_cut_inside_quotes"),
        (BAD_INPUT, "test_a_bad_file_is_one_clear_line_and_changes_nothing"),
    ),
    "a byte order mark in the first header": ((CSV, "test_a_byte_order_mark_is_no_part_of_the_first_header"),),
    "a rename is read as delete and create": ((INVARIANTS, "test_a_change_of_a_unique_key_is_an_update"),),
    "members that were removed stay, or take others along": (
        (DEFECTS, "test_a_removed_member_ends_that_link_only"),
        (LINKS, "test_a_member_who_is_nowhere_keeps_no_other_member_of_the_group"),
    ),
    "a synchronization deletes what it does not own": (
        (DEFECTS, "test_a_run_deletes_rows_and_links_of_its_own_connector_only"),
    ),
    "counters tell what was meant, not what was applied": (
        (DEFECTS, "test_the_counters_are_those_of_what_was_applied"),
    ),
    "a failed full refresh overwrites the good state": (
        (DEFECTS, "test_an_export_that_breaks_off_leaves_the_good_state"),
        (BAD_INPUT, "test_a_bad_file_is_one_clear_line_and_changes_nothing"),
    ),
    "one user's mistake blocks all others": ((INVARIANTS, "test_a_row_set_aside_is_not_a_deletion"),),
    "an expired token loses changes": (
        (MODES, "test_a_cookie_that_has_expired_makes_the_run_complete_and_is_on_record"),
    ),
    "the same delivery is applied twice": ((ACCEPTANCE, "test_the_same_incremental_delivered_twice_is_applied_once"),),
    "a task that was killed leaves half of its work": (
        (KILLS, "test_steps_killed_at_random_instants_end_like_undisturbed_ones"),
        (KILLS, "test_whichever_step_runs_first_after_a_load_that_died_leaves_its_snapshot_as_it_was"),
    ),
}


@pytest.mark.parametrize(("file", "test"), sorted({pair for pairs in TABLE.values() for pair in pairs}))
def test_every_defect_has_its_test(file: str, test: str) -> None:
    tree = ast.parse((ROOT / file).read_text())
    assert test in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}

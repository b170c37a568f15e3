"""Which test holds which rule of security; every test that is named exists and is run every day."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

RULES = {
    "S-1 nothing from disk is unpickled or run as code": (
        "tests/security/test_unpickling.py::test_the_suite_is_watched_and_fails_where_something_is_unpickled",
        "tests/security/test_unpickling.py::test_the_watch_tells_who_may_from_who_may_not",
        "tests/security/test_unpickling.py::test_a_run_unpickles_nothing_from_disk",
        "tests/security/test_unpickling.py::test_no_module_imports_or_calls_what_runs_data_as_code",
        "tests/models/logistic/test_model_faults.py::test_m04_a_pickle_is_never_opened",
        "tests/models/logistic/test_model_faults.py::test_m04_a_pickle_under_another_name_is_not_unpickled",
        "tests/models/logistic/test_model_faults.py::test_s01_nothing_is_unpickled_on_the_way_from_a_file_to_scores",
        "tests/sources/parquet/test_parquet_faults.py::test_q30_a_pickled_extension_type_is_not_unpickled",
    ),
    "S-6 what is prepared belongs to its owner alone": (
        "tests/publish/local/test_modes.py::test_what_is_prepared_is_private",
        "tests/publish/layout/test_output_rules.py::test_a_folder_of_preparations_of_somebody_else",
        "tests/publish/layout/test_output_rules.py::test_a_folder_of_preparations_that_is_a_link",
        "tests/publish/layout/test_output_rules.py::test_a_lock_that_is_a_link",
        "tests/security/test_private_staging.py::test_a_folder_that_was_made_before_is_closed_to_others",
        "tests/security/test_private_staging.py::test_a_link_planted_into_a_stopped_run_is_not_followed",
    ),
    "S-7 no dependency with a known hole": (
        "tests/security/test_pins.py::test_the_locks_are_in_order",
        "tests/security/test_pins.py::test_what_is_installed_without_the_locks_is_not_older_either",
        "tests/security/test_pins.py::test_what_is_planted_is_named",
    ),
    "S-8 names lead nowhere else": (
        "tests/publish/layout/test_output_rules.py::test_a_name_that_is_none",
        "tests/publish/layout/test_output_rules.py::test_a_parent_where_anyone_may_rename",
        "tests/publish/layout/test_output_rules.py::test_receipts_that_agree_with_a_forged_manifest",
        "tests/publish/local/test_attempts.py::test_names_that_are_none",
        "tests/publish/local/test_attempts.py::test_a_folder_swapped_for_a_link_is_not_followed",
        "tests/sources/test_discovery.py::test_a_partition_twice_or_not_utf8",
        "tests/sources/test_input_names.py::test_s08_names_that_are_no_inputs",
    ),
    "S-9 links: inputs are resolved, outputs refused": (
        "tests/sources/test_discovery.py::test_symbolic_links_are_followed_under_their_own_names",
        "tests/sources/test_discovery.py::test_loops_and_dangling_links",
        "tests/sources/test_input_races.py::test_s09_a_link_is_resolved_once",
        "tests/sources/test_input_races.py::test_s09_a_file_swapped_between_plan_and_read",
        "tests/publish/layout/test_output_rules.py::test_a_symbolic_link_even_to_a_version_of_ours",
        "tests/publish/layout/test_quarantine.py::test_a_folder_of_quarantines_that_is_a_link",
        "tests/publish/local/test_reuse.py::test_a_part_exchanged_between_the_look_and_the_link_is_not_adopted",
        "tests/publish/local/test_publishing.py::test_what_somebody_puts_there_during_the_run_is_not_touched",
        "tests/publish/local/test_resuming.py::test_a_folder_of_attempts_swapped_for_a_link_is_not_followed",
    ),
    "S-12 bombs are refused": (
        "tests/models/logistic/test_model_faults.py::test_s12_nesting_is_bounded",
        "tests/models/logistic/test_model_faults.py::test_s12_size_is_bounded",
        "tests/sources/csv/test_csv_faults.py::test_c24_a_gzip_of_one_byte_without_a_line_end",
        "tests/sources/parquet/test_parquet_faults.py::test_q08_a_batch_of_a_bomb_is_known_by_its_bytes_before_the_next_one",
        "tests/sources/parquet/test_parquet_faults.py::test_q09_footers_made_to_exhaust_memory",
        "tests/fuzz/test_fuzz.py::test_a_target_holds_over_its_seeds_and_mutations_of_them",
    ),
    "S-13 nothing foreign acts on a terminal or breaks a line of a log": (
        "tests/test_units.py::test_text_that_acts_on_a_terminal_is_made_visible",
        "tests/report/test_report_text.py::test_nothing_foreign_reaches_the_terminal",
        "tests/flow/test_bad_input.py::test_the_name_of_a_file_cannot_speak_to_the_terminal",
        "tests/jobs/test_translation.py::test_lines_stay_lines_and_control_characters_do_not",
        "tests/jobs/show/test_progress.py::test_warnings_and_notes_are_told_and_escaped",
        "tests/models/logistic/test_model_file.py::test_control_characters_never_reach_the_terminal",
        "tests/sources/test_discovery.py::test_control_characters_are_shown_escaped",
        "tests/sources/parquet/test_parquet_damage.py::test_names_are_escaped",
        "tests/sources/test_input_names.py::test_s13_names_of_files_are_escaped",
        "tests/sources/test_input_names.py::test_s13_what_a_footer_or_a_header_says_is_escaped",
        "tests/fuzz/test_fuzz.py::test_a_target_holds_over_its_seeds_and_mutations_of_them",
    ),
    "S-16 what is installed is what was locked": (
        "tests/security/test_pins.py::test_the_locks_are_in_order",
        "tests/test_packaging.py::test_pins_have_hashes_and_name_no_registry",
        "tests/test_packaging.py::test_every_dependency_is_pinned_within_its_bounds",
    ),
    "S-17 nothing is imported from the current folder": (
        "tests/jobs/test_translation.py::test_the_command_does_not_import_from_the_current_folder",
        "tests/execute/test_processes.py::test_a_script_from_cron_in_a_folder_full_of_traps",
    ),
    "S-19 a process that crashes leaves no data behind": (
        "tests/execute/test_processes.py::test_a_process_is_as_a_worker_should_be",
        "tests/jobs/test_cron.py::test_a_crash_leaves_no_core_behind",
        "tests/jobs/test_translation.py::test_anything_else_is_a_bug_with_a_traceback_that_holds_no_cells",
    ),
    "S-20 what was not computed is not written": (
        "tests/security/test_nothing_shows.py::test_no_sink_writes_what_lies_under_a_null",
        "tests/security/test_nothing_shows.py::test_no_output_holds_what_lay_under_a_null_of_the_input",
        "tests/security/test_nothing_shows.py::test_no_output_holds_memory_that_was_never_written",
        "tests/models/logistic/test_score_block.py::test_what_lies_under_a_null_never_shows",
    ),
    "G-10 neither home nor secrets show": ("tests/security/test_nothing_shows.py::test_neither_home_nor_secrets_show",),
}


@pytest.mark.parametrize("rule", RULES)
def test_the_tests_that_hold_a_rule_exist(rule: str) -> None:
    assert len(set(RULES[rule])) == len(RULES[rule]) > 0
    for node in RULES[rule]:
        path, *names = node.split("::")
        body: list[ast.stmt] = ast.parse((ROOT / path).read_text()).body
        for name in names:
            found = [part for part in body if isinstance(part, ast.FunctionDef | ast.ClassDef) and part.name == name]
            assert len(found) == 1, f"{node} is not there"
            body = found[0].body
            marks = "".join(map(ast.unparse, found[0].decorator_list))
            assert "campaign" not in marks, f"{node} is not run every day"
            assert "mark.skip(" not in marks, f"{node} is not run"


def test_every_rule_of_the_first_kind_is_held() -> None:
    wanted = {f"S-{number}" for number in (1, 6, 7, 8, 9, 12, 13, 16, 17, 19, 20)}
    assert wanted <= {rule.split(" ")[0] for rule in RULES}

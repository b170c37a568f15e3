"""Every fault of an input that is considered, with the tests that show what happens then."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PARQUET = "tests/sources/parquet/test_parquet_source.py"
DAMAGE = "tests/sources/parquet/test_parquet_damage.py"
PARQUET_FAULTS = "tests/sources/parquet/test_parquet_faults.py"
TIMESTAMPS = "tests/sources/parquet/test_timestamps.py"
KEPT = "tests/flow/test_kept_types.py"
TEXTS = "tests/sources/parquet/test_text_encodings.py"
CSV = "tests/sources/csv/test_csv_source.py"
CSV_FAULTS = "tests/sources/csv/test_csv_faults.py"
CELLS = "tests/sources/csv/test_csv_cells.py"
CELLS_FLOW = "tests/flow/test_csv_cells.py"
ENCODINGS = "tests/sources/csv/test_csv_encoding_faults.py"
STRUCTURE = "tests/sources/csv/test_csv_structure.py"
DIALECT = "tests/flow/test_csv_dialect.py"
CUTS = "tests/sources/csv/test_cut_property.py"
NAMES = "tests/sources/test_input_names.py"
DISCOVERY = "tests/sources/test_discovery.py"
CONTENT = "tests/sources/test_content.py"
RACES = "tests/sources/test_input_races.py"
FORMATS = "tests/sources/test_foreign_formats.py"
LAKES = "tests/sources/test_lakes.py"
BOMBS = "tests/sources/test_input_bombs.py"
COLUMNS = "tests/models/test_columns.py"
SCORE = "tests/models/logistic/test_score_block.py"
TYPED = "tests/models/logistic/test_typed_levels.py"
BAD_INPUT = "tests/flow/test_bad_input.py"
INPUT_FAULTS = "tests/flow/test_input_faults.py"
DRIFT = "tests/flow/test_drift.py"
RENAME = "tests/flow/test_rename.py"
TYPES = "tests/sources/test_column_types.py"
WIDE = "tests/flow/test_wide_columns.py"

# row: (what it is, tests); a test is (file, name) or (file, class, name)
ROWS: dict[str, tuple[str, list[tuple[str, ...]]]] = {
    "Q-1": (
        "not a Parquet file, cut short, a folder",
        [
            (DAMAGE, "test_what_is_no_parquet_file"),
            (DAMAGE, "test_cut_short_anywhere"),
            (DAMAGE, "test_not_a_file"),
            (BAD_INPUT, "test_a_damaged_parquet_file_is_named_before_work"),
        ],
    ),
    "Q-2": (
        "hostile files",
        [
            (PARQUET_FAULTS, "test_q02_mutants_are_read_or_refused_by_name_and_never_crash"),
            (DAMAGE, "test_what_arrow_raises_becomes_ours"),
        ],
    ),
    "Q-3": (
        "not as many rows as the footer states",
        [
            (DAMAGE, "test_a_footer_that_lies_about_rows"),
            (PARQUET_FAULTS, "test_q03_rows_of_nested_columns_are_counted_against_the_footer"),
        ],
    ),
    "Q-4": ("not as many values as rows", [(DAMAGE, "test_a_footer_that_lies_about_rows")]),
    "Q-5": (
        "no rows, no row groups, no columns",
        [
            (PARQUET, "test_a_row_group_without_rows_and_a_file_without_row_groups"),
            (DAMAGE, "test_no_columns"),
            (BAD_INPUT, "test_nothing_but_empty_inputs"),
            (INPUT_FAULTS, "test_a_faulty_file_beside_a_good_one_is_refused_by_name"),
        ],
    ),
    "Q-6": (
        "flipped bits and holes under checksums",
        [
            (DAMAGE, "test_flipped_bits_are_noticed_by_the_page_checksums"),
            (DAMAGE, "test_a_flipped_bit_in_a_value"),
            (PARQUET_FAULTS, "test_q06_holes_of_zeros_are_noticed_by_the_page_checksums"),
        ],
    ),
    "Q-7": (
        "flipped bits without checksums",
        [
            (PARQUET_FAULTS, "test_q07_a_flip_without_checksums_shows_in_the_full_fingerprint_alone"),
            (INPUT_FAULTS, "test_q07_c26_an_edit_with_the_old_time_is_noticed_where_all_bytes_are_digested"),
        ],
    ),
    "Q-8": (
        "decompression bombs",
        [
            (PARQUET_FAULTS, "test_q08_a_ratio_is_no_error"),
            (PARQUET_FAULTS, "test_q08_a_batch_of_a_bomb_is_known_by_its_bytes_before_the_next_one"),
            (INPUT_FAULTS, "test_q08_a_row_that_does_not_fit_the_memory_is_refused"),
            (WIDE, "test_long_texts_are_refused_by_name_in_a_small_one"),
            (TEXTS, "test_text_that_repeats_a_long_prefix_does_not_take_all_memory_at_once"),
        ],
    ),
    "Q-9": (
        "footers that exhaust memory, deep schemas",
        [
            (PARQUET_FAULTS, "test_q09_footers_made_to_exhaust_memory"),
            (DAMAGE, "test_a_schema_too_deep"),
        ],
    ),
    "Q-10": ("many columns", [(PARQUET_FAULTS, "test_q10_of_many_columns_those_needed_are_read")]),
    "Q-11": ("encrypted", [(DAMAGE, "test_encrypted")]),
    "Q-12": (
        "INT96",
        [
            (PARQUET, "test_int96_timestamps_far_from_today"),
            (TIMESTAMPS, "test_int96_stays_in_microseconds_and_takes_every_year"),
            (TIMESTAMPS, "test_int96_beyond_nanoseconds_is_a_bad_cell_never_another_date"),
            (TIMESTAMPS, "test_int96_beyond_microseconds_is_a_bad_cell_too"),
            (KEPT, "test_int96_beyond_nanoseconds_is_set_aside_and_the_accounts_balance"),
        ],
    ),
    "Q-13": (
        "dates and times",
        [
            (PARQUET, "test_kept_columns_come_exactly_as_they_stand"),
            (BAD_INPUT, "test_a_feature_of_an_unfit_type"),
        ],
    ),
    "Q-14": (
        "decimals",
        [
            (PARQUET, "test_kept_columns_come_exactly_as_they_stand"),
            (COLUMNS, "test_a_decimal_is_exact_where_its_digits_survive"),
            (BAD_INPUT, "test_a_feature_of_an_unfit_type"),
            (BAD_INPUT, "test_a_number_that_float64_cannot_hold"),
        ],
    ),
    "Q-15": (
        "nested columns",
        [
            (PARQUET, "test_kept_columns_come_exactly_as_they_stand"),
            (BAD_INPUT, "test_a_feature_of_an_unfit_type"),
        ],
    ),
    "Q-16": (
        "dictionaries",
        [
            (PARQUET_FAULTS, "test_q16_each_row_group_has_a_dictionary_of_its_own"),
            (PARQUET, "test_text_categories_come_as_dictionaries"),
            (INPUT_FAULTS, "test_q16_dictionaries_that_differ_between_files_and_row_groups"),
        ],
    ),
    "Q-17": (
        "integers beyond 2**53",
        [
            (COLUMNS, "test_integers_beyond_2_53_are_inexact"),
            (BAD_INPUT, "test_a_number_that_float64_cannot_hold"),
        ],
    ),
    "Q-18": (
        "nulls in features",
        [
            (BAD_INPUT, "test_null_nan_and_empty_text"),
            (BAD_INPUT, "test_the_policy_error_names_the_place"),
            (INPUT_FAULTS, "test_q18_to_q20_floats_of_any_width_give_the_same_bits"),
        ],
    ),
    "Q-19": (
        "NaN and infinities",
        [
            (SCORE, "test_infinities_are_values_and_their_difference_is_counted_as_nan"),
            (INPUT_FAULTS, "test_q18_to_q20_floats_of_any_width_give_the_same_bits"),
            (TYPED, "test_nan_in_a_categorical_column_of_floats_is_missing"),
        ],
    ),
    "Q-20": ("narrow floats", [(INPUT_FAULTS, "test_q18_to_q20_floats_of_any_width_give_the_same_bits")]),
    "Q-21": (
        "a column name twice",
        [
            (PARQUET, "test_missing_and_double_columns_are_named"),
            (BAD_INPUT, "test_a_parquet_file_with_the_column_twice"),
        ],
    ),
    "Q-22": (
        "a column missing",
        [
            (PARQUET, "test_missing_and_double_columns_are_named"),
            (INPUT_FAULTS, "test_a_faulty_file_beside_a_good_one_is_refused_by_name"),
        ],
    ),
    "Q-23": ("dots in names", [(PARQUET, "test_names_with_dots_are_exact")]),
    "Q-24": (
        "files that differ",
        [
            (BAD_INPUT, "test_every_difference_of_every_file_is_listed_at_once"),
            (BAD_INPUT, "test_columns_in_another_order_and_extra_columns_are_fine"),
        ],
    ),
    "Q-25": ("statistics that lie", [(PARQUET_FAULTS, "test_q25_statistics_that_lie_change_nothing")]),
    "Q-26": (
        "text that is not UTF-8",
        [
            (DAMAGE, "test_text_that_is_not_utf8"),
            (INPUT_FAULTS, "test_a_faulty_file_beside_a_good_one_is_refused_by_name"),
        ],
    ),
    "Q-27": ("a huge row group", [(DAMAGE, "test_memory_stays_flat_on_one_huge_row_group")]),
    "Q-28": (
        "odd writers and codecs",
        [
            (PARQUET_FAULTS, "test_q28_a_footer_that_says_odd_things"),
            (PARQUET_FAULTS, "test_q28_lz4_as_hadoop_names_it"),
            (PARQUET_FAULTS, "test_q28_gzip_members_one_behind_the_other"),
            (TEXTS, "test_scores_and_kept_text_are_those_of_the_same_rows_with_dictionaries"),
            (TEXTS, "test_a_file_of_duckdb_in_version_2_scores_as_the_same_rows_do"),
            (TEXTS, "test_what_arrow_does_not_support_names_the_column_and_is_not_called_damage"),
        ],
    ),
    "Q-29": (
        "changed while it is read",
        [
            (DAMAGE, "test_a_change_is_noticed_when_reading_stops_early"),
            (DAMAGE, "test_another_footer_under_the_same_size_and_time"),
            (BAD_INPUT, "test_an_input_that_changes_once_it_was_planned"),
            (BAD_INPUT, "test_an_input_that_changes_while_another_is_read"),
        ],
    ),
    "Q-30": (
        "extension types",
        [
            (PARQUET_FAULTS, "test_q30_unknown_extension_types_come_as_they_are_stored"),
            (PARQUET_FAULTS, "test_q30_a_pickled_extension_type_is_not_unpickled"),
            (KEPT, "test_kept_uuid_and_json_columns_keep_their_logical_type"),
            (KEPT, "test_a_note_names_the_column_and_the_loss"),
        ],
    ),
    "C-1": (
        "ragged",
        [
            (CSV, "TestBadRecords", "test_ragged"),
            (CSV_FAULTS, "test_c01_every_ragged_record_has_its_place_and_its_text"),
        ],
    ),
    "C-2": (
        "quoted line ends",
        [
            (CSV_FAULTS, "test_c02_quoted_line_ends_whatever_the_size_of_what_is_parsed"),
            (CUTS, "test_slices_read_apart_are_the_rows_of_the_whole"),
        ],
    ),
    "C-3": (
        "a quote left open",
        [(CSV, "TestBadRecords", "test_an_unterminated_quote"), (BAD_INPUT, "test_a_quote_left_open")],
    ),
    "C-4": (
        "odd quoting",
        [
            (CSV_FAULTS, "test_c04_a_quote_inside_an_unquoted_field_stays_legal"),
            (CSV_FAULTS, "test_c04_text_behind_a_closing_quote_makes_a_bad_row"),
            (CSV_FAULTS, "test_c04_text_behind_a_closing_quote_in_the_header"),
            (CUTS, "test_slices_read_apart_are_the_rows_of_one_arrow_reader"),
            (CUTS, "test_odd_quoting_is_counted_alike_in_any_cut"),
            (CUTS, "test_quoting_behind_a_limit_is_not_counted"),
            (INPUT_FAULTS, "test_c04_odd_quoting_is_counted_in_report_and_manifest"),
            (DIALECT, "test_text_behind_a_closing_quote_and_comments_among_records_go_to_the_quarantine"),
            (STRUCTURE, "TestEscape", "test_the_example_is_two_records_as_duckdb_reads_it"),
            (STRUCTURE, "TestEscape", "test_an_escaped_line_end_does_not_merge_records"),
            (STRUCTURE, "TestNoQuote", "test_quotes_are_text"),
            (STRUCTURE, "TestLineEndsInsideQuotes", "test_their_number_is_an_event_whenever_there_are_any"),
            (DIALECT, "test_line_ends_inside_quotes_are_stated_in_the_report_whenever_there_are_any"),
        ],
    ),
    "C-5": ("a byte order mark", [(CSV, "TestHeader", "test_names_come_as_they_are_written")]),
    "C-6": (
        "UTF-16 without --encoding",
        [(CSV, "TestHeader", "test_what_is_no_header"), (ENCODINGS, "test_utf_16_without_its_mark_is_refused")],
    ),
    "C-7": (
        "not UTF-8",
        [
            (CSV, "TestBadRecords", "test_invalid_utf8_is_bad_where_it_is_needed"),
            (BAD_INPUT, "test_a_kept_cell_that_is_not_utf8_is_refused_and_an_unused_one_is_not"),
        ],
    ),
    "C-8": (
        "line ends",
        [
            (CSV, "TestRecords", "test_line_ends"),
            (CSV, "TestHeader", "test_a_header_alone_is_zero_rows"),
            (CSV_FAULTS, "test_c08_mixed_line_ends_and_none_at_the_end"),
        ],
    ),
    "C-9": (
        "NUL",
        [
            (CSV, "TestBadRecords", "test_nul_is_bad_wherever_it_stands"),
            (CSV, "TestBadRecords", "test_a_torn_tail_of_nul"),
        ],
    ),
    "C-10": (
        "a long field",
        [
            (CSV_FAULTS, "test_c10_a_field_longer_than_what_is_parsed_at_a_time"),
            (BAD_INPUT, "test_a_cell_longer_than_a_chunk_is_read_whole"),
        ],
    ),
    "C-11": (
        "an empty file",
        [
            (CSV, "TestHeader", "test_an_empty_file_has_no_columns_and_no_rows"),
            (BAD_INPUT, "test_nothing_but_empty_inputs"),
        ],
    ),
    "C-12": (
        "only a header",
        [(CSV, "TestHeader", "test_a_header_alone_is_zero_rows"), (BAD_INPUT, "test_nothing_but_empty_inputs")],
    ),
    "C-13": ("no header", [(CSV_FAULTS, "test_c13_a_header_that_is_data_names_what_it_says")]),
    "C-14": (
        "column names twice or blank",
        [
            (CSV, "TestHeader", "test_duplicate_and_blank_names_matter_only_where_needed"),
            (BAD_INPUT, "test_a_name_that_is_twice_or_blank_matters_only_where_it_is_needed"),
            (RENAME, "test_an_unnamed_or_repeated_column_is_named_as_pandas_names_it"),
            (RENAME, "test_a_feature_named_by_a_repeated_column_stays_an_error"),
        ],
    ),
    "C-15": ("a repeated header", [(CSV_FAULTS, "test_c15_a_header_in_the_middle_may_be_of_concatenated_files")]),
    "C-16": (
        "a decimal comma",
        [
            (CELLS, "TestNumbers", "test_separators_give_the_bits_of_the_plain_spelling"),
            (CELLS, "TestNumbers", "test_separators_give_what_duckdb_gives"),
            (CELLS, "TestNumbers", "test_a_point_is_a_bad_cell_where_the_comma_is_decimal"),
            (CELLS_FLOW, "test_errors_of_cells_suggest_the_cure"),
            (CSV_FAULTS, "test_c16_a_decimal_comma_is_no_number"),
            (INPUT_FAULTS, "test_c16_a_decimal_comma_is_refused_and_not_cut"),
        ],
    ),
    "C-17": (
        "thousands, currencies, percent",
        [
            (CSV_FAULTS, "test_c17_numbers_written_for_people_are_bad_cells"),
            (CELLS, "TestNumbers", "test_anything_but_groups_of_exactly_three_is_a_bad_cell"),
            (CELLS, "TestNumbers", "test_infinities_and_integers_beyond_2_53_stay_right"),
            (CELLS, "test_a_number_is_what_its_groups_say_or_a_bad_cell"),
        ],
    ),
    "C-18": (
        "spellings of null",
        [
            (CSV_FAULTS, "test_c18_only_the_spellings_that_were_named_are_null"),
            (CSV, "TestValues", "test_null_is_the_unquoted_empty_field"),
            (CSV, "TestValues", "test_spellings_of_null_are_for_features_alone"),
            (CELLS, "TestNulls", "test_a_quoted_empty_field_is_null_where_a_number_is_read"),
            (CELLS, "TestNulls", "test_a_quoted_cell_is_not_another_number_because_of_what_is_in_it"),
            (CELLS, "TestNulls", "test_quoted_null_and_pandas_decide_whether_quotes_matter"),
            (CELLS, "TestNulls", "test_null_pandas_takes_what_pandas_takes_quoted_or_not"),
        ],
    ),
    "C-19": (
        "overflow",
        [
            (CSV_FAULTS, "test_c19_a_number_beyond_its_type"),
            (INPUT_FAULTS, "test_c19_an_integer_beyond_its_type_is_refused"),
        ],
    ),
    "C-20": ("a type that shows late", [(CSV_FAULTS, "test_c20_no_type_comes_from_the_rows_that_come_first")]),
    "C-21": (
        "blank lines",
        [
            (CSV, "TestRecords", "test_one_column_has_blank_lines_as_rows"),
            (BAD_INPUT, "test_a_blank_line_is_a_record_where_there_is_one_column"),
        ],
    ),
    "C-22": (
        "damaged compression",
        [
            (CSV_FAULTS, "test_c22_compressed_data_cut_anywhere_or_with_more_behind_it"),
            (CSV_FAULTS, "test_c22_flips_in_compressed_data_are_noticed"),
            (CSV_FAULTS, "test_c22_other_compression_is_refused_by_name"),
            (CSV_FAULTS, "test_c22_zero_padding_behind_a_gzip_member_is_read"),
            (CSV_FAULTS, "test_c22_zeros_inside_a_gzip_member_are_damage"),
            (BAD_INPUT, "test_damaged_compression"),
        ],
    ),
    "C-23": (
        "several gzip members",
        [
            (CSV_FAULTS, "test_c23_a_second_header_in_a_second_member_is_recognised"),
            (BAD_INPUT, "test_a_member_behind_the_first_of_a_gzip_file_begins_with_no_header"),
        ],
    ),
    "C-24": (
        "a gzip bomb",
        [
            (CSV_FAULTS, "test_c24_a_gzip_of_one_byte_without_a_line_end"),
            (CSV, "TestCompressed", "test_a_great_text_in_a_small_file_takes_little_memory"),
        ],
    ),
    "C-25": (
        "comments, preambles, totals",
        [
            (CSV_FAULTS, "test_c25_lines_before_the_header_are_taken_for_one"),
            (CSV_FAULTS, "test_c25_comments_and_totals_are_bad_records"),
            (STRUCTURE, "TestSkipLines", "test_so_many_physical_lines_before_the_header_are_skipped"),
            (STRUCTURE, "TestSkipLines", "test_a_file_too_short_for_them_is_a_clear_error"),
            (STRUCTURE, "TestComment", "test_lines_before_the_header_that_begin_with_it_are_skipped"),
            (STRUCTURE, "TestComment", "test_behind_the_header_such_a_record_is_a_bad_row"),
            (INPUT_FAULTS, "test_a_faulty_file_beside_a_good_one_is_refused_by_name"),
        ],
    ),
    "C-26": (
        "appended to while it is read",
        [
            (CSV, "test_a_file_that_grows_while_it_is_read"),
            (CONTENT, "test_a_file_that_changes_while_it_is_digested"),
            (BAD_INPUT, "test_an_input_that_changes_once_it_was_planned"),
        ],
    ),
    "C-27": (
        "not a file",
        [
            (CSV_FAULTS, "test_c27_what_is_no_file_is_not_waited_for"),
            (CSV_FAULTS, "test_c27_standard_input_has_no_name_here"),
            (BAD_INPUT, "test_a_fifo_is_no_input"),
        ],
    ),
    "S-8": (
        "values in a path never become a path",
        [
            (NAMES, "TestPaths", "test_s08_a_value_in_a_path_never_becomes_a_path"),
            (NAMES, "test_s08_names_that_are_no_inputs"),
            (DISCOVERY, "test_any_text_survives_a_folder_name"),
            (INPUT_FAULTS, "test_s08_a_value_in_a_path_makes_no_path_of_the_output"),
        ],
    ),
    "S-9": (
        "links and races",
        [
            (RACES, "test_s09_a_link_is_resolved_once"),
            (RACES, "test_s09_a_file_swapped_between_plan_and_read"),
            (RACES, "test_s09_rows_come_from_the_file_that_was_compared"),
            (DISCOVERY, "test_symbolic_links_are_followed_under_their_own_names"),
        ],
    ),
    "S-12": (
        "bombs",
        [
            (BOMBS, "test_s12_a_pattern_of_many_stars_takes_little_time"),
            (BOMBS, "test_s12_folders_far_below_folders"),
            (BOMBS, "test_s12_loops_of_links_are_refused"),
            (BOMBS, "test_s12_links_that_double_the_ways_at_every_step_are_refused"),
            (PARQUET_FAULTS, "test_q09_footers_made_to_exhaust_memory"),
            (CSV_FAULTS, "test_c24_a_gzip_of_one_byte_without_a_line_end"),
            (CSV, "TestHeader", "test_what_is_no_header"),
        ],
    ),
    "S-13": (
        "control characters",
        [
            (NAMES, "test_s13_names_of_files_are_escaped"),
            (NAMES, "test_s13_names_of_columns_are_escaped"),
            (NAMES, "test_s13_values_in_a_path_are_escaped"),
            (INPUT_FAULTS, "test_s13_cells_are_escaped_in_the_message_of_a_run"),
        ],
    ),
    "D-1": (
        "a kept column of another type in each file",
        [
            (TYPES, "test_the_unified_type_is_the_same_for_every_permutation"),
            (DRIFT, "test_kept_columns_unify_by_themselves_where_nothing_is_lost"),
            (DRIFT, "test_int64_with_float64_is_an_error_that_names_the_type_for_parquet_too"),
        ],
    ),
    "D-2": (
        "a column that some files lack",
        [
            (DRIFT, "test_the_default_is_the_error_whose_remedy_names_absent_null"),
            (DRIFT, "test_a_column_that_a_file_lacks_is_null_in_its_rows"),
            (DRIFT, "test_a_column_that_no_file_has_stays_an_error"),
        ],
    ),
    "D-3": (
        "a column in the file and in its path",
        [
            (DRIFT, "test_a_column_that_the_path_has_too_is_no_error_where_the_job_does_not_need_it"),
            (DRIFT, "test_a_difference_is_65"),
            (DRIFT, "test_a_path_that_is_not_of_the_type_of_the_column_is_refused_before_work"),
        ],
    ),
    "D-4": (
        "a column with the name of one that is made",
        [
            (RENAME, "test_an_input_that_has_probability_already"),
            (RENAME, "test_a_rename_that_cannot_be_is_a_usage_error"),
        ],
    ),
    "F-1": (
        "data or a model in another format",
        [
            (FORMATS, "test_a_format_is_known_as_input_by_ending_and_told_what_to_do"),
            (FORMATS, "test_a_format_is_known_as_input_by_first_bytes"),
            (FORMATS, "test_a_format_is_known_as_model_by_ending_or_first_bytes"),
            (FORMATS, "test_what_is_inside_a_gzip_is_known_too"),
            (FORMATS, "test_a_header_that_spells_a_mark_is_a_header"),
            (FORMATS, "test_nothing_is_ever_unpickled"),
        ],
    ),
    "F-2": (
        "a folder whose log decides which files are data",
        [
            (LAKES, "test_a_table_is_refused_by_name_below_an_input_and_above_a_file_or_pattern"),
            (LAKES, "test_a_link_into_a_table_is_refused"),
        ],
    ),
    "F-3": (
        "files without an ending",
        [
            (
                FORMATS,
                "TestFilesWithoutAnEnding",
                "test_parquet_is_known_by_its_magic_and_text_only_where_the_name_is_part",
            ),
            (FORMATS, "test_a_damaged_parquet_file_without_the_ending_is_not_called_text"),
        ],
    ),
    "F-4": (
        "integers that a float64 cannot hold",
        [
            (KEPT, "test_int64_beyond_2_53_is_a_bad_cell_whose_message_names_the_type_that_rounds"),
            (KEPT, "test_type_ts_float64_rounds_by_the_users_word"),
        ],
    ),
}


@cache
def names_in(file: str) -> set[tuple[str, ...]]:
    """Return the tests of a file, those of a class with its name."""
    found: set[tuple[str, ...]] = set()
    for node in ast.parse((ROOT / file).read_text()).body:
        if isinstance(node, ast.FunctionDef):
            found.add((node.name,))
        elif isinstance(node, ast.ClassDef):
            found |= {(node.name, method.name) for method in node.body if isinstance(method, ast.FunctionDef)}
    return found


def test_every_fault_of_input_has_a_row() -> None:
    expected = [f"Q-{number}" for number in range(1, 31)] + [f"C-{number}" for number in range(1, 28)]
    expected += ["S-8", "S-9", "S-12", "S-13"]
    assert list(ROWS) == [*expected, *(f"{kind}-{number}" for kind in "DF" for number in range(1, 5))]


@pytest.mark.parametrize("row", ROWS)
def test_the_tests_of_a_row_exist(row: str) -> None:
    _, tests = ROWS[row]
    assert tests
    for file, *name in tests:
        assert name[-1].startswith("test_")
        assert tuple(name) in names_in(file), f"{row}: {file} has no {'::'.join(name)}"

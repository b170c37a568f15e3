"""What ``<TAB>`` offers, in the words that the three shells are answered in."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.cli import JOBS, group
from jobs.options import FINGERPRINT, FORMAT
from jobs.options.columns import Csv, column_names
from jobs.options.completion import TYPES
from jobs.options.shells import answer, split_line
from pipeline.registry import FUNCTIONS
from pipeline.sources import column_types

Complete = Callable[..., list[str]]


@pytest.fixture
def complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Complete:
    """Answer a shell, in a folder with data, about a line that ends where the cursor is."""
    monkeypatch.chdir(tmp_path)
    Path("flights.csv").write_text('id,dep delay,"a,b",carrier\n1,2,3,AA\n')
    table = pa.table({"id": [1], "where": [{"lon": 1.0, "lat": 2.0}], "tags": [["a"]], "delay": [1.5]})
    for folder in ("year=2012", "year=2013"):
        (tmp_path / "data" / folder).mkdir(parents=True)
        pq.write_table(table, tmp_path / "data" / folder / "part-0.parquet")

    def call(line: str, shell: str = "bash") -> list[str]:
        monkeypatch.setenv("COMP_WORDS", line)
        return answer(group, f"{shell}_complete").splitlines()

    return call


def plain(*words: str) -> list[str]:
    return [f"plain,{word}" for word in words]


def parts(*words: str) -> list[str]:
    return [f"part,{word}" for word in words]


def test_commands_and_subcommands(complete):
    assert complete("logitstream ") == plain(*JOBS)
    assert complete("logitstream sc") == plain("score")
    assert complete("logitstream runs ") == plain("list", "show", "clean")
    assert complete("logitstream bench fun") == plain("functions")


def test_the_columns_of_a_file_in_another_encoding_are_offered_where_they_can_be_read(complete):
    Path("german.csv").write_bytes("größe;region;kunde\n1;N;2\n".encode("latin-1"))
    line = "logitstream score german.csv --delimiter ';' "
    assert complete(f"{line}--keep re") == plain("region")
    assert complete(f"{line}--keep ") == plain("region", "kunde")
    assert complete(f"{line}--encoding latin-1 --keep g") == plain("größe")


def test_options(complete):
    assert complete("logitstream --v") == plain("--version")
    assert complete("logitstream score --keep-") == plain("--keep-versions")
    assert complete("logitstream score --model m.json --mo") == []
    assert complete("logitstream runs clean out --s") == plain("--stopped")
    assert complete("logitstream score --version --raw") == plain("--raw-prediction")


@pytest.mark.parametrize("line", ["--format ", "--format=", "flights.csv --model m.json --format "])
def test_words_of_a_closed_list(complete, line):
    assert complete(f"logitstream score {line}") == plain(*FORMAT.words)


def test_words_of_other_lists(complete):
    assert complete("logitstream diagnose ini") == plain("initialisation")
    assert complete("logitstream diagnose g") == plain("gradients")
    assert complete("logitstream diagnose gradients x --missing-target ") == plain("error", "drop")
    assert complete("logitstream diagnose initialisation --initialisation ") == plain("normal", "glorot", "he")
    assert complete("logitstream diagnose initialisation --function s") == plain("sigmoid", "softplus", "silu")
    assert complete("logitstream score --fingerprint f") == plain(*(w for w in FINGERPRINT.words if w[0] == "f"))
    assert complete("logitstream score --scheduler t") == [*plain("threads"), *parts("tcp://", "tls://")]
    assert complete("logitstream score --if-running w") == [*plain("wait"), *parts("wait=")]
    assert complete("logitstream score --workers ") == []


@pytest.mark.parametrize(
    "line",
    [
        "score ",
        "score a.csv ",
        "score a.csv --model ",
        "score a.csv --model=da",
        "score a.csv -q --output o",
        "score --config ",
        "inspect ",
        "verify o",
        "runs list a b ",
        "model show ",
        "demo --output ",
        "bench functions --plot ",
        "diagnose initialisation --plot ",
        "diagnose gradients ",
        "diagnose gradients x --model ",
    ],
)
def test_a_path_is_left_to_the_shell(complete, line):
    assert complete(f"logitstream {line}") == ["file,"]


@pytest.mark.parametrize(
    "line",
    ["scroe ", "scroe --", "runs lst ", "runs lst out --", "model show m.json ", "verify out "],
)
def test_an_unknown_command_or_one_that_takes_no_more_offers_nothing(complete, line):
    assert complete(f"logitstream {line}") == []


def test_columns_of_a_csv(complete):
    assert complete("logitstream score flights.csv --keep ") == plain("id", "dep\\ delay", '\\"a,b\\"', "carrier")
    assert complete("logitstream score flights.csv --keep id,c") == plain("id,carrier")
    assert complete("logitstream score flights.csv --keep=carrier,i") == plain("carrier,id")
    assert complete("logitstream score flights.csv --keep id,") == plain("id,dep\\ delay", 'id,\\"a,b\\"', "id,carrier")


def test_only_inputs_have_columns_to_offer(complete):
    Path("other.csv").write_text("first,second\n1,2\n")
    assert complete("logitstream score flights.csv --model other.csv --keep c") == plain("carrier")
    assert complete("logitstream score flights.csv --model other.csv --keep f") == []


def test_a_header_needs_no_line_end_but_must_be_read_whole(complete):
    Path("only-header.csv").write_text("id,carrier")
    assert complete("logitstream score only-header.csv --keep ") == plain("id", "carrier")
    Path("long-header.csv").write_text(",".join(f"column_{number}" for number in range(10_000)) + "\n")
    assert complete("logitstream score long-header.csv --keep ") == []


def test_columns_of_parquet_files_and_their_folders(complete):
    expected = plain("id", "where", "tags", "delay", "year")
    assert complete("logitstream score data --keep ") == expected
    assert complete("logitstream score data/ --keep ") == expected
    assert complete("logitstream score 'data/*/*.parquet' --keep ") == expected
    assert complete('logitstream score "data/year=201?" --keep ') == expected
    assert complete("logitstream score data/year=2012/part-0.parquet --keep ") == expected
    assert complete("logitstream plan nothing data --keep d") == plain("delay")


def test_columns_follow_the_options_and_the_file_of_options(complete, tmp_path):
    Path("no-header.txt").write_text("1;2\n")
    assert complete("logitstream score no-header.txt --columns x,y --keep ") == plain("x", "y")
    Path("other.txt").write_text("f\xfcnf;sechs\n", encoding="latin-1")
    assert complete("logitstream score other.txt --delimiter ';' --encoding latin-1 --keep ") == plain(
        "f\xfcnf", "sechs"
    )
    Path("preamble.txt").write_text('made by hand\n\n# in 2024\n"5\\" pipe",C:\\new\n1,2\n')
    line = "logitstream score preamble.txt --skip-lines 1 --comment '#' --escape '\\'"
    assert complete(f"{line} --keep C") == plain("C:\\\\new")
    assert complete(f"{line} --quote none --keep C") == plain("C:\\\\new")
    Path("job.toml").write_text('[score]\ninputs = ["flights.csv"]\n')
    assert complete("logitstream score --config job.toml --keep c") == plain("carrier")


def test_a_path_with_home_or_a_variable_in_it(complete, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PLACE", str(tmp_path))
    assert complete("logitstream score ~/flights.csv --keep c") == plain("carrier")
    assert complete("logitstream score $PLACE/flights.csv --keep c") == plain("carrier")


def test_types_of_columns(complete):
    assert complete("logitstream score flights.csv --type i") == parts("id=")
    assert complete("logitstream score flights.csv --rename i") == parts("id=")
    assert complete("logitstream score flights.csv --rename prob") == parts("probability=")
    assert complete("logitstream transform flights.csv --rename prob") == []
    assert complete("logitstream score flights.csv --absent n") == plain("null")
    assert complete("logitstream score flights.csv --type id=int") == plain("int8", "int16", "int32", "int64")
    assert complete("logitstream score flights.csv --type id=date") == plain("date32")


@pytest.mark.parametrize("option", ["--max-unseen", "--max-missing"])
def test_columns_are_offered_for_a_limit(complete: Complete, option: str) -> None:
    assert complete(f"logitstream score flights.csv {option} c") == parts("carrier=")
    assert set(TYPES) == set(column_types._PLAIN)


def test_functions(complete):
    assert complete("logitstream plot tan") == plain("tanh")
    assert complete("logitstream bench functions softm") == plain("softmax")
    assert complete("logitstream transform none.csv --apply ") == parts(*(f"{name}\\(" for name in FUNCTIONS))
    assert complete("logitstream transform none.csv --apply p=sig") == parts("sigmoid\\(")
    assert complete('logitstream transform none.csv --apply "p=sig') == parts("p=sigmoid(")


def test_columns_and_parameters_of_functions(complete):
    line = "logitstream transform data --apply "
    columns = ("id", "where", "tags", "delay", "year")
    assert complete(f"{line}'p = sigm") == plain(*(f"p = sigmoid({name})" for name in columns))
    assert complete(f'{line}"p=tanh(de') == plain("p=tanh(delay)")
    assert complete(f"{line}p=tanh\\(de") == plain("p=tanh\\(delay\\)"[2:])
    assert complete(f"{line}'s=softmax(de") == parts("s=softmax(delay,")
    assert complete(f"{line}'s=softmax(id,de") == [*parts("s=softmax(id,delay,"), *plain("s=softmax(id,delay)")]
    assert complete(f"{line}'p=sigmoid(delay, te") == parts("p=sigmoid(delay, temperature=")
    assert complete(f"{line}'p=no_such(") == []
    assert complete("logitstream transform flights.csv --apply 'p=tanh(\"dep") == plain('p=tanh("dep delay")')


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("dep", "dep\\ delay"), ("'dep", "dep delay"), ('"dep', "dep delay"), ("dep\\ d", "dep\\ delay")],
)
def test_a_name_is_quoted_as_its_beginning_was(complete, typed, offered):
    assert complete(f"logitstream score flights.csv --keep {typed}") == plain(offered)


def test_bash_gets_what_follows_its_own_word_breaks(complete, monkeypatch):
    assert complete("logitstream score x --scheduler tcp:") == parts("//")
    monkeypatch.setenv("COMP_BREAKS", " \t\n")
    assert complete("logitstream score x --scheduler tcp:") == parts("tcp://")
    assert complete("logitstream score --format=p") == plain("--format=parquet")


def test_the_number_of_the_word_may_be_stated(complete, monkeypatch):
    monkeypatch.setenv("COMP_CWORD", "1")
    assert complete("logitstream ver --format csv") == plain("verify")
    monkeypatch.setenv("COMP_CWORD", "3")
    assert complete("logitstream score --format") == plain(*FORMAT.words)


def test_zsh_and_fish_get_help_with_it(complete):
    assert complete("logitstream sc", "zsh") == [
        "plain", "score", "Score rows of Parquet or CSV with a logistic model."
    ]  # fmt: skip
    assert complete("logitstream score flights.csv --keep=ca", "zsh") == ["plain", "--keep=carrier", "_"]
    assert complete("logitstream score --model=m", "zsh") == ["file", "--model=", "_"]
    assert complete("logitstream sc", "fish") == ["plain,score\tScore rows of Parquet or CSV with a logistic model."]
    assert complete("logitstream score flights.csv --keep 'dep", "fish") == ["plain,dep delay"]
    assert complete("logitstream score --model=m", "fish") == ["file,--model=\tm"]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\xff" * 40 + b"PAR1", b"\x1f\x8b\x08", b"\xff\xfe,\n",
                                     b"\x28\xb5\x2f\xfd", b"x" * 100_000], ids=range(7))  # fmt: skip
def test_a_file_that_cannot_be_read_offers_nothing(complete, content):
    Path("odd").write_bytes(content)
    assert complete("logitstream score odd --keep ") == []
    assert complete("logitstream score odd flights.csv --keep c") == plain("carrier")


def test_many_quotes_are_answered_at_once(complete):
    quotes = '"' * 300
    assert complete(f"logitstream score flights.csv --keep '{quotes}") == []
    assert complete(f"logitstream transform flights.csv --apply 'p=tanh({quotes}") == []


def test_what_is_no_file_is_not_waited_for(complete):
    os.mkfifo("fifo")
    assert complete("logitstream score fifo --keep ") == []


def test_compressed_and_wide_files(tmp_path):
    names = tuple(f"column_{number}" for number in range(3_000))
    (tmp_path / "wide.csv.gz").write_bytes(gzip.compress((",".join(names) + "\n").encode()))
    pq.write_table(pa.table({name: [1] for name in names}), tmp_path / "wide.parquet")
    for file in ("wide.csv.gz", "wide.parquet"):
        assert column_names([str(tmp_path / file)], Csv()) == names


def test_a_name_that_could_act_on_a_terminal_is_not_offered(complete):
    Path("odd.csv").write_text('ok,"new\nline",esc\x1b[31m\n')
    assert complete("logitstream score odd.csv --keep ") == plain("ok")


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("", [""]),
        ("a  b ", ["a", "b", ""]),
        (r"""a\ b 'c d' "e \" f"g""", ["a b", "c d", 'e " f' + "g"]),
        ("a 'b c", ["a", "b c"]),
        ('a "b', ["a", "b"]),
        ("a '", ["a", ""]),
        ("a b\\", ["a", "b"]),
    ],
)
def test_lines_are_split_as_a_shell_splits_them(line, values):
    assert [word.value for word in split_line(line)] == values


def test_the_command_answers_a_shell_and_imports_nothing_heavy_for_it(process, tmp_path):
    code = (
        "import json, sys\nfrom jobs.cli import main\n"
        "try: main()\nfinally: print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})), file=sys.stderr)"
    )
    (tmp_path / "flights.csv").write_text("id,carrier\n")
    pq.write_table(pa.table({"id": [1], "delay": [1.0]}), tmp_path / "flights.parquet")
    for name, last in (("csv", "carrier"), ("parquet", "delay")):
        env = {"_LOGITSTREAM_COMPLETE": "bash_complete", "COMP_CWORD": "4"}
        words = f"logitstream score flights.{name} --keep"
        outcome = process(start=("-c", code), env=env | {"COMP_WORDS": words})
        assert (outcome.code, outcome.out) == (0, f"plain,id\nplain,{last}\n")
        heavy = {"numpy", "pyarrow", "dask", "distributed", "pydantic", "rich", "psutil"}
        assert not set(json.loads(outcome.err)) & heavy


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_command_prints_the_script_of_a_shell(process, shell):
    outcome = process(env={"_LOGITSTREAM_COMPLETE": f"{shell}_source"})
    assert (outcome.code, outcome.err) == (0, "")
    assert f"{shell}_complete" in outcome.out


def test_an_unknown_shell_is_refused(process):
    outcome = process(env={"_LOGITSTREAM_COMPLETE": "tcsh_source"})
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        "error: _LOGITSTREAM_COMPLETE is 'tcsh_source', which is not known\n"
        "write bash_source, zsh_source or fish_source\n"
    )


@pytest.mark.parametrize("line", ["", "logitstream", "logitstream scroe ", "logitstream score 'a\\"])
def test_the_command_answers_any_line_without_a_traceback(process, line):
    outcome = process(env={"_LOGITSTREAM_COMPLETE": "bash_complete", "COMP_WORDS": line})
    assert (outcome.code, outcome.err) == (0, "")


def test_columns_of_a_fit(complete):
    line = "logitstream fit flights.csv "
    for option in ("--target", "--weight", "--offset", "--key", "--robust-groups", "--holdout"):
        assert complete(f"{line}{option} c") == plain("carrier"), option
    assert complete(f"{line}--control id,c") == plain("id,carrier")
    assert complete(f"{line}--sign c") == parts("carrier=")
    assert complete(f"{line}--sign carrier=") == plain("+", "-")
    assert complete(f"{line}--missing i") == [*plain("impute-mean", "impute-median", "indicator"), *parts("id=")]
    assert complete(f"{line}--missing id=imp") == plain("impute-mean", "impute-median")
    assert complete(f"{line}--class-weight b") == plain("balanced")
    assert complete(f"{line}--solver newton-") == plain("newton-cg")
    assert complete(f"{line}--scratch ") == ["file,"]
    assert complete(f"{line}--output ") == ["file,"]


def test_functions_of_the_layers_of_a_network(complete):
    line = "logitstream fit-network flights.csv --hidden "
    assert complete(line) == []
    assert complete(f"{line}'64 sig") == plain("64 sigmoid")
    assert complete(f"{line}'64 sigmoid, 32 ta") == plain("64 sigmoid, 32 tanh")
    assert complete(f"{line}'64 logit") == []


def test_features_of_a_fit(complete):
    line = "logitstream fit flights.csv --features "
    assert complete(f"{line}c") == [*plain("carrier"), *parts("clip\\(")]
    assert complete(f"{line}'id, c") == [*plain("id, carrier"), *parts("id, clip(")]
    assert complete(f"{line}'id,C(c") == plain("id,C(carrier)")
    assert complete(f"{line}'id:c") == [*plain("id:carrier"), *parts("id:clip(")]
    assert complete(f"{line}'id*log(i") == plain("id*log(id)")
    assert complete(f"{line}'log(sqrt(i") == plain("log(sqrt(id))")
    assert complete(f"{line}'clip(i") == parts("clip(id,")
    assert complete(f"{line}'C(\"d") == plain('C("dep delay")')
    assert complete(f"{line}'C(\"dep delay\"):c") == [
        *plain('C("dep delay"):carrier'), *parts('C("dep delay"):clip('),
    ]  # fmt: skip
    assert complete(f"{line}'id, lo") == parts("id, log(", "id, log1p(")

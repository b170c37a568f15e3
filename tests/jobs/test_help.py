"""What ``--help`` shows, and what it costs."""

from __future__ import annotations

import json
import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

from jobs.cli import JOBS, group
from jobs.help import Helpful
from jobs.options.command import SECTIONS, JobCommand
from pipeline.execute.cluster.connecting import CONNECT_SECONDS
from pipeline.options import meaning

COMMANDS = (
    ("score",),
    ("transform",),
    ("plan",),
    ("fit",),
    ("calibrate",),
    ("evaluate",),
    ("inspect",),
    ("verify",),
    ("rollback",),
    ("runs", "list"),
    ("runs", "show"),
    ("runs", "clean"),
    ("model", "show"),
    ("model", "check"),
    ("model", "upgrade"),
    ("diagnose", "initialisation"),
    ("plot",),
    ("bench", "functions"),
    ("demo",),
    ("guide",),
)
HEAVY = (
    "numpy",
    "pyarrow",
    "dask",
    "distributed",
    "pydantic",
    "rich",
    "psutil",
    "matplotlib",
    "scipy",
    "sklearn",
    "torch",
)

CLOSED_LIST = {
    "What": ["--model", "--keep", "--rename", "--raw-prediction", "--threshold", "--reasons", "--float32",
             "--max-unseen", "--max-missing", "--sample-rows", "--absent", "--limit", "--max-bad", "--fingerprint"],
    "CSV": ["--delimiter", "--quote", "--escape", "--null", "--quoted-null", "--decimal", "--thousands", "--encoding",
            "--columns", "--skip-lines", "--comment", "--type"],
    "How": ["--chunk-size", "--workers", "--memory", "--scheduler", "--precision",
            "--retries", "--no-resume", "--no-reuse", "--if-running", "--deadline", "--grace"],
    "Cluster": ["--insecure", "--tls-ca", "--tls-cert", "--tls-key", "--cluster", "--cluster-options", "--adapt",
                "--dashboard", "--performance-report", "--wait-workers", "--scheduler-timeout"],
    "Output": ["--output", "--format", "--compression", "--if-exists", "--allow-empty", "--keep-versions",
               "--durability", "--html"],
    "Talk": ["--config", "--dry-run", "--json", "--verbose", "--progress", "--quiet"],
}  # fmt: skip
OF_A_MODEL = {
    "--model",
    "--raw-prediction",
    "--threshold",
    "--reasons",
    "--max-unseen",
    "--max-missing",
    "--sample-rows",
    "--html",
}


def find(words: tuple[str, ...]) -> click.Command:
    command: click.Command = group
    for word in words:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), word)
        assert found is not None
        command = found
    return command


def sections(words: tuple[str, ...]) -> dict[str, list[str]]:
    options = [param for param in find(words).params if isinstance(param, click.Option)]
    return {
        name: [max(option.opts, key=len) for option in options if option.section == name]
        for name in SECTIONS
        if any(option.section == name for option in options)
    }


@pytest.mark.parametrize("words", [("score",), ("plan",)])
def test_the_list_of_options_is_closed(words):
    assert sections(words) == CLOSED_LIST


def test_transform_has_the_options_of_score_without_those_of_a_model():
    expected = {
        name: [option for option in options if option not in OF_A_MODEL] for name, options in CLOSED_LIST.items()
    }
    expected["What"].insert(0, "--apply")
    assert sections(("transform",)) == expected


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_option_has_help_and_every_command_ends_with_an_example(cli, words):
    command = find(words)
    assert isinstance(command, JobCommand)
    for param in command.params:
        if isinstance(param, click.Option):
            assert param.help, param.name
            assert re.search(r"[.\]]$", param.help), param.help
    outcome = cli(*words, "--help")
    assert outcome.code == 0
    assert outcome.out.rstrip().endswith(command.example.splitlines()[-1].strip())
    assert max(map(len, outcome.out.splitlines())) <= 100
    for param in command.params:
        assert param.opts[0] in outcome.out or param.make_metavar(click.Context(command)) in outcome.out


def test_the_help_of_the_group_names_every_job(cli):
    outcome = cli("--help")
    assert outcome.code == 0
    assert [line.split()[0] for line in outcome.out.split("Commands:\n")[1].splitlines() if line[2:3].strip()][
        : len(JOBS)
    ] == list(JOBS)


def test_the_list_of_commands_loads_neither_commands_nor_options(process):
    code = (
        "import sys\nfrom jobs.cli import main\n"
        "try: main(['--help'])\nfinally: print(*sorted(name for name in sys.modules if name.startswith('jobs.')))"
    )
    outcome = process(start=("-c", code))
    assert outcome.code == 0
    loaded = outcome.out.splitlines()[-1].split()
    assert {".".join(name.split(".")[:2]) for name in loaded} == {
        *("jobs.cli", "jobs.help", "jobs.hiding", "jobs.show", "jobs.stopping")
    }


def test_help_and_usage_errors_import_nothing_heavy(process):
    lines = ["", "--help", "--version", "score --help", "transform --help", "plan --help", "fit --help",
             "fit-network --help", "calibrate --help", "model --help", "model show --help", "demo --help",
             "inspect --help", "verify --help", "rollback --help", "runs --help", "runs list --help",
             "runs show --help", "runs clean --help", "diagnose --help", "diagnose initialisation --help",
             "diagnose gradients --help", "plot --help", "bench --help", "bench functions --help", "guide --help",
             "score -h", "score x --workers 0", "scroe", "score", "runs clean out",
             "fit", "fit x --target y", "fit x --l1 -1 --features x",
             "fit-network x --target y", "fit-network x --epochs 0", "calibrate x --target y --method plat",
             "transform x --apply p=sigm(x) --output o", "transform x --apply x --output o",
             "score x --model m --output",
             "transform x --apply p=sigmoid(x) --keep p --output o",
             "plot sigmod --output o.svg", "plot relu --range 1 0 --output o.svg",
             "bench functions sigmod", "diagnose initialisation --depth 1",
             "diagnose gradients x", "guide memry"]  # fmt: skip
    code = (
        "import json, sys\nfrom jobs.cli import run\ncodes = [run(line.split()) for line in sys.argv[1:]]\n"
        "print(json.dumps([codes, sorted({name.split('.')[0] for name in sys.modules})]))"
    )
    outcome = process(*lines, start=("-c", code))
    codes, modules = json.loads(outcome.out.splitlines()[-1])
    assert codes == [2, *([0] * 26), *([2] * 20)]
    assert set(modules) & set(HEAVY) == set()


@pytest.mark.slow
@pytest.mark.parametrize("job", ["score", "plan", "inspect", "verify"])
def test_extras_are_loaded_by_their_commands_alone(process, tmp_path, job):
    code = (
        "import sys\nfrom jobs.cli import main\n"
        "names = ('pipeline.bench', 'pipeline.diagnosis', 'pipeline.drawing', 'matplotlib', 'pandas', 'scipy')\n"
        "names += ('pipeline.conversion', 'pipeline.fitting', 'pipeline.training', 'threadpoolctl')\n"
        "names += ('pipeline.pages',)\n"
        "try: main(sys.argv[1:])\nfinally: print([name for name in names if name in sys.modules], file=sys.stderr)"
    )
    data, out = Path(__file__).resolve().parents[2] / "sample_data", tmp_path / "out"
    score = (data / "flights.csv", "--model", data / "delay_model.json", "--output", out, "-q")
    if job == "verify":
        assert process("score", *score).code == 0
    words = {"score": score, "plan": score[:-1], "inspect": (data / "flights",), "verify": (out, "--sample", "1")}[job]
    outcome = process(job, *words, start=("-c", code))
    assert (outcome.code, outcome.err.splitlines()[-1]) == (0, "[]")


def test_a_run_loads_neither_pandas_nor_scipy_nor_what_draws_a_bar(process, tmp_path):
    pytest.importorskip("pandas")
    pytest.importorskip("scipy")
    code = (
        "import sys\nfrom jobs.cli import main\n"
        "names = ('pandas', 'scipy', 'rich', 'dask', 'pyarrow')\n"
        "try: main(sys.argv[1:])\nfinally: print([name for name in names if name in sys.modules])"
    )
    data = Path(__file__).resolve().parents[2] / "sample_data"
    words = ["score", data / "flights.csv", "--model", data / "delay_model.json", "--output", tmp_path / "out"]
    outcome = process(*words, start=("-c", code))
    assert (outcome.code, outcome.out) == (0, "['dask', 'pyarrow']\n")


@pytest.mark.parametrize("words", [(), ("model",), ("diagnose",), ("bench",), *COMMANDS], ids=" ".join)
def test_help_has_a_short_name_and_ends_with_an_example(cli, words):
    short, long = cli(*words, "-h"), cli(*words, "--help")
    assert short == long
    assert (long.code, long.err) == (0, "")
    command = find(words)
    assert isinstance(command, Helpful)
    assert long.out.rstrip().endswith(command.example.splitlines()[-1].strip())
    assert "-h, --help" in long.out


def test_every_job_runs_as_a_module(process):
    """All in one process, from what is loaded anew: a start for each of them would take most of the time."""
    code = (
        "import contextlib, io, json, runpy, sys\nshown = {}\n"
        "for module in sys.argv[1:]:\n"
        "    out, sys.argv[1:] = io.StringIO(), ['--help']\n"
        "    sys.modules.pop(module, None)\n"
        "    with contextlib.redirect_stdout(out):\n"
        "        try: runpy.run_module(module, run_name='__main__', alter_sys=True)\n"
        "        except SystemExit as end: shown[module] = [end.code, out.getvalue()]\n"
        "print(json.dumps(shown))"
    )
    modules = {job: f"jobs.commands.{job.replace('-', '_')}" for job in JOBS}
    outcome = process(*modules.values(), start=("-W", "error", "-c", code))
    assert (outcome.code, outcome.err) == (0, "")
    shown = json.loads(outcome.out)
    for job, module in modules.items():
        code, text = shown[module]
        assert code == 0, job
        assert text.startswith(f"Usage: logitstream {job} "), job


def test_every_example_runs(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words in (("demo",), ("model",), ("runs",), ("diagnose",), *(each for each in COMMANDS if each != ("demo",))):
        if words == ("plot",) and find_spec("matplotlib") is None:
            # Its own tests say aloud that they are skipped.
            continue
        example = find(words).example.replace("\\\n", " ")
        for line in example.splitlines():
            # One round of a measurement shows that it runs.
            outcome = cli(*shlex.split(line)[1:], *(("--rounds", 1) if words[0] == "bench" else ()))
            assert outcome.code == 0, f"{line}\n{outcome.err}"
    assert (tmp_path / "scores" / "_manifest.json").exists()
    assert (tmp_path / "transformed" / "_manifest.json").exists()


def test_help_and_guide_say_how_long_a_connection_to_a_cluster_may_take() -> None:
    guide = (Path(__file__).resolve().parents[2] / "jobs" / "guide" / "cluster.md").read_text()
    assert f"For the first connection it is always {CONNECT_SECONDS:.0f} seconds." in meaning("scheduler_timeout")
    assert f"To connect to it takes at most {CONNECT_SECONDS:.0f} seconds," in guide

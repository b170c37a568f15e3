"""Every target holds over its seeds and some mutations of them; and what would not hold is found and named."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from tests.fuzz import parquet_files, watch
from tests.fuzz.mutations import mutations
from tests.fuzz.targets import MODULES, load

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
MUTATIONS = 40
HAS_ATHERIS = importlib.util.find_spec("atheris") is not None

# A child that knows the targets of the module ``planted`` too.
PLANTED = """
from tests.fuzz import child, targets
targets.MODULES.update(dict.fromkeys(["raises", "dies", "hangs", "spends", "exits"], "tests.fuzz.planted"))
child.main()
"""


@pytest.mark.parametrize("name", MODULES)
def test_a_target_holds_over_its_seeds_and_mutations_of_them(name: str, tmp_path: Path) -> None:
    outcome = watch.run(name, ["--mutations", str(MUTATIONS)], 20130101, tmp_path)
    assert [finding.text for finding in outcome.findings] == []
    assert outcome.inputs == MUTATIONS + len(load(name).seeds())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("raises", "KeyError: 'planted'"),
        ("dies", "killed by SIGSEGV"),
        ("hangs", "one input took more than 1 s"),
        ("spends", "MiB of memory, more than 384"),
        ("exits", "ended with exit code 3"),
    ],
)
def test_what_goes_wrong_is_found_with_its_input(
    name: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "hangs":
        monkeypatch.setattr(watch, "HANG_SECONDS", 1)
    monkeypatch.setattr(watch, "CHILD", ["-c", PLANTED])
    outcome = watch.run(name, ["--mutations", "1"], 1, tmp_path)
    (finding, *others) = outcome.findings
    assert others == []
    assert reason in finding.reason
    assert finding.path.read_bytes() == b"b"
    assert finding.path.with_suffix(".txt").read_text() == finding.text


def test_the_same_seed_gives_the_same_mutations() -> None:
    first, second = (list(islice(mutations([b"some longer", b"seeds of it"], [b"word"], 7), 500)) for _ in range(2))
    assert first == second
    assert len(set(first)) > 400


def _command(*words: str, code: str = "") -> subprocess.CompletedProcess[str]:
    start = ["-c", code] if code else ["-m", "tests.fuzz"]
    return subprocess.run(
        [sys.executable, *start, *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )


@pytest.mark.skipif(not HAS_ATHERIS, reason="atheris is not installed")
def test_the_command_prints_a_table() -> None:
    answer = _command("model", "--seconds", "1")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    head, line = answer.stdout.splitlines()
    assert head.split() == ["target", "inputs", "seconds", "found"]
    name, inputs, _, found = line.split()
    assert (name, found) == ("model", "nothing")
    assert int(inputs.replace(",", "")) > 10


def test_without_atheris_the_command_says_so() -> None:
    code = "import sys; sys.modules['atheris'] = None; from tests.fuzz.__main__ import main; sys.exit(main())"
    answer = _command(code=code)
    assert answer.returncode == 2
    assert answer.stderr == "fuzzing needs atheris: pip install '.[fuzz]'\n"


def test_a_target_that_does_not_exist_is_refused() -> None:
    answer = _command("parket")
    assert answer.returncode == 2
    assert "there is no target parket; there are parquet, " in answer.stderr


def test_the_header_of_a_page_claims_what_a_reader_takes() -> None:
    content = parquet_files.seeds()[4]
    assert parquet_files.claims(content) < 1_000
    # Kind 0, 8 bytes, and a compressed size that Arrow reads as 786,257,132.
    header = bytes.fromhex("1500152015d8d3eaed15")
    assert parquet_files.claims(content[:43] + header + content[53:]) == 786_257_132

"""S-7, S-16: each locked package has a hash, no known vulnerability, and no fixed place to come from."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / ".ci" / "pins.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pins", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["pins"] = module
    spec.loader.exec_module(module)
    return module


pins = _load()


def test_the_locks_are_in_order() -> None:
    assert pins.check(ROOT / ".ci") == []


@pytest.mark.parametrize("name", pins.REQUIRED)
def test_what_is_installed_without_the_locks_is_not_older_either(name: str) -> None:
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (requirement,) = [found for line in stated if (found := Requirement(line)).name == name]
    floor = min(Version(part.version) for part in requirement.specifier if part.operator == ">=")
    assert floor >= Version(pins.REQUIRED[name][0])


@pytest.fixture
def locks(tmp_path: Path) -> Path:
    for name in pins.LOCKS:
        shutil.copy(ROOT / ".ci" / name, tmp_path)
    return tmp_path


HASH = "    --hash=sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("\npyarrow==26", "\npyarrow==25", "runtime.txt: pyarrow 25.0.1 is older than 26.0 (CVE-2023-47248"),
        ("\ntornado==6.6.1", "\ntornado==6.4.2", "runtime.txt: tornado 6.4.2 is older than 6.5 (CVE-2025-47287"),
        ("\nclick==", f"\nadded==1.0 \\\n{HASH}\nclick==", "added is 1.0 in runtime.txt, not in dev.txt"),
        ("\nclick==", "\nadded==1.0\nclick==", "runtime.txt: added has no hash"),
        ("\nclick==", "\nadded==1.0 \\\n    --hash=md5:00\nclick==", "is not a name, a version and sha256 hashes"),
        (
            "\nclick==",
            "\n--index-url https://packages.invalid/simple\nclick==",
            "'--index-url https://packages.invalid",
        ),
        ("\nclick==", "\n# from https://packages.invalid/simple\nclick==", "names a place"),
        ("\nclick==", "\nadded @ file:///srv/added.whl\nclick==", "'added @ file:///srv/added.whl'"),
        ("\nclick==", "\n./vendored\nclick==", "'./vendored'"),
        ("\nclick==", "\nclick>=", "is not a name, a version and sha256 hashes"),
        ("\ndistributed==", "\ndistributed-other==", "runtime.txt: distributed is not locked"),
    ],
)
def test_what_is_planted_is_named(locks: Path, old: str, new: str, fault: str) -> None:
    path = locks / "runtime.txt"
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    done = subprocess.run([sys.executable, SCRIPT, locks], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert fault in done.stdout

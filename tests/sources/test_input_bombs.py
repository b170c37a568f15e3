"""Folders and patterns made to take for ever. See test_fault_rows.py."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.errors import DataError, LogitstreamError, UsageError
from pipeline.sources import discover


@contextmanager
def within(seconds: float) -> Iterator[None]:
    started = time.process_time()
    yield
    assert time.process_time() - started < seconds


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A folder in a folder, 60 times, with a file in each."""
    path = tmp_path / "top"
    for _ in range(60):
        path = path / "a"
    path.mkdir(parents=True)
    for _ in range(60):
        (path / "a.csv").touch()
        path = path.parent
    yield path
    shutil.rmtree(path)


@pytest.mark.parametrize("stars", ["**/" * 12, "**/a/" * 12, "*/**/" * 12, "**/?/**/" * 6])
def test_s12_a_pattern_of_many_stars_takes_little_time(deep: Path, stars: str) -> None:
    with within(3):
        files = discover([f"{deep}/{stars}*.csv"]).files
    assert len({file.location for file in files}) == len(files) > 40


def test_s12_a_name_pattern_that_never_fits(tmp_path: Path) -> None:
    (tmp_path / ("a" * 250)).touch()
    with within(3), pytest.raises(LogitstreamError, match="nothing matches"):
        discover([f"{tmp_path}/" + "*a" * 100 + "b"])


def test_s12_folders_far_below_folders(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(1100):
            descriptor = below(descriptor, "d")
        os.close(os.open("f.csv", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
        with within(3):
            (file,) = discover([str(tmp_path)]).files
        assert file.path == "d/" * 1100 + "f.csv"
        for _ in range(25):
            descriptor = below(descriptor, "d" * 100)
        # the name of a folder is longer than the system takes
        with within(3), pytest.raises(LogitstreamError) as caught:
            discover([str(tmp_path)])
        assert len(caught.value.message) < 1200
    finally:
        os.close(descriptor)
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)  # shutil recurses


def below(descriptor: int, name: str) -> int:
    """Make a folder and go on to it."""
    os.mkdir(name, dir_fd=descriptor)
    folder = os.open(name, os.O_RDONLY, dir_fd=descriptor)
    os.close(descriptor)
    return folder


def test_s12_loops_of_links_are_refused(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "one" / "to").symlink_to("../two")
    (tmp_path / "two" / "to").symlink_to("../one")
    (tmp_path / "one" / "f.csv").touch()
    for pattern in ("one", "one/**/*.csv", "one/to/**"):
        with within(2), pytest.raises(DataError, match="form a loop of symbolic links"):
            discover([str(tmp_path / pattern)])


@pytest.mark.parametrize("pattern", ["", "/**/*.csv"])
def test_s12_links_that_double_the_ways_at_every_step_are_refused(tmp_path: Path, pattern: str) -> None:
    for step in range(40):
        (tmp_path / f"{step}").mkdir()
        for name in ("left", "right"):
            (tmp_path / f"{step}" / name).symlink_to(f"../{step + 1}")
    (tmp_path / "40").mkdir()
    (tmp_path / "40" / "f.csv").touch()
    with within(2), pytest.raises(UsageError, match=r"a folder is found twice, as .*: its rows would be counted twice"):
        discover([f"{tmp_path}/0{pattern}"])


def test_s12_links_to_one_folder_from_apart_are_a_file_named_twice_at_most(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "f.csv").touch()
    for name in ("a", "b"):
        (tmp_path / "in" / name).mkdir(parents=True)
        (tmp_path / "in" / name / "link").symlink_to("../../real")
    with pytest.raises(UsageError, match=r"found twice, as (a/link/ and b/link/|b/link/ and a/link/): its rows"):
        discover([str(tmp_path / "in")])

import argparse

import pytest

import gin
from mt3x.apps.console import gin_files


@pytest.fixture(autouse=True)
def no_settings():
    yield
    gin.clear_config()


def test_included_files_stand_in_their_places_and_bindings_win(tmp_path, monkeypatch):
    (tmp_path / "sizes.gin").write_text("A = 1\nB = 1\nC = 1\n")
    (tmp_path / "mine.gin").write_text("include 'sizes.gin'  # small\nB = 2\nC = 2\n")
    monkeypatch.chdir(tmp_path)
    gin_files.parse(["mine.gin"], ["C = 3"])
    assert [gin.query_parameter(f"%{name}") for name in "ABC"] == [1, 2, 3]
    gin_files.parse(["sizes.gin"], [])
    assert gin.query_parameter("%C") == 1


def test_files_of_the_package_are_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gin_files.parse(["task/mt3.gin"], [])
    assert gin.query_parameter("%TRAIN_STEPS") == 1_000_000


def test_a_missing_file_is_named_with_the_places():
    with pytest.raises(FileNotFoundError, match="there is no gin file run/nowhere.gin, here or in /"):
        gin_files.parse(["run/nowhere.gin"], [])


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        ("A = here", "here is not a value; text needs quotes of its own: --gin.NAME=\"'text'\""),
        ("A = %B", "B is not set; add --gin.B=VALUE"),
        ("Nothing.size = 1", "No configurable matching 'Nothing'. In Nothing.size = 1"),
    ],
)
def test_gin_s_errors_become_one_line(binding, message):
    with pytest.raises(gin_files.ERRORS) as raised:
        gin_files.parse([], [binding])
    assert gin_files.one_line(raised.value).startswith(message)


def test_the_command_line_takes_files_and_bindings():
    parser = argparse.ArgumentParser()
    gin_files.add_arguments(parser)
    args = parser.parse_args(["--gin_file=a.gin", "--gin_file", "b.gin", "--gin=A=1"])
    assert (args.gin_file, args.gin) == (["a.gin", "b.gin"], ["A=1"])

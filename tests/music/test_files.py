import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mt3x.music.files import is_unfinished, whole_file, write_whole


def test_a_file_is_written_and_replaced_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "ñ.json"
    for content in (b"one", b"two, which is longer", b""):
        write_whole(path, content)
        assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["ñ.json"]


def test_the_longest_of_names_can_be_written(tmp_path):
    write_whole(tmp_path / ("x" * 255), b"one")
    assert (tmp_path / ("x" * 255)).read_bytes() == b"one"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("bad notes"), MemoryError()])
def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "song.mid"
    path.write_bytes(b"old")

    def fail():
        with whole_file(path) as unfinished:
            unfinished.write_bytes(b"half")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert os.listdir(tmp_path) == ["song.mid"] and path.read_bytes() == b"old"


def test_a_kill_leaves_the_old_file_and_an_unfinished_one(tmp_path):
    write_whole(tmp_path / "song.mid", b"old")
    code = (
        "import os; from mt3x.music.files import whole_file\n"
        "with whole_file('song.mid') as unfinished:\n"
        "    unfinished.write_bytes(b'half'); os._exit(9)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment).returncode == 9
    assert (tmp_path / "song.mid").read_bytes() == b"old"
    (left,) = filter(is_unfinished, tmp_path.iterdir())
    assert left.read_bytes() == b"half"


@pytest.mark.parametrize("name", ["song.mid", ".song.mid", "song.tmp", "tmp"])
def test_names_of_whole_files_are_not_those_of_unfinished_ones(name):
    assert not is_unfinished(Path("folder", name))


def test_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    write_whole(tmp_path / "whole", b"")
    plain, whole = (stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "whole"))
    assert whole == plain


def test_the_file_that_a_link_leads_to_is_replaced_and_the_link_stays(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "1.mid").write_bytes(b"old")
    link = tmp_path / "newest.mid"
    link.symlink_to(Path("store", "1.mid"))
    write_whole(link, b"new")
    assert link.is_symlink()
    assert (tmp_path / "store" / "1.mid").read_bytes() == b"new"
    assert os.listdir(tmp_path / "store") == ["1.mid"]


def test_a_link_that_leads_nowhere_yet_gets_its_file(tmp_path):
    (tmp_path / "newest.mid").symlink_to("1.mid")
    write_whole(tmp_path / "newest.mid", b"new")
    assert (tmp_path / "newest.mid").is_symlink() and (tmp_path / "1.mid").read_bytes() == b"new"


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No such file or directory: '.*nowhere/a\.mid'"):
        write_whole(tmp_path / "nowhere" / "a.mid", b"")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("place", ["folder", "/dev/null"])
def test_what_is_no_file_is_not_replaced(tmp_path, place):
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileExistsError, match=f"no file; give another name: '.*{place}'"):
        write_whole(tmp_path / place, b"")
    assert os.listdir(tmp_path) == ["folder"] and os.listdir(tmp_path / "folder") == []


def test_a_full_disk_is_told_with_the_name_that_was_asked_for(tmp_path, monkeypatch):
    path = tmp_path / "a.mid"
    path.write_bytes(b"old")

    def full_disk(source, _):
        raise OSError(errno.ENOSPC, "No space left on device", str(source))

    monkeypatch.setattr("os.replace", full_disk)
    with pytest.raises(OSError, match=r"No space left on device: '.*a\.mid'"):
        write_whole(path, b"new")
    assert os.listdir(tmp_path) == ["a.mid"] and path.read_bytes() == b"old"


def test_errors_of_other_files_keep_their_names(tmp_path):
    with pytest.raises(FileNotFoundError, match="sounds.sf2"), whole_file(tmp_path / "page.html"):
        (tmp_path / "sounds.sf2").read_bytes()
    with pytest.raises(OSError, match="^holds 3 rows$"), whole_file(tmp_path / "page.html"):
        raise OSError("holds 3 rows")

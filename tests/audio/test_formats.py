"""There is one list of what counts as a recording, and the page for people shows it."""

import re
from pathlib import Path

import pytest

from mt3x.apps.console import batch
from mt3x.audio import formats
from mt3x.data.datasets import midi_folder
from tests.audio.media import BY_FFMPEG, BY_SNDFILE

ROOT = Path(__file__).parents[2]


def test_the_page_lists_the_suffixes_that_are_read():
    page = (ROOT / "docs" / "your_recordings.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (?:sound|video|tried) \|.*$", page, re.MULTILINE)
    kinds = [tuple(re.findall(r"`(\.\w+)`", row)) for row in rows]
    assert kinds == [formats.SOUND_SUFFIXES, formats.VIDEO_SUFFIXES, formats.OTHER_SUFFIXES]


def test_every_kind_is_listed_once_and_made_by_the_tests():
    assert len(set(formats.AUDIO_SUFFIXES)) == len(formats.AUDIO_SUFFIXES)
    assert {*formats.SOUND_SUFFIXES, *formats.VIDEO_SUFFIXES} == {*BY_SNDFILE, *BY_FFMPEG}
    assert all(re.fullmatch(r"\.[a-z0-9]+", suffix) for suffix in formats.AUDIO_SUFFIXES)


def test_commands_and_data_preparation_share_the_list():
    assert batch.AUDIO_SUFFIXES is midi_folder.AUDIO_SUFFIXES is formats.AUDIO_SUFFIXES


def test_there_is_no_second_list():
    files = [*(ROOT / "mt3x").rglob("*.py"), *(ROOT / "tasks").rglob("*.py")]
    holders = {
        file.name for file in files if re.search(r"[\"\']\.(ogg|aiff|m4a)[\"\']", file.read_text("utf-8"))
    }
    assert holders == {"formats.py"}


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\x1aE\xdf\xa3" + bytes(12), "Matroska or WebM"),
        (b"\0\0\0\x20ftypM4A ", "MPEG-4 (m4a, mp4, mov)"),
        (b"RIFF....WAVEfmt ", "a WAV file"),
        (b"MThd\0\0\0\6", "a MIDI file, which holds notes already"),
        (b"dear diary", None),
        (b"", None),
    ],
)
def test_files_are_known_by_their_first_bytes(head, name):
    assert formats.name_by_first_bytes(head) == name

import io

import pytest

from mt3x.apps.console import progress as progress_module
from mt3x.apps.console.progress import Progress, clock


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def time_at(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now[0])

    def set_time(seconds):
        now[0] = 100.0 + seconds

    return set_time


def test_terminal_shows_a_bar_and_wipes_it(time_at):
    stream = Terminal()
    with Progress("song.wav", stream) as progress:
        time_at(2.0)
        progress(50.0, 200.0)
    line, wiped = stream.getvalue().split("\x1b[K")[:2]
    assert line == "\rsong.wav [######..................] 0:50 / 3:20, 25%, 25.0x"
    assert wiped == "\r"


def test_terminal_is_redrawn_no_more_than_ten_times_a_second(time_at):
    stream = Terminal()
    with Progress("song.wav", stream) as progress:
        for millisecond in range(1000):
            time_at(millisecond / 1000)
            progress(float(millisecond), 1000.0)
    assert stream.getvalue().count("song.wav") <= 10


def test_log_file_gets_plain_lines_now_and_then(time_at):
    stream = io.StringIO()
    with Progress("song.wav", stream) as progress:
        for second in range(25):
            time_at(second)
            progress(float(second), 100.0)
    assert stream.getvalue() == "song.wav: 0:10 / 1:40, 10%, 1.0x\nsong.wav: 0:20 / 1:40, 20%, 1.0x\n"


def test_unknown_length_shows_what_is_done(time_at):
    stream = Terminal()
    with Progress("song.wav", stream) as progress:
        time_at(1.0)
        progress(5.0, None)
    assert "] 0:05, 5.0x" in stream.getvalue()


def test_long_name_is_cut_at_its_beginning(time_at, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    stream = Terminal()
    with Progress("x" * 100 + "end.wav", stream) as progress:
        time_at(1.0)
        progress(1.0, 2.0)
    line = stream.getvalue().split("\x1b[K")[0].lstrip("\r")
    assert line.startswith("...x") and "end.wav [" in line and len(line) < 80


def test_clock_counts_hours_when_there_are_any():
    assert [clock(seconds) for seconds in (0, 59.9, 61, 3599, 3600, 7325)] == [
        "0:00", "0:59", "1:01", "59:59", "1:00:00", "2:02:05"
    ]  # fmt: skip


def test_one_recording_after_the_other(time_at):
    stream = Terminal()
    with Progress("", stream) as progress:
        for second, name in enumerate(("a.wav", "b.wav")):
            time_at(10.0 * second)
            progress.begin(name)
            time_at(10.0 * second + 1)
            progress(2.0, 4.0)
        progress.clear()
        assert stream.getvalue().endswith(
            "b.wav [############............] 0:02 / 0:04, 50%, 2.0x\x1b[K\r\x1b[K"
        )

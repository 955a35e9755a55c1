"""What other processes read is what is read here, in order, whatever befalls a recording or a process."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mt3x.audio import ahead
from mt3x.audio.ahead import read_recordings
from mt3x.audio.errors import AudioError
from mt3x.audio.load import stream_audio

RATE = 16000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five recordings of 70, 0.1, 31, 0.1 and 2 s; the fourth is no audio."""
    folder = tmp_path_factory.mktemp("recordings")
    random = np.random.default_rng(0)
    for name, seconds, rate in (("a", 70, 8000), ("b", 0.1, 44100), ("c", 31, RATE), ("e", 2, 48000)):
        soundfile.write(folder / f"{name}.wav", random.uniform(-0.5, 0.5, (int(seconds * rate), 2)), rate)
    (folder / "d.wav").write_bytes(b"no audio at all")
    return folder


@pytest.fixture
def processes(monkeypatch):
    """The workers that were started."""
    started = []

    class Popen(subprocess.Popen):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            started.append(self)

    monkeypatch.setattr(ahead.subprocess, "Popen", Popen)
    return started


@pytest.fixture(scope="module")
def hour(tmp_path_factory):
    """An hour of silence, 230 MB at 16 kHz."""
    path = tmp_path_factory.mktemp("long") / "hour.wav"
    soundfile.write(path, np.zeros(3600 * 4000, np.int16), 4000, subtype="PCM_U8")
    return path


def everything(paths, num_workers):
    found = []
    for number, blocks in read_recordings(paths, RATE, num_workers):
        assert number == len(found)
        try:
            found.append(list(blocks))
        except AudioError as error:
            found.append(str(error))
    return found


@pytest.mark.parametrize("num_workers", [0, 1, 2, 9])
def test_workers_give_the_blocks_of_stream_audio_in_order_and_errors_in_their_place(
    folder, processes, num_workers
):
    paths = sorted(folder.iterdir())
    found = everything(paths, num_workers)
    assert [path.name[0] for path in paths] == list("abcde") and len(processes) == min(num_workers, 5)
    for path, blocks in zip(paths, found, strict=True):
        if path.name == "d.wav":
            with pytest.raises(AudioError) as error:
                list(stream_audio(path, RATE))
            assert blocks == str(error.value)
            continue
        expected = list(stream_audio(path, RATE))
        assert [len(block) for block in blocks] == [len(block) for block in expected]
        for block, other in zip(blocks, expected, strict=True):
            assert block.dtype == np.float32 and block.flags.writeable
            np.testing.assert_array_equal(block, other)
    assert all(process.poll() is not None for process in processes)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_error_follows_the_blocks_that_could_be_read(tmp_path, num_workers):
    samples = np.zeros(40 * RATE, np.float32)
    samples[-1] = np.nan
    soundfile.write(tmp_path / "nan.wav", samples, RATE, subtype="FLOAT")
    for _, blocks in read_recordings([tmp_path / "nan.wav"], RATE, num_workers):
        assert len(next(blocks)) == 30 * RATE
        with pytest.raises(AudioError, match="sample 639999 .* is NaN"):
            next(blocks)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_lengths_and_notices_come_with_the_blocks(tmp_path, num_workers):
    tone = 0.5 * np.sin(np.arange(RATE) / 5)
    soundfile.write(tmp_path / "two.wav", np.stack([tone, -tone], axis=1), RATE)
    data = (tmp_path / "two.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(data[: len(data) // 2])
    paths = [tmp_path / "cut.wav", tmp_path / "two.wav"]
    found = []
    for _, stream in read_recordings(paths, RATE, num_workers, strict=False):
        list(stream)
        found.append((stream.seconds, [notice.split(":")[0] for notice in stream.notices]))
    channels = "the channels cancel each other for 0.5 of 0.5 s, as where one is inverted"
    num_frames = (len(data) // 2 - 44) // 4
    assert found[0] == (num_frames / RATE, ["the recording is cut off after 0.5 s", channels])
    assert found[1] == (1.0, [channels.replace("0.5", "1.0")])
    for _, stream in read_recordings(paths[:1], RATE, num_workers):
        with pytest.raises(AudioError, match="is cut off"):
            list(stream)


@pytest.mark.parametrize("num_workers", [0, 1, 2])
def test_blocks_that_are_not_taken_are_skipped(folder, num_workers):
    paths = sorted(folder.iterdir())
    heads = []
    for _, blocks in read_recordings(paths[:3], RATE, num_workers):
        heads.append(next(blocks))
    assert [len(head) for head in heads] == [len(next(stream_audio(path, RATE))) for path in paths[:3]]


@pytest.mark.parametrize("num_workers", [0, 3])
def test_no_recordings_need_no_workers(processes, num_workers):
    assert list(read_recordings([], RATE, num_workers)) == [] and not processes


def test_closing_ends_workers_in_the_middle_of_a_recording(hour, processes):
    reading = read_recordings([hour, hour], RATE, 2)
    _, blocks = next(reading)
    next(blocks)
    assert [process.poll() for process in processes] == [None, None]
    reading.close()
    assert [process.poll() for process in processes] == [-signal.SIGKILL] * 2


def test_a_recording_that_kills_its_worker_is_an_error_and_the_rest_goes_on(hour, folder, processes):
    reading = read_recordings([hour, folder / "e.wav", folder / "b.wav"], RATE, 2)
    _, blocks = next(reading)
    next(blocks)
    processes[0].kill()
    with pytest.raises(AudioError, match="hour.wav: the process that read it ended with code -9; convert"):
        list(blocks)
    rest = [sum(map(len, blocks)) for _, blocks in reading]
    assert rest == [2 * RATE, RATE // 10] and len(processes) == 3


def test_a_worker_that_cannot_start_says_so(folder, monkeypatch):
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    for _, blocks in read_recordings([folder / "e.wav"], RATE, 1):
        with pytest.raises(RuntimeError, match="ended with code 1 before it began; .* num_workers=0"):
            next(blocks)


def test_a_negative_number_of_workers_is_refused_at_once():
    with pytest.raises(ValueError, match="num_workers is -1; it must be 0 or more"):
        read_recordings([], RATE, -1)


def processor_ticks(pid):
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]))


def test_a_worker_holds_minutes_of_an_hour(hour, processes):
    reading = read_recordings([hour], RATE, 1)
    _, blocks = next(reading)
    next(blocks)
    pid = processes[0].pid
    ticks, deadline = -1, time.monotonic() + 15
    while processor_ticks(pid) != ticks and time.monotonic() < deadline:  # until it waits for its reader
        ticks = processor_ticks(pid)
        time.sleep(0.3)
    (peak,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "VmHWM" in line)
    reading.close()
    assert int(peak.split()[1]) < 150_000  # kB; the hour is 230 MB, Python with NumPy and soundfile 50 MB


SCRIPT = """
import sys, time
from mt3x.audio import ahead
started = []
class Popen(ahead.subprocess.Popen):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        started.append(self.pid)
ahead.subprocess.Popen = Popen
reading = ahead.read_recordings(sys.argv[1:], 16000, 2)
number, blocks = next(reading)
next(blocks)
print(*started, flush=True)
time.sleep(60)
"""


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_workers_of_a_plain_script_end_when_it_is_killed(hour, tmp_path):
    # Nothing guards the script against being imported, and a file beside it has the name of a package.
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "soundfile.py").write_text("raise SystemExit('the wrong soundfile')")
    root = str(Path(__file__).parents[2])
    parent = subprocess.Popen(
        [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {root!r})\n{SCRIPT}", hour, hour],
        cwd=tmp_path / "here",
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    parent.stdout.close()
    assert len(pids) == 2 and all(map(is_running, pids))
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 10
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, pids))


def test_a_worker_imports_neither_jax_nor_anything_heavy():
    heavy = {"jax", "flax", "tensorflow", "scipy"}
    check = f"import sys, mt3x.audio.ahead, soundfile, soxr; print({heavy} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "set()\n"

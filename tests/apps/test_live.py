"""`mt3x transcribe --live`, fed through pipes; of a microphone, what PortAudio would give."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import mido
import numpy as np
import pytest
import soundfile

import mt3x
import mt3x.transcription.transcriber as transcriber_module
from mt3x.apps import live
from mt3x.apps.cli import main
from mt3x.audio.errors import AudioError
from mt3x.music.midi import read_midi

RATE = 16000
EXAMPLE = Path(__file__).parents[2] / "examples" / "das_wandern.flac"
PIPED = ["transcribe", "--live", "-", "--sample-rate", str(RATE)]


def tones(seconds, seed=1):
    """A new tone every fifth of a second, int16 [seconds * RATE]."""
    random = np.random.default_rng(seed)
    hertz = np.repeat(np.exp(random.uniform(4, 8, int(seconds * 5) + 1)), RATE // 5)[: int(seconds * RATE)]
    return (10_000 * np.sin(2 * np.pi * np.cumsum(hertz) / RATE)).astype("<i2")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def listen(folder, small_model_folder, capsys, monkeypatch):
    """Runs the command with bytes on standard input; returns the exit code and the lines of both outputs."""

    def run(*words, stdin=b""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = main(["transcribe", "--live", "--model", str(small_model_folder), *words])
        out, err = capsys.readouterr()
        return code, out.splitlines(), err.splitlines()

    return run


def transcribed(samples, model):
    """What `mt3x transcribe` writes of the samples as a file."""
    soundfile.write("same.wav", samples, RATE)
    assert main(["transcribe", "same.wav", "--format", "json", "--quiet", "--model", str(model)]) == 0
    return json.loads(Path("same.json").read_text())


def test_json_lines_and_the_file_are_what_transcribe_finds(listen, small_model_folder):
    words = ["-", "--sample-rate", "16000", "--format", "json", "-o", "take.json"]
    code, out, err = listen(*words, stdin=tones(5.3).tobytes())
    whole = transcribed(tones(5.3), small_model_folder)
    notes = [json.loads(line) for line in out]
    assert code == 0 and len(notes) > 20
    assert sorted(notes, key=str) == sorted(whole["notes"], key=str)
    assert json.loads(Path("take.json").read_text()) == whole
    assert err[0] == "listening to standard input; Ctrl-C ends"
    assert err[1].startswith(f"{len(notes)} notes, ") and err[1].endswith(" -> take.json")
    assert sorted(os.listdir()) == ["same.json", "same.wav", "take.json"]


def test_people_read_time_pitch_instrument_and_length(listen):
    stdin = np.repeat(tones(2.0).astype("<f4")[:, np.newaxis] / 2**15, 2, axis=1).tobytes()
    words = ["-", "--sample-rate", "16000", "--channels", "2", "--pcm", "f32le", "-o", "take.mid"]
    code, out, _ = listen(*words, stdin=stdin)
    assert code == 0 and len(out) == len(read_midi("take.mid"))
    note = {"start": 12.344, "end": 13.0, "pitch": 61, "instrument": "Violin", "is_drum": False}
    assert live._line(note) == "   12.34 s  C#4  Violin                     0.66 s"
    drum = note | {"pitch": 36, "instrument": "Drums", "is_drum": True}
    assert live._line(drum).split() == ["12.34", "s", "36", "Drums", "0.66", "s"]
    words = {word for line in out for word in line.split()}
    assert {"s", "Drums", "E4"} <= words


def test_quiet_only_writes_the_file(listen):
    words = ["-", "--sample-rate", "16000", "--quiet", "-o", "take.csv"]
    assert listen(*words, stdin=tones(1.0).tobytes()) == (0, [], [])
    assert len(Path("take.csv").read_text().splitlines()) > 3


def test_beats_of_a_take_are_found_when_it_ends(listen):
    words = ["-", "--sample-rate", "16000", "--quiet", "-o"]
    for name in (["take.mid"], ["beats.mid", "--beats"]):
        assert listen(*words, *name, stdin=tones(5.3).tobytes()) == (0, [], [])
    take, beats = read_midi("take.mid"), read_midi("beats.mid")
    np.testing.assert_allclose(beats["start"], take["start"], rtol=0, atol=1e-3)
    tempos = [
        sum(m.type == "set_tempo" for m in mido.MidiFile(n).tracks[0]) for n in ("take.mid", "beats.mid")
    ]
    assert tempos[0] == 1 and tempos[1] > 3


def test_input_that_ends_within_a_sample_is_an_error_after_all_is_written(listen):
    words = ["-", "--sample-rate", "16000", "-o", "take.mid"]
    code, out, err = listen(*words, stdin=tones(2.0).tobytes() + b"\0")
    assert code == 1 and len(out) == len(read_midi("take.mid")) > 5
    expected = "mt3x: the stream ends within a sample: 1 of 2 bytes; is it really s16le with 1 channel?"
    assert err[-1] == expected and "16 notes" in err[1]


@pytest.mark.parametrize("stdin", [b"", b"\0", EXAMPLE.read_bytes()])
def test_input_without_any_sample_is_an_error_and_writes_nothing(listen, stdin):
    code, out, err = listen("-", "--sample-rate", "16000", "-o", "take.mid", stdin=stdin)
    assert code == 1 and out == [] and len(err) == 2 and err[1].startswith("mt3x: ")
    assert os.listdir() == []


def test_a_take_is_not_overwritten_unless_asked_for(listen, folder):
    (folder / "take.json").write_text("an earlier take")
    words = ["-", "--sample-rate", "16000", "-o", "take.json"]
    code, _, err = listen(*words, stdin=tones(1.0).tobytes())
    assert (code, err) == (2, ["mt3x: take.json exists; name another file, or add --overwrite"])
    assert (folder / "take.json").read_text() == "an earlier take"
    assert listen(*words, "--overwrite", stdin=tones(1.0).tobytes())[0] == 0
    assert json.loads((folder / "take.json").read_text())["notes"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.wav", "b.wav"], r"--live takes no file \(a.wav\): leave it out to record, or say - for raw PCM"),
        (["-", "-"], "--live takes no file"),
        (["-"], "raw PCM does not tell its sample rate: say it, as in --sample-rate 16000"),
        (["-", "--sample-rate", "0"], "--sample-rate is 0; it must be within 4000 to 384000 Hz"),
        (["--sample-rate", "0"], "--sample-rate is 0"),
        (["-", "--sample-rate", "16000", "--channels", "0"], "--channels is 0; it must be within 1 to 64"),
        (["-", "--sample-rate", "16000", "--pcm", "mp3"], "--pcm is 'mp3'; choose from s16le, f32le"),
        (["--pcm", "s16le"], "--pcm tells what standard input holds"),
        (["-", "--sample-rate", "16000", "--device", "1"], "--device chooses a microphone"),
        (["-", "--sample-rate", "16000", "--batch-size", "8"], "--batch-size would delay the notes"),
        (["--workers", "1"], "--workers reads files ahead; leave it out with --live"),
        (["--format", "mid"], "with --live, --format is json or left out"),
        (["--bends"], "--bends is for recordings; record first, then transcribe the file"),
        (["--pedal"], "--pedal is for recordings; record first, then transcribe the file"),
        (["--keep-all"], "--keep-all is for recordings; live notes keep their instruments as it is"),
        (["--beats"], "--beats is for a MIDI file: name one, as in -o take.mid"),
        (["--beats", "-o", "take.json"], "--beats is for a MIDI file"),
        (["-o", "take.xml"], "cannot write take.xml: with --live, -o names a file that ends in .mid, .json"),
        (["-o", "take"], "cannot write take: with --live, -o names a file"),
        (["-o", "folder.mid"], "cannot write folder.mid: it is a folder"),
        (["-o", "file/take.mid"], "cannot write to file: Not a directory"),
    ],
)
def test_command_line_without_sense_is_one_line_before_any_work(listen, folder, monkeypatch, words, message):
    def load(*args, **options):
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(transcriber_module, "load", load)
    (folder / "folder.mid").mkdir()
    (folder / "file").touch()
    code, out, err = listen(*words)
    assert code == 2 and out == [] and len(err) == 1
    assert re.match(f"mt3x: {message}", err[0])


def test_terminal_is_no_input(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    assert main(PIPED) == 2
    expected = "mt3x: standard input is a terminal; pipe raw PCM in, as in: ffmpeg"
    assert capsys.readouterr().err.startswith(expected)


@pytest.mark.parametrize("option", ["--sample-rate", "--channels", "--pcm", "--device"])
def test_options_of_live_are_not_for_files(folder, capsys, option):
    assert main(["transcribe", "song.wav", option, "1"]) == 2
    assert capsys.readouterr().err == f"mt3x: {option} is for --live; a file knows its own\n"


def test_model_that_cannot_be_loaded_exits_with_2(folder, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert main([*PIPED, "--model", "absent"]) == 2
    assert capsys.readouterr().err.startswith("mt3x: ")


class FakeMicrophone:
    name, sample_rate, num_lost = "Some microphone", RATE, 2

    def __init__(self, device, sample_rate, num_channels):
        self.asked = device, sample_rate, num_channels
        assert self.asked == (3, None, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def blocks(self, is_over):
        for block in np.split(tones(4.0)[:, np.newaxis], 200):
            if is_over():
                return
            yield block
        raise AudioError("Some microphone has stopped")


def test_microphone_is_heard_until_it_stops(listen, monkeypatch):
    monkeypatch.setattr(live, "Microphone", FakeMicrophone)
    code, out, err = listen("--device", "3", "-o", "take.mid")
    assert code == 1 and len(out) == len(read_midi("take.mid")) > 10
    assert err[0] == "listening to Some microphone at 16000 Hz; Ctrl-C ends"
    assert err[1] == "sound was lost 2 times: the machine was too busy"
    assert err[2].endswith("-> take.mid") and err[-1] == "mt3x: Some microphone has stopped"


def test_without_what_records_there_is_one_line(listen, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    code, _, err = listen()
    message = "recording needs the package sounddevice: pip install 'mt3x[live]'; or pipe raw PCM in"
    assert (code, err) == (1, [f"mt3x: {message}"])


def test_ctrl_c_while_a_microphone_is_heard_is_a_normal_end(listen, small_model_folder, monkeypatch):
    class Interrupted(FakeMicrophone):
        def blocks(self, is_over):
            for i, block in enumerate(super().blocks(is_over)):
                if i == 100:
                    os.kill(os.getpid(), signal.SIGINT)
                yield block

    monkeypatch.setattr(live, "Microphone", Interrupted)
    code, _, _ = listen("--device", "3", "-o", "take.json")
    assert code == 0
    whole = transcribed(tones(4.0)[: 101 * RATE // 50], small_model_folder)
    assert json.loads(Path("take.json").read_text()) == whole


def press_ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(1)  # until it arrives


def test_second_ctrl_c_stops_everything():
    before = signal.getsignal(signal.SIGINT)
    with live._Ending() as ending:
        os.kill(os.getpid(), signal.SIGINT)
        assert ending.is_wished and ending.wait(lambda size: b"more", 4) == b""
        with pytest.raises(KeyboardInterrupt):
            press_ctrl_c()
    assert signal.getsignal(signal.SIGINT) == before


def start(*words, **options):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-m", "mt3x", *words], **pipes | options)


def test_ctrl_c_while_waiting_for_input_writes_what_was_heard(folder, small_model_folder):
    samples = tones(1.3)  # fits into a pipe
    with start(*PIPED, "--model", str(small_model_folder), "-o", "take.json") as process:
        process.stdin.write(samples.tobytes())
        process.stdin.flush()
        first = process.stdout.readline()
        time.sleep(0.5)  # the pipe stays open, and the command waits
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=300)
    assert process.returncode == 0 and b"Traceback" not in err, err
    heard = json.loads(Path("take.json").read_text())
    assert len((first + out).splitlines()) == len(heard["notes"]) > 0
    assert heard == transcribed(samples, small_model_folder)


def test_output_that_nobody_reads_on_ends_the_recording(folder, small_model_folder):
    with start(*PIPED, "--model", str(small_model_folder), "-o", "take.mid") as process:
        process.stdin.write(tones(2.0).tobytes())
        process.stdin.flush()
        process.stdout.readline()
        process.stdout.close()
        for seed in range(2, 30):
            try:
                process.stdin.write(tones(2.0, seed).tobytes())
            except BrokenPipeError:
                break
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0 and b"Traceback" not in err and b"Exception" not in err, err
    assert len(read_midi("take.mid"))


@pytest.mark.slow
def test_the_example_through_a_pipe_is_written_as_of_the_file(folder):
    samples, rate = soundfile.read(EXAMPLE, dtype="int16")
    with start(*PIPED[:-1], str(rate), "-o", "take.mid") as process:
        out, err = process.communicate(samples.astype("<i2").tobytes(), timeout=300)
    assert process.returncode == 0, err
    assert main(["transcribe", str(EXAMPLE), "-o", "offline", "--quiet"]) == 0
    assert Path("take.mid").read_bytes() == Path("offline/das_wandern.mid").read_bytes()
    assert len(out.splitlines()) > 200


@pytest.mark.slow
def test_notes_of_the_example_come_no_later_than_a_segment_after_that_of_their_end():
    samples, rate = soundfile.read(EXAMPLE, dtype="int16")
    transcriber = mt3x.load(batch_size=1)
    segment_seconds = transcriber.config.segment_seconds
    fed_seconds = 0.0

    def blocks():
        nonlocal fed_seconds
        for block in np.split(samples, range(0, len(samples), rate // 50)):
            fed_seconds += len(block) / rate
            yield block

    stream, delays = transcriber.stream(blocks(), rate), []
    for notes in stream:
        for end in notes["end"].tolist():
            following = end // segment_seconds + 2  # segments that must have been heard
            assert fed_seconds <= following * segment_seconds + 0.05  # a block, and the resampler's delay
            delays.append(fed_seconds - end)
    assert len(delays) > 200
    assert max(delays) < segment_seconds + 0.15 and np.median(delays) < 0.6 * segment_seconds

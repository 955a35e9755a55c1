"""Whatever people hand to `mt3x transcribe`: good files in all shapes, and bad ones, each made here.

A bad file gets one line on standard error, no traceback, and leaves no file behind.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mt3x.apps.cli import main
from mt3x.apps.console import progress
from mt3x.music.midi import read_midi

RATE = 16000


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def transcribe(folder, small_model_folder, capsys, monkeypatch):
    """Runs the command; returns the exit code and the lines of standard output and standard error."""
    # On a busy machine even these short files may take the ten seconds after which a line of progress is due.
    monkeypatch.setattr(progress, "_PLAIN_INTERVAL_SECONDS", float("inf"))

    def run(*words):
        code = main(["transcribe", *words, "--model", str(small_model_folder), "--batch-size", "4"])
        out, err = capsys.readouterr()
        return code, out.splitlines(), err.splitlines()

    return run


def sound(seconds=1.2, rate=RATE, channels=1):
    """Float64 [N, channels], a rising tone."""
    times = np.arange(int(seconds * rate)) / rate
    return np.repeat(0.5 * np.sin(2 * np.pi * (220 + 100 * times) * times)[:, np.newaxis], channels, axis=1)


def files():
    return sorted(path.name for path in Path.cwd().iterdir())


def truncate(name, share):
    os.truncate(name, int(os.path.getsize(name) * share))


def write_missing(name):
    pass


def write_empty(name):
    Path(name).touch()


def write_text(name):
    Path(name).write_text("dear diary " * 1000)


def write_zero_samples(name):
    soundfile.write(name, np.zeros((0, 1)), RATE)


def write_nan(name):
    samples = sound()
    samples[8000] = np.nan
    soundfile.write(name, samples, RATE, subtype="FLOAT")


def write_infinity(name):
    samples = sound()
    samples[-1] = -np.inf
    soundfile.write(name, samples, RATE, subtype="DOUBLE")


def write_cut_off(name):
    soundfile.write(name, sound(5.0), RATE)
    truncate(name, 0.6)


def write_cut_in_header(name):
    soundfile.write(name, sound(), RATE)
    os.truncate(name, 20)


def write_low_rate(name):
    soundfile.write(name, sound(rate=2000), 2000)


def write_folder(name):
    Path(name).mkdir()


BAD = {
    "missing.wav": (write_missing, "no such file"),
    "empty.wav": (write_empty, "is empty"),
    "empty.mp3": (write_empty, "is empty"),
    "text.wav": (write_text, "is not audio"),
    "text.flac": (write_text, "is not audio"),
    "text": (write_text, "is not audio"),
    "none.wav": (write_zero_samples, "holds no samples"),
    "nan.wav": (write_nan, "NaN"),
    "infinite.wav": (write_infinity, "infinite"),
    "header.wav": (write_cut_in_header, ""),
    "rate.wav": (write_low_rate, "2000 Hz"),
    "folder.wav": (write_folder, "no recordings in this folder"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_file_gets_one_clear_line_and_leaves_nothing(transcribe, name):
    write, reason = BAD[name]
    write(name)
    before = files()
    code, out, err = transcribe(name)
    assert code == 1 and out == []
    assert len(err) == 1 and err[0].startswith(f"mt3x: {name}: ") and reason in err[0]
    assert files() == before


@pytest.mark.parametrize("name", ["cut.wav", "cut.flac", "cut.ogg"])
def test_a_file_that_breaks_off_is_transcribed_with_a_notice_or_strictly_refused(transcribe, name):
    soundfile.write(name, sound(30.0), RATE)
    truncate(name, 0.6)
    code, out, err = transcribe(name, "--strict")
    assert code == 1 and out == [] and len(err) == 1
    assert err[0].startswith(f"mt3x: {name}: is cut off after ") and files() == [name]
    code, out, err = transcribe(name)
    assert code == 0 and err == []
    assert out[1].startswith(f"{name}: the recording is cut off after ")
    assert len(read_midi("cut.mid"))


def test_bad_files_do_not_stop_the_good_ones(transcribe):
    for name, (write, _) in BAD.items():
        write(name)
    soundfile.write("good.wav", sound(), RATE)
    code, out, err = transcribe(*BAD, "good.wav")
    assert code == 1 and len(err) == len(BAD)
    assert out[-1] == f"1 transcribed, 0 skipped, {len(BAD)} failed"
    assert len(read_midi("good.mid")) and [name for name in files() if name.endswith(".mid")] == ["good.mid"]


def test_file_that_breaks_off_late_leaves_nothing(transcribe):
    # Found only while reading, after many segments were transcribed.
    samples = sound(40.0)
    samples[-1] = np.nan
    soundfile.write("late.wav", samples, RATE, subtype="FLOAT")
    code, _, err = transcribe("late.wav")
    assert code == 1 and len(err) == 1 and files() == ["late.wav"]


def test_silence_gives_an_empty_midi_file_and_a_notice(transcribe):
    soundfile.write("silence.wav", np.zeros((3 * RATE, 1)), RATE)
    code, out, err = transcribe("silence.wav")
    assert code == 0 and err == []
    assert "0 notes" in out[0] and "is silent" in out[1]
    assert len(read_midi("silence.mid")) == 0


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000, 192000])
def test_rates_from_telephone_to_studio(transcribe, rate):
    soundfile.write("song.wav", sound(rate=rate), rate)
    code, out, err = transcribe("song.wav")
    assert code == 0 and err == [] and "1.2 s of audio" in out[0]
    assert len(read_midi("song.mid"))


@pytest.mark.parametrize("channels", [1, 2, 6, 8])
def test_channels_from_mono_to_eight(transcribe, channels):
    soundfile.write("song.wav", sound(channels=channels), RATE)
    assert transcribe("song.wav")[0] == 0
    assert len(read_midi("song.mid"))


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
def test_samples_from_8_bit_to_float64(transcribe, subtype):
    soundfile.write("song.wav", sound(), RATE, subtype=subtype)
    assert transcribe("song.wav")[0] == 0
    assert len(read_midi("song.mid"))


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff", "FLAC"])
def test_formats(transcribe, suffix):
    soundfile.write(f"song.{suffix}", sound(), RATE, format=suffix)
    assert transcribe(f"song.{suffix}")[0] == 0
    assert len(read_midi("song.mid"))


@pytest.mark.parametrize(
    "name", ["two words.wav", "Für Elise – 月光.wav", "-dash.wav", "100%.wav", "no suffix", "[x]*.wav"]
)
def test_names(transcribe, name):
    soundfile.write(name, sound(), RATE, format="WAV")
    code, out, _ = transcribe(f"./{name}")
    assert code == 0 and out[0].startswith(f"{name}: ")
    assert len(read_midi(Path(name).stem + ".mid"))


def test_one_sample_is_a_recording(transcribe):
    soundfile.write("click.wav", np.ones((1, 1)) * 0.5, RATE)
    assert transcribe("click.wav")[0] == 0
    assert files() == ["click.mid", "click.wav"]


@pytest.mark.parametrize("output", ["taken", "taken/below", "/proc/mt3x"])
def test_output_folder_that_cannot_be_made_exits_with_2(transcribe, output):
    Path("taken").touch()
    soundfile.write("song.wav", sound(), RATE)
    code, out, err = transcribe("song.wav", "-o", output)
    assert (
        code == 2 and out == [] and len(err) == 1 and err[0].startswith(f"mt3x: cannot write to {output}: ")
    )
    assert files() == ["song.wav", "taken"]


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_read_only_output_folder_exits_with_2(transcribe):
    Path("locked").mkdir(mode=0o500)
    soundfile.write("song.wav", sound(), RATE)
    code, _, err = transcribe("song.wav", "-o", "locked")
    assert code == 2 and err == ["mt3x: cannot write to locked: Permission denied"]


def test_broken_model_exits_with_2_and_names_it(folder, capsys):
    soundfile.write("song.wav", sound(), RATE)
    Path("model").mkdir()
    Path("model/checkpoint").write_bytes(b"no checkpoint")
    assert main(["transcribe", "song.wav", "--model", "model"]) == 2
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 1 and "model" in err[0]


def test_process_prints_no_traceback_and_imports_no_training_framework(folder, small_model_folder):
    soundfile.write("good.wav", sound(), RATE)
    Path("bad.wav").write_text("no audio")
    script = (
        "import sys; from mt3x.apps.cli import main; code = main(sys.argv[1:]); "
        "heavy = {'tensorflow', 'seqio', 't5x', 'gin', 'torch', 'librosa', 'matplotlib', 'pretty_midi',"
        " 'note_seq', 'optax', 'orbax', 'tensorstore', 'pandas'} & set(sys.modules); "
        "print('imported:', sorted(heavy)); sys.exit(code)"
    )
    words = ["transcribe", "--quiet", "good.wav", "bad.wav", "--model", str(small_model_folder)]
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, text=True, timeout=300, env=environment
    )
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "imported: []"
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("mt3x: bad.wav: is not audio")
    assert files() == ["bad.wav", "good.mid", "good.wav"]

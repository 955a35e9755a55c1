import dataclasses
import io
import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

import mt3x
from mt3x.audio.errors import AudioError
from mt3x.checkpoints import CONFIG_FILE, write_t5x
from mt3x.model.config import TINY
from mt3x.music.instruments import DRUMS
from mt3x.music.notes import sort_notes
from mt3x.transcription.frames.config import Thresholds
from mt3x.transcription.tokens.config import TranscriptionConfig
from mt3x.transcription.tokens.engine import Engine
from mt3x.transcription.transcriber import Transcriber

RATE = 16000
GOLDEN = Path(__file__).parents[1] / "golden"


def tones(seconds, seed=1):
    """A new tone every fifth of a second, float32 [seconds * RATE]."""
    random = np.random.default_rng(seed)
    hertz = np.repeat(np.exp(random.uniform(4, 8, int(seconds * 5) + 1)), RATE // 5)[: int(seconds * RATE)]
    return (0.3 * np.sin(2 * np.pi * np.cumsum(hertz) / RATE)).astype(np.float32)


@pytest.fixture(scope="module")
def transcriber(small_model):
    return Transcriber(*small_model, name="small", batch_size=4)


@pytest.fixture(scope="module")
def found(transcriber):
    return transcriber.transcribe(tones(6.3), RATE)


def test_samples_become_notes(found):
    assert len(found.notes) > 20 and found.model == "small"
    assert found.duration_seconds == 6.3
    assert set(found.instruments) <= {
        "Acoustic Grand Piano", "Acoustic Guitar (nylon)", "Violin", "Drums"
    }  # fmt: skip
    # The last segment begins at 6.144 s and is written as if it were full.
    assert found.notes["start"].min() >= 0 and 6.1 < found.notes["start"].max() <= 6.144 + 0.512


def test_file_gives_the_same_notes_as_its_samples(transcriber, found, tmp_path):
    soundfile.write(tmp_path / "song.wav", tones(6.3), RATE, subtype="FLOAT")
    np.testing.assert_array_equal(transcriber.transcribe(tmp_path / "song.wav").notes, found.notes)
    np.testing.assert_array_equal(transcriber.transcribe(str(tmp_path / "song.wav")).notes, found.notes)


def test_channels_and_rates_are_taken_care_of(transcriber):
    stereo = np.stack([tones(2.0)] * 2, axis=1)
    mono = transcriber.transcribe(tones(2.0), RATE)
    np.testing.assert_array_equal(transcriber.transcribe(stereo, RATE).notes, mono.notes)
    assert transcriber.transcribe(np.repeat(tones(2.0), 3), 3 * RATE).duration_seconds == 2.0


def test_batch_size_does_not_change_the_notes(small_model, found):
    np.testing.assert_array_equal(
        Transcriber(*small_model, batch_size=2).transcribe(tones(6.3), RATE).notes, found.notes
    )


@pytest.mark.parametrize("seed", [0, 1])
def test_stream_of_any_blocks_gives_the_notes_of_the_whole(transcriber, found, seed):
    random = np.random.default_rng(seed)
    edges = np.sort(random.integers(0, int(6.3 * RATE), 20))
    blocks = np.split(tones(6.3), edges)
    together = np.concatenate(list(transcriber.stream(blocks, RATE)))
    np.testing.assert_array_equal(np.sort(together), np.sort(found.notes))


def test_stream_returns_the_facts_of_the_whole_at_its_end(transcriber):
    samples = np.concatenate([tones(1.0), np.zeros(RATE, np.float32)])
    stream, notes = transcriber.stream(np.split(samples, 50), RATE), []
    while True:
        try:
            notes.append(next(stream))
        except StopIteration as end:
            facts = end.value
            break
    whole = transcriber.transcribe(samples, RATE)
    found = dataclasses.replace(facts, notes=sort_notes(np.concatenate(notes)))
    assert len(facts.notes) == 0 and len(found.notes) and found.to_dict() == whole.to_dict()


def test_stream_resamples_to_the_same_as_the_whole(transcriber):
    samples = np.stack([np.repeat(tones(2.0), 2)] * 2, axis=1)
    whole = transcriber.transcribe(samples, 2 * RATE)
    together = np.concatenate(list(transcriber.stream(np.split(samples, [1, 1, 7000]), 2 * RATE)))
    np.testing.assert_array_equal(np.sort(together), np.sort(whole.notes))


def test_stream_yields_while_blocks_still_come(transcriber):
    heard = []
    blocks = (heard.append(i) or tones(1.0, seed=i) for i in range(60))
    first = next(transcriber.stream(blocks, RATE))
    # Four segments of 0.5 s fill the slots, and as many are encoded ahead.
    assert len(first) and len(heard) <= 5


def test_stream_without_blocks_gives_nothing(transcriber):
    assert list(transcriber.stream([], RATE)) == []


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (np.array([0.0, np.nan], np.float32), "the stream: sample 3 .* is NaN"),
        (
            np.zeros((2, 2, 2), np.float32),
            r"a block has shape \(2, 2, 2\); expected \[n\] or \[n, channels\]",
        ),
    ],
)
def test_stream_names_samples_that_cannot_be_used(transcriber, block, message):
    with pytest.raises(AudioError, match=message):
        list(transcriber.stream([np.zeros(2, np.float32), block], RATE))


def test_progress_rises_to_the_end(transcriber):
    calls = []
    transcriber.transcribe(tones(3.0), RATE, progress=lambda *seconds: calls.append(seconds))
    assert all(total == 3.0 for _, total in calls)
    assert all(before[0] < after[0] for before, after in pairwise(calls))
    assert calls[-1][0] == pytest.approx(3.0, abs=0.02)


def test_silence_is_an_empty_transcription_with_a_notice(transcriber):
    silence = np.full(3 * RATE, 9e-5, np.float32)
    found = transcriber.transcribe(silence, RATE)
    assert len(found.notes) == 0 and found.duration_seconds == 3.0
    assert found.notices == ("the recording is silent: no sample exceeds -80 dB of full scale",)
    assert list(transcriber.stream([silence], RATE)) == []


def test_silence_in_the_middle_has_no_notes(transcriber):
    samples = tones(6.0)
    samples[2 * RATE : 4 * RATE] = 0.0
    notes = transcriber.transcribe(samples, RATE).notes
    assert len(notes) and not ((notes["start"] > 2.1) & (notes["start"] < 3.5)).any()
    assert (notes["start"] > 4.0).any()
    # The last segment with sound begins before 2 s and ends half a second later.
    assert notes["end"][notes["start"] < 2.1].max() < 2.6


def test_mt3_compatible_shows_silence_to_the_network(small_model):
    compatible = Transcriber(*small_model, batch_size=4, mt3_compatible=True)
    assert len(compatible.transcribe(np.zeros(RATE, np.float32), RATE).notes)


def test_sound_without_notes_and_sequences_cut_short_are_noticed(transcriber, monkeypatch):
    monkeypatch.setattr(
        Engine, "decode", lambda self, segments: ((s, np.zeros(16, np.int32)) for s in segments)
    )
    found = transcriber.transcribe(tones(1.0), RATE)
    assert found.notices == (
        "no notes were found",
        "2 of 2 segments need more tokens than the model may write",
    )


def test_restrikes_are_merged_as_the_config_or_the_option_says(small_model_folder, found):
    merged = mt3x.load(small_model_folder, batch_size=4, merge_restrikes_seconds=10.0)
    notes = merged.transcribe(tones(6.3), RATE).notes
    assert 0 < len(notes) < len(found.notes)
    assert len(np.unique(notes[["pitch", "program", "is_drum"]])) == len(notes)


def test_load_changes_what_is_asked_and_refuses_what_is_not_there(small_model, small_model_folder):
    loaded = mt3x.load(small_model_folder, search="beam")
    assert loaded.config.search == "beam" and loaded.name == str(small_model_folder)
    assert mt3x.load(small_model_folder).config == small_model[0]
    assert mt3x.load(small_model_folder, instruments="drums, piano").config.instruments == (128, 0)
    with pytest.raises(ValueError, match="search is 'fast'; choose one of greedy, grammar, beam"):
        mt3x.load(small_model_folder, search="fast")  # pyright: ignore
    with pytest.raises(ValueError, match="batch_size is 0"):
        mt3x.load(small_model_folder, batch_size=0)


def test_transcribe_in_one_call(small_model_folder, found):
    once = mt3x.transcribe(tones(6.3), RATE, small_model_folder, batch_size=4)
    np.testing.assert_array_equal(once.notes, found.notes)


def test_samples_need_a_rate_and_files_have_theirs(transcriber):
    with pytest.raises(ValueError, match="sample_rate is missing"):
        transcriber.transcribe(tones(1.0))
    with pytest.raises(ValueError, match="sample_rate is 16000 for a file"):
        transcriber.transcribe("song.wav", RATE)


def test_file_that_cannot_be_read_is_an_audio_error(transcriber, tmp_path):
    with pytest.raises(AudioError, match="there is no such file"):
        transcriber.transcribe(tmp_path / "absent.wav")


def test_checkpoint_that_t5x_wrote_transcribes_with_its_beam_search(tmp_path):
    folder = tmp_path / "checkpoint_3"
    shutil.copytree(GOLDEN / "t5x_checkpoint_tiny" / "checkpoint_3", folder)
    config = TranscriptionConfig(network=TINY, segment_frames=32, max_target_length=6, search="beam")
    (folder / "config.json").write_text(config.to_json())
    found = mt3x.load(folder).transcribe(tones(0.5), RATE)
    assert found.duration_seconds == 0.5
    assert len(found.notes) + found.report.invalid_events + found.report.dropped_events > 0


@pytest.mark.slow
def test_half_an_hour_of_audio_takes_no_more_memory_than_minutes(small_model_folder, tmp_path):
    script = (
        "import sys, resource, mt3x; found = mt3x.load(sys.argv[1]).transcribe(sys.argv[2]); "
        "print(len(found.notes), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = {}
    compiling = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    for minutes in (4, 30):
        path = tmp_path / f"{minutes}.flac"
        with soundfile.SoundFile(path, "w", 44100, 2) as file:
            minute = np.stack([np.repeat(tones(60.0), 3)[: 60 * 44100]] * 2, axis=1)
            for _ in range(minutes):
                file.write(minute)
        words = [sys.executable, "-c", script, str(small_model_folder), str(path)]
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=600, env=compiling)
        notes, peaks[minutes] = map(int, done.stdout.split())
        assert notes > 100 * minutes
    # Kilobytes; half an hour at 16 kHz alone is 115 MB.
    assert peaks[30] < peaks[4] + 50_000


@pytest.mark.parametrize("num_workers", [0, 2])
def test_many_recordings_together_are_each_alone(transcriber, tmp_path, num_workers):
    paths = [tmp_path / f"{name}.wav" for name in "abcd"]
    for seed, (path, seconds) in enumerate(zip(paths, (3.1, 0.2, 5.0, 1.0), strict=True)):
        soundfile.write(path, tones(seconds, seed=seed), RATE, subtype="FLOAT")
    paths[1].write_bytes(b"no audio")
    soundfile.write(paths[3], np.zeros(RATE), RATE)
    told = []
    found = list(transcriber.transcribe_all(paths, num_workers, lambda *state: told.append(state)))
    assert len(found) == 4 and isinstance(found[1], AudioError) and "b.wav" in str(found[1])
    for number in (0, 2, 3):
        alone = transcriber.transcribe(paths[number])
        np.testing.assert_array_equal(found[number].notes, alone.notes)
        assert (found[number].duration_seconds, found[number].notices) == (
            alone.duration_seconds,
            alone.notices,
        )
    assert len(found[0].notes) and len(found[2].notes)
    assert [number for number, *_ in told] == sorted(number for number, *_ in told)
    assert [state for state in told if state[0] == 2][-1][1:] == pytest.approx((5.0, 5.0), abs=0.016)


def test_no_recordings_give_nothing(transcriber):
    assert list(transcriber.transcribe_all([])) == []


@pytest.fixture(scope="module")
def frames_folder(tiny_config, guessing_params, tmp_path_factory):
    """A frame recogniser that knows nothing as a checkpoint."""
    folder = tmp_path_factory.mktemp("model") / "frames"
    write_t5x(folder, guessing_params, step=1, inline=True)
    guessing = dataclasses.replace(tiny_config, thresholds=Thresholds(*[0.3] * 8))
    (folder / CONFIG_FILE).write_text(guessing.to_json())
    return folder


@pytest.fixture(scope="module")
def frames_transcriber(frames_folder):
    return mt3x.load(frames_folder, batch_size=4)


def test_a_frame_recogniser_finds_the_same_notes_in_stream_and_whole(frames_transcriber):
    whole = frames_transcriber.transcribe(tones(3.1), RATE, keep_all=True)
    together = np.concatenate(list(frames_transcriber.stream(np.split(tones(3.1), [100, 40_000]), RATE)))
    assert len(whole.notes) > 5
    np.testing.assert_array_equal(np.sort(together), np.sort(whole.notes))
    folded = frames_transcriber.transcribe(tones(3.1), RATE).notes
    for column in ("start", "end", "pitch"):
        np.testing.assert_array_equal(np.sort(folded[column]), np.sort(together[column]))
    assert set(folded["program"].tolist()) < set(together["program"].tolist())
    assert (whole.duration_seconds, whole.report.invalid_events, whole.notices) == (3.1, 0, ())


def test_many_recordings_through_a_frame_recogniser_are_each_alone(frames_transcriber, tmp_path):
    for number, seconds in enumerate((0.1, 2.0, 0.7)):
        soundfile.write(tmp_path / f"{number}.wav", tones(seconds, number), RATE, subtype="FLOAT")
    paths = sorted(tmp_path.glob("*.wav"))
    for path, found in zip(paths, frames_transcriber.transcribe_all(paths), strict=True):
        assert not isinstance(found, AudioError)
        np.testing.assert_array_equal(found.notes, frames_transcriber.transcribe(path).notes)


def test_what_is_odd_about_a_file_is_a_notice_or_strictly_an_error(transcriber, tmp_path):
    samples = np.stack([tones(2.0), -tones(2.0)], axis=1)
    soundfile.write(tmp_path / "song.wav", samples, RATE, subtype="FLOAT")
    data = (tmp_path / "song.wav").read_bytes()
    half = data[: len(data) // 2]
    (tmp_path / "half.wav").write_bytes(half)
    heads = [
        "the recording is cut off after 1.0 s: its header promises 256000 bytes",
        "the channels cancel each other for 1.0 of 1.0 s",
    ]
    for num_workers in (0, 1):
        (found,) = transcriber.transcribe_all([tmp_path / "half.wav"], num_workers)
        assert [notice[: len(head)] for notice, head in zip(found.notices, heads, strict=True)] == heads
        (refused,) = transcriber.transcribe_all([tmp_path / "half.wav"], num_workers, strict=True)
        assert isinstance(refused, AudioError) and "half.wav: is cut off after 1.0 s" in str(refused)
    assert found.notices == transcriber.transcribe(io.BytesIO(half)).notices
    assert found.notices == transcriber.transcribe(half).notices and len(found.notes)
    np.testing.assert_array_equal(transcriber.transcribe(half).notes, found.notes)
    with pytest.raises(AudioError, match="the open file: is cut off after 1.0 s"):
        transcriber.transcribe(io.BytesIO(half), strict=True)
    with pytest.raises(ValueError, match="sample_rate is 16000 for a file"):
        transcriber.transcribe(half, RATE)


def test_progress_knows_the_length_where_a_header_tells_it(transcriber, tmp_path):
    soundfile.write(tmp_path / "song.wav", tones(2.0), RATE, subtype="FLOAT")
    lengths = set()
    transcriber.transcribe(tmp_path / "song.wav", progress=lambda _, length: lengths.add(length))
    transcriber.transcribe(tones(2.0), RATE, progress=lambda _, length: lengths.add(length))
    for num_workers in (0, 1):
        paths = [tmp_path / "song.wav"]
        list(transcriber.transcribe_all(paths, num_workers, lambda _, __, length: lengths.add(length)))
    assert lengths == {2.0}


def test_bends_come_with_the_notes_of_a_frame_recogniser(frames_transcriber, tmp_path):
    plain = frames_transcriber.transcribe(tones(3.1), RATE)
    bent = frames_transcriber.transcribe(tones(3.1), RATE, bends=True)
    assert plain.bends is None and -50 <= plain.tuning_cents <= 50
    np.testing.assert_array_equal(bent.notes, plain.notes)
    assert len(bent.bends) == len(bent.notes)
    for note, bend in zip(bent.notes, bent.bends, strict=True):
        assert ((bend[:, 0] >= note["start"]) & (bend[:, 0] < note["end"])).all()
        assert (np.abs(bend[:, 1]) <= 100).all()
    soundfile.write(tmp_path / "tones.wav", tones(3.1), RATE, subtype="FLOAT")
    (together,) = frames_transcriber.transcribe_all([tmp_path / "tones.wav"], bends=True)
    assert all(np.array_equal(a, b) for a, b in zip(together.bends, bent.bends, strict=True))


def test_bends_are_refused_of_a_model_that_writes_tokens(transcriber):
    assert not transcriber.knows_bends
    with pytest.raises(ValueError, match="writes tokens, which hold no bends; leave bends out"):
        transcriber.transcribe(tones(1.0), RATE, bends=True)


def test_a_pedal_comes_with_the_notes_of_a_model_that_has_learned_it(
    frames_transcriber, tiny_config, guessing_params
):
    with pytest.raises(ValueError, match="frames has not learned the sustain pedal; leave pedal out"):
        frames_transcriber.transcribe(tones(1.0), RATE, pedal=True)
    network = dataclasses.replace(tiny_config.network, pedal_width=4)
    thresholds = Thresholds(*[0.3] * 8, pedal_down=0.5, pedal_up=0.4)
    config = dataclasses.replace(tiny_config, network=network, thresholds=thresholds, instruments=(0,))
    pooled = np.zeros((2 * network.feature_channels, 4), np.float32)
    head = {
        "pedal_hidden": {"kernel": pooled, "bias": np.ones(4, np.float32)},
        "pedal": {"kernel": np.ones((4, 1), np.float32), "bias": np.zeros(1, np.float32)},  # always down
    }
    params = {**guessing_params, "trunk": guessing_params["trunk"] | head}
    transcriber = Transcriber(config, params, batch_size=4)
    assert transcriber.knows_pedal and not frames_transcriber.knows_pedal
    found = transcriber.transcribe(tones(3.1), RATE, pedal=True)
    assert len(found.notes) and found.pedal.dtype == np.float64
    assert len(found.pedal) == 1 and found.pedal[0] == pytest.approx([0.0, 3.1], abs=0.05)
    assert transcriber.transcribe(tones(3.1), RATE).pedal is None


def test_options_of_a_frame_recogniser_are_taken_or_refused(frames_folder):
    loaded = mt3x.load(frames_folder, merge_restrikes_seconds=0.2, instruments="drums", dtype="float32")
    assert (loaded.config.merge_seconds, loaded.config.instruments) == (0.2, (DRUMS,))
    with pytest.raises(ValueError, match="search is 'greedy', but .*frames writes no tokens to search among"):
        mt3x.load(frames_folder, search="greedy")
    with pytest.raises(ValueError, match="dtype is 'int8', but .*frames computes in float32 only; leave it"):
        mt3x.load(frames_folder, dtype="int8")


def test_a_frame_recogniser_runs_without_anything_that_decodes_tokens(frames_folder):
    script = (
        "import sys, numpy as np, mt3x\n"
        f"mt3x.load({str(frames_folder)!r}, batch_size=1).transcribe(np.zeros(8000, np.float32), {RATE})\n"
        "tokens = ('mt3x.transcription.tokens', 'mt3x.model.transformer', 'mt3x.model.decoding',\n"
        "          'mt3x.model.policies', 'mt3x.tokens.codec', 'mt3x.tokens.decode')\n"
        "print([name for name in sys.modules if name.startswith(tokens)])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert done.stdout == "[]\n", done.stderr

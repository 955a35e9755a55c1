import json
from pathlib import Path

import numpy as np
import pytest

from mt3x.audio.logmel import SpectrogramConfig
from mt3x.music.notes import NOTE_DTYPE, make_notes
from mt3x.tokens.codec import Event
from mt3x.tokens.encode import encode_segments
from mt3x.tokens.spec import NoteSpec
from mt3x.tokens.vocabulary import VocabularyConfig, build_codec

GOLDEN = Path(__file__).parents[2] / "golden"
CODEC = build_codec(VocabularyConfig())
TIES = NoteSpec.NOTES_WITH_TIES
SPECTROGRAM = SpectrogramConfig()


@pytest.fixture(scope="module", autouse=True)
def imports():
    """What needs TensorFlow is imported when the first test here runs: it takes seconds."""
    global seqio, tf, steps
    import seqio
    import tensorflow as tf

    from mt3x.data.seqio import preprocessors as steps


def recording(num_frames, notes):
    samples = np.arange(num_frames * 128 - 1, dtype=np.float32)
    return tf.data.Dataset.from_tensors({"id": "a", "samples": samples, "notes": notes.tobytes()})


def random_notes(count, seconds, seed=0):
    random = np.random.default_rng(seed)
    start = random.integers(0, int(seconds * 100), count) / 100
    return make_notes(start, start + random.integers(1, 80, count) / 100, random.integers(50, 60, count))


@pytest.mark.parametrize("spec", NoteSpec)
def test_segments_carry_all_their_events_and_no_others(spec):
    notes = random_notes(40, 4.0)
    tokenized = steps.tokenize_transcription_example(recording(500, notes), SPECTROGRAM, CODEC, spec)
    split = steps.split_frames(tokenized, 125, CODEC, spec)
    segments = list(split.as_numpy_iterator())
    assert [len(ex["inputs"]) for ex in segments] == [125] * 4
    extracted = steps.extract_target_sequence_with_indices(split, CODEC, spec)
    encoded = steps.remove_redundant_state_changes(
        steps.run_length_encode_shifts(extracted, CODEC), CODEC
    ).as_numpy_iterator()
    trimmed = np.frombuffer(notes.tobytes(), NOTE_DTYPE)
    want = encode_segments(steps.trim_overlapping_notes(trimmed), np.arange(4.0), CODEC, spec)
    assert [ex["targets"].tolist() for ex in encoded] == [tokens.tolist() for tokens in want]
    (whole,) = tokenized.as_numpy_iterator()
    assert sum(len(ex["targets"]) for ex in segments) == len(whole["targets"])
    assert all(len(ex["state_events"]) <= len(whole["state_events"]) for ex in segments)


def test_overlaps_stay_if_they_are_not_trimmed():
    notes = make_notes([0.0, 0.5], [1.0, 1.5], 60)
    tokens = [
        steps.tokenize_transcription_example(recording(200, notes), SPECTROGRAM, CODEC, TIES, trims)
        .as_numpy_iterator()
        .next()["targets"]
        for trims in (True, False)
    ]
    offset = CODEC.event_type_range("velocity")[0]
    places = [np.flatnonzero(np.cumsum(t == 1)[t == offset]) for t in tokens]
    assert [len(p) for p in places] == [2, 2]
    assert tokens[0].tolist() != tokens[1].tolist()


def test_chunks_lie_within_their_segment_and_any_frame_may_start_one():
    split = steps.tokenize_transcription_example(
        recording(60, random_notes(5, 0.4)), SPECTROGRAM, CODEC, NoteSpec.NOTES
    ).repeat(200)
    with seqio.utils.map_seed_manager(7):
        chunks = list(steps.select_random_chunk(split, {"inputs": 20}).as_numpy_iterator())
    firsts = np.array([ex["inputs"][0, 0] / 128 for ex in chunks]).astype(int)
    lengths = np.array([len(ex["inputs"]) for ex in chunks])
    assert firsts.min() == 0 and firsts.max() > 55
    assert lengths.max() == 20 and lengths.min() < 5
    assert (firsts + lengths <= 60).all()
    assert (lengths[firsts + 20 <= 60] <= 20).all()
    assert all(len(ex["input_event_start_indices"]) == len(ex["inputs"]) for ex in chunks)


def mixed(inputs, targets, size, seed=3, mt3_compatible=True):
    def generate():
        for samples, tokens in zip(inputs, targets, strict=True):
            yield {"inputs": samples, "targets": np.array(tokens, np.int32)}

    signature = {"inputs": tf.TensorSpec([None], tf.float32), "targets": tf.TensorSpec([None], tf.int32)}
    dataset = tf.data.Dataset.from_generator(generate, output_signature=signature)
    with seqio.utils.map_seed_manager(seed):
        mixes = steps.mix_transcription_examples(dataset, CODEC, size, mt3_compatible=mt3_compatible)
    return list(mixes.as_numpy_iterator())


@pytest.mark.parametrize(("size", "name"), [(1, "mix1"), (2, "mix2")])
def test_mixes_equal_the_originals(size, name):
    audio = np.load(GOLDEN / "mixing_audio.npz")
    tokens = json.loads((GOLDEN / "mixing.json").read_text())
    singles = dict(zip([a.tobytes() for a in audio["mix1"]], tokens["mix1_targets"], strict=True))
    targets = [singles[(samples / np.abs(samples).max()).tobytes()] for samples in audio["inputs"]]
    want = audio["mix1" if size == 1 else "mix2_all"]
    got = mixed(audio["inputs"], targets, size)
    assert len(got) == len(want)
    for samples, merged in zip(want, tokens[f"{name}_targets"], strict=True):
        distances = [np.abs(ex["inputs"] - samples).max() for ex in got]
        nearest = got[int(np.argmin(distances))]
        assert min(distances) < 1e-6
        # Two tracks may be taken in either order.
        assert sorted(nearest["targets"].tolist()) == sorted(merged)


def indexes(*events):
    return [CODEC.encode_event(Event(name, value)) for name, value in events]


def test_a_mix_opens_with_the_held_notes_of_both_and_one_tie():
    held = {0: indexes(("program", 0), ("pitch", 60)), 24: indexes(("program", 24), ("pitch", 40))}
    tie, shift = indexes(("tie", 0)), indexes(("shift", 5))
    off = indexes(("program", 0), ("velocity", 0), ("pitch", 60))
    on = indexes(("program", 24), ("velocity", 1), ("pitch", 64))
    later = indexes(("shift", 9), ("program", 24), ("velocity", 1), ("pitch", 65))
    targets = [held[0] + tie + shift + off, held[24] + tie + shift + on + later]
    mixes = mixed(np.eye(2, 64, dtype=np.float32), targets, 2, mt3_compatible=False)
    (both,) = [ex["targets"].tolist() for ex in mixes if ex["inputs"].sum() == 2]
    opening = held[0] + held[24] + tie + shift
    assert both in (opening + off + on + later, opening + on + off + later)


def test_silence_stays_silence_and_no_mixing_changes_nothing():
    silence = np.zeros((1, 256), np.float32)
    assert not mixed(silence, [[5, 1061]], 1)[0]["inputs"].any()
    loud = np.full((1, 256), 3.0, np.float32)
    assert mixed(loud, [[5, 1061]], None)[0]["inputs"].tolist() == loud[0].tolist()


def test_mixes_follow_the_seed():
    inputs = np.random.default_rng(0).normal(size=(12, 64)).astype(np.float32)
    targets = [[step, 1061] for step in range(1, 13)]
    runs = [[ex["inputs"].tobytes() for ex in mixed(inputs, targets, 3, seed)] for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]
    assert len(runs[0]) == 12 + 6 + 4


def frames(samples):
    padded = np.zeros(-(-len(samples) // 128) * 128, np.float32)
    padded[: len(samples)] = samples
    return padded.reshape(-1, 128)


@pytest.mark.parametrize("lengths", [None, {"inputs": 100}])
def test_spectrograms_equal_the_originals(lengths):
    golden = np.load(GOLDEN / "spectrograms.npz")
    for name in ("sine440", "one_sample"):
        dataset = tf.data.Dataset.from_tensors({"inputs": frames(golden[f"{name}.samples"])})
        (ex,) = steps.compute_spectrograms(dataset, lengths, SPECTROGRAM).as_numpy_iterator()
        want = golden[f"{name}.logmel"]
        assert ex["inputs"].shape == want.shape
        loud = want > -4
        np.testing.assert_allclose(ex["inputs"][loud], want[loud], atol=2e-3)


def test_samples_are_padded_to_the_sequence_length():
    dataset = tf.data.Dataset.from_tensors({"inputs": np.ones((3, 128), np.float32)})
    (ex,) = steps.keep_samples(dataset, {"inputs": 5}, 128).as_numpy_iterator()
    assert ex["samples"].tolist() == [1.0] * 384 + [0.0] * 256
    assert ex["num_frames"] == 3
    (ex,) = steps.keep_samples(dataset, None, 128).as_numpy_iterator()
    assert ex["samples"].shape == (384,)

import dataclasses
import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from mt3x.audio.logmel import log_mel
from mt3x.model.search import Greedy, search
from mt3x.model.transformer import Transformer
from mt3x.runtime import engine as engine_module
from mt3x.runtime.engine import Engine, Segment
from mt3x.tokens.codec import Event
from mt3x.tokens.vocabulary import EOS_ID, build_codec, vocabulary_from_codec


@pytest.fixture(scope="module")
def segments(small_model):
    config, _ = small_model
    random = np.random.default_rng(5)
    samples = random.standard_normal((7, config.segment_samples)).astype(np.float32)
    samples *= np.exp(random.uniform(-4, 0, (7, 1))).astype(np.float32)
    rows = [Segment(samples[i], config.segment_frames, i * config.segment_frames) for i in range(7)]
    rows[6] = rows[6]._replace(num_frames=config.segment_frames // 2)
    return rows


@pytest.fixture(scope="module")
def reference_ids(small_model, segments):
    """Each segment on its own, by the parts that the engine is made of."""
    config, params = small_model
    model = Transformer(config.network)
    found = []
    for segment in segments:
        frames = log_mel(segment.samples[np.newaxis], np.array([segment.num_frames]), config.spectrogram)
        encoded = model.apply({"params": params}, frames, method="encode")
        ids = search(model, params, encoded, Greedy(), config.max_target_length).ids[0]
        found.append(np.asarray(ids).tolist())
    return [ids[: ids.index(EOS_ID)] if EOS_ID in ids else ids for ids in found]


@pytest.fixture(scope="module")
def engine(small_model):
    return Engine(*small_model, batch_size=4)


def test_ids_are_those_of_each_segment_alone_in_order(engine, segments, reference_ids):
    decoded = list(engine.decode(segments))
    assert [segment.first_frame for segment, _ in decoded] == [s.first_frame for s in segments]
    assert [ids.tolist() for _, ids in decoded] == reference_ids
    assert any(reference_ids) and all(ids.dtype == np.int32 for _, ids in decoded)


def test_the_grammatical_search_writes_only_valid_events(small_model, segments):
    config = dataclasses.replace(small_model[0], search="grammar")
    codec = build_codec(config.vocabulary)
    vocabulary = vocabulary_from_codec(codec)
    tie = codec.encode_event(Event("tie", 0))
    for _, ids in Engine(config, small_model[1], batch_size=4).decode(segments):
        indexes = vocabulary.decode(ids)
        steps = indexes[(indexes >= 0) & (indexes <= codec.max_shift_steps)]
        assert (np.diff(steps) > 0).all() and (indexes == tie).sum() <= 1


def test_silent_segments_pass_without_the_network(engine, segments, reference_ids):
    silent = [segment._replace(is_silent=i in (0, 1, 3, 6)) for i, segment in enumerate(segments)]
    found = [ids.tolist() for _, ids in engine.decode(silent)]
    assert found == [[] if i in (0, 1, 3, 6) else ids for i, ids in enumerate(reference_ids)]


def test_no_segments_give_nothing(engine):
    assert list(engine.decode([])) == []


def test_reads_no_further_ahead_than_one_batch(engine, segments):
    read = []
    endless = (read.append(i) or segments[i % 7] for i in itertools.count())
    decoded = engine.decode(endless)
    for _ in range(6):
        next(decoded)
    assert len(read) == 8


def test_silence_does_not_hold_back_the_sound_before_it(engine, segments, reference_ids):
    read = []
    silence = (read.append(i) or segments[0]._replace(is_silent=i > 0) for i in itertools.count())
    _, ids = next(engine.decode(silence))
    assert len(read) == 8 and ids.tolist() == reference_ids[0]


def test_leading_silence_is_passed_on_at_once(engine, segments):
    read = []
    silence = (read.append(i) or segments[0]._replace(is_silent=True) for i in itertools.count())
    next(engine.decode(silence))
    assert len(read) == 1


@pytest.mark.parametrize(("counts", "compiled"), [([3], [4]), ([1, 2], [1, 2]), ([4, 1], [4]), ([9, 1], [8])])
def test_few_shapes_are_compiled(small_model, segments, monkeypatch, counts, compiled):
    config, params = small_model
    shapes = []

    def encode(model, config, params, samples, num_frames):
        shapes.append(len(samples))
        return samples

    def find(model, params, encoded, policy, max_length, **_):
        return SimpleNamespace(ids=np.zeros((len(encoded), 2), np.int32))

    monkeypatch.setattr(engine_module, "_encode", encode)
    monkeypatch.setattr(engine_module, "search", find)
    engine = Engine(config, params, batch_size=8)
    for count in counts:
        assert len(list(engine.decode((segments * 2)[:count]))) == count
    assert sorted(set(shapes)) == compiled


def test_batch_size_must_be_positive(small_model):
    with pytest.raises(ValueError, match="batch_size is 0; it must be at least 1"):
        Engine(*small_model, batch_size=0)

import dataclasses
import itertools

import numpy as np
import pytest

from mt3x.audio.logmel import log_mel
from mt3x.model.policies import Beam, Greedy
from mt3x.model.transformer import Transformer
from mt3x.music.instruments import DRUMS
from mt3x.tokens.codec import Event
from mt3x.tokens.vocabulary import EOS_ID, build_codec, vocabulary_from_codec
from mt3x.transcription.segment import Segment
from mt3x.transcription.tokens import engine as engine_module
from mt3x.transcription.tokens import slots
from mt3x.transcription.tokens.engine import Engine
from mt3x.transcription.tokens.slots import resized
from tests.model.reference_search import search


@pytest.fixture(scope="module")
def segments(small_model):
    config, _ = small_model
    random = np.random.default_rng(5)
    samples = random.standard_normal((7, config.segment_samples)).astype(np.float32)
    samples *= np.exp(random.uniform(-4, 0, (7, 1))).astype(np.float32)
    rows = [Segment(samples[i], config.segment_frames, i * config.segment_frames) for i in range(7)]
    rows[6] = rows[6]._replace(num_frames=config.segment_frames // 2)
    return rows


def find_alone(config, params, segments, policy):
    """Ids of each segment on its own, by the reference search."""
    model = Transformer(config.network)
    found = []
    for segment in segments:
        frames = log_mel(segment.samples[np.newaxis], np.array([segment.num_frames]), config.spectrogram)
        encoded = model.apply({"params": params}, frames, method="encode")
        ids = search(model, params, encoded, policy, config.max_target_length).ids[0]
        found.append(np.asarray(ids).tolist())
    return [ids[: ids.index(EOS_ID)] if EOS_ID in ids else ids for ids in found]


@pytest.fixture(scope="module")
def reference_ids(small_model, segments):
    return find_alone(*small_model, segments, Greedy())


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


@pytest.mark.parametrize("search", ["greedy", "beam", "grammar"])
@pytest.mark.parametrize("instruments", [(40,), (0, DRUMS), (DRUMS,)])
def test_only_instruments_that_play_are_written(small_model, segments, search, instruments):
    config = dataclasses.replace(small_model[0], search=search, instruments=instruments)
    codec = build_codec(config.vocabulary)
    vocabulary = vocabulary_from_codec(codec)
    events = [
        codec.decode_event_index(int(index))
        for _, ids in Engine(config, small_model[1], batch_size=4).decode(segments)
        for index in vocabulary.decode(ids)
        if index >= 0
    ]
    assert {event.value for event in events if event.type == "program"} <= set(config.programs)
    types = {event.type for event in events}
    assert types >= ({"pitch"} if config.programs else {"drum"})
    assert config.programs or "pitch" not in types
    assert config.has_drums or "drum" not in types


def test_silent_segments_pass_without_the_network(engine, segments, reference_ids):
    silent = [segment._replace(is_silent=i in (0, 1, 3, 6)) for i, segment in enumerate(segments)]
    found = [ids.tolist() for _, ids in engine.decode(silent)]
    assert found == [[] if i in (0, 1, 3, 6) else ids for i, ids in enumerate(reference_ids)]


def test_no_segments_give_nothing(engine):
    assert list(engine.decode([])) == []


def test_reads_what_slots_need_and_no_more(engine, segments):
    read = []
    endless = (read.append(i) or segments[i % 7] for i in itertools.count())
    decoded = engine.decode(endless)
    for count in range(1, 30):
        next(decoded)
        assert count < len(read) <= count + 16


def test_one_at_a_time_is_decoded_before_the_next_is_read(small_model, segments, reference_ids):
    read = []
    endless = (read.append(i) or segments[i % 7] for i in itertools.count())
    decoded = Engine(*small_model, batch_size=1).decode(endless)
    for count in range(1, 5):
        assert next(decoded)[1].tolist() == reference_ids[count - 1]
        assert len(read) == count


def test_silence_does_not_hold_back_the_sound_before_it(engine, segments, reference_ids):
    read = []
    silence = (read.append(i) or segments[0]._replace(is_silent=i > 0) for i in itertools.count())
    _, ids = next(engine.decode(silence))
    assert len(read) == 16 and ids.tolist() == reference_ids[0]


def test_leading_silence_is_passed_on_at_once(engine, segments):
    read = []
    silence = (read.append(i) or segments[0]._replace(is_silent=True) for i in itertools.count())
    next(engine.decode(silence))
    assert len(read) == 1


@pytest.mark.parametrize("batch_size", [3, 6, 40])
def test_neither_slots_nor_order_change_the_ids(small_model, segments, reference_ids, batch_size):
    engine = Engine(*small_model, batch_size=batch_size)
    order = np.random.default_rng(batch_size).integers(0, 7, 50)
    found = [ids.tolist() for _, ids in engine.decode(segments[i] for i in order)]
    assert found == [reference_ids[i] for i in order]


def test_the_cache_grows_and_shrinks(small_model, segments, reference_ids, monkeypatch):
    monkeypatch.setattr(engine_module, "CACHE_LENGTHS", (2, 5, 9))
    monkeypatch.setattr(engine_module, "_MARGIN", 1)
    lengths = []
    monkeypatch.setattr(engine_module, "resized", lambda *args: lengths.append(args[0]) or resized(*args))
    found = [ids.tolist() for _, ids in Engine(*small_model, batch_size=3).decode(segments * 3)]
    assert found == reference_ids * 3
    steps = np.diff([2, *lengths])
    assert {5, 9, 16} <= set(lengths) and (steps > 0).any() and (steps < 0).any()


@pytest.mark.parametrize("policy", [Beam(1), pytest.param(Beam(3), marks=pytest.mark.slow)])
def test_beams_are_those_of_the_reference(small_model, segments, policy):
    config, params = small_model
    config = dataclasses.replace(config, search="beam", beam_size=policy.size)
    expected = find_alone(config, params, segments, policy)
    for batch_size in (2, 16):
        found = [ids.tolist() for _, ids in Engine(config, params, batch_size).decode(segments)]
        assert found == expected


def test_a_segment_without_end_stops_at_the_longest_length(small_model, segments):
    config, params = small_model
    config = dataclasses.replace(config, max_target_length=5)
    for _, ids in Engine(config, params, batch_size=4).decode(segments):
        assert len(ids) == 5


def test_nothing_is_compiled_after_the_first_recording(small_model, segments):
    # A size of no other test, so that something is to be compiled.
    engine = Engine(*small_model, batch_size=20)
    functions = [slots.empty_slots, slots.encode, slots.fill, slots.advance, slots.best_ids, slots.resized]
    for count, is_first in ((40, True), (5, False), (20, False), (33, False), (1, False)):
        before = [function._cache_size() for function in functions]
        assert len(list(engine.decode((segments * 6)[:count]))) == count
        after = [function._cache_size() for function in functions]
        assert (before != after) == is_first


def test_few_segments_use_few_slots(small_model, segments):
    engine = Engine(*small_model, batch_size=64)
    list(engine.decode(segments[:3]))
    assert engine.num_row_steps == 8 * engine.num_steps


def test_a_slot_whose_segment_is_done_takes_the_next(small_model, segments, reference_ids):
    engine = Engine(*small_model, batch_size=8)
    list(engine.decode(segments * 20))
    needed = 20 * sum(len(ids) + 1 for ids in reference_ids)
    # Half of the 4 steps between two looks are waited for an end, of some 10 in a segment.
    assert needed < engine.num_row_steps < 1.5 * needed


def test_an_abandoned_pass_leaves_the_engine_usable(engine, segments, reference_ids):
    decoded = engine.decode(segments)
    next(decoded)
    decoded.close()
    assert [ids.tolist() for _, ids in engine.decode(segments)] == reference_ids


def test_an_error_of_the_source_comes_through(engine, segments):
    def broken():
        yield segments[0]
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(engine.decode(broken()))


def test_batch_size_must_be_positive(small_model):
    with pytest.raises(ValueError, match="batch_size is 0; it must be at least 1"):
        Engine(*small_model, batch_size=0)


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_fewer_bits_give_nearly_the_same_ids(small_model, segments, reference_ids, dtype):
    found = [ids.tolist() for _, ids in Engine(*small_model, 8, dtype).decode(segments)]
    rows = zip(found, reference_ids, strict=True)
    is_same = [a == b for row, expected in rows for a, b in zip(row, expected, strict=False)]
    assert np.mean(is_same) > 0.7


def test_unknown_dtypes_are_named(small_model):
    with pytest.raises(ValueError, match="dtype is 'int4'; choose one of float32, bfloat16, int8"):
        Engine(*small_model, dtype="int4")

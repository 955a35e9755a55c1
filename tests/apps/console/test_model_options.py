"""Options of every command that transcribes recordings, and what becomes of them."""

import argparse

import pytest

import mt3x.transcription.transcriber as transcriber_module
from mt3x.apps.console import model_options


def parsed(*words):
    parser = argparse.ArgumentParser()
    model_options.add_arguments(parser)
    return model_options.load_arguments(parser.parse_args(words))


def test_every_option_is_an_argument_of_load(monkeypatch):
    words = ["--model=m", "--preset=mt3", "--search=beam", "--merge-restrikes=0", "--batch-size=2"]
    arguments = parsed(*words, "--instruments=piano", "--dtype=int8", "--mt3-compatible")
    assert arguments == {
        "name_or_path": "m",
        "preset": "mt3",
        "search": "beam",
        "merge_restrikes_seconds": 0.0,
        "instruments": "piano",
        "batch_size": 2,
        "dtype": "int8",
        "mt3_compatible": True,
    }
    monkeypatch.setattr(transcriber_module, "load", lambda **given: given)
    assert model_options.load(arguments) == arguments


def test_what_is_not_given_is_left_to_the_model():
    assert parsed() == {}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("--dtype=float16", "dtype is 'float16'; choose one of float32, bfloat16, int8"),
        ("--batch-size=0", "batch_size is 0; it must be at least 1"),
        ("--merge-restrikes=-1", "merge_restrikes_seconds is -1.0; it must be 0 or more"),
        ("--instruments=kazoo,piano", "'kazoo' is no instrument; name those of General MIDI"),
        ("--search=best", "search is 'best'; choose one of greedy, grammar, beam"),
    ],
)
def test_values_without_sense_are_refused(word, message, small_model_folder):
    with pytest.raises(ValueError, match=message):
        model_options.load(parsed(word, f"--model={small_model_folder}"))

"""Notes to audio with FluidSynth and a soundfont.

Times are in seconds from the start of the rendered audio; audio is float32 [N], mono (the mean of left and
right), nominally within -1..1 but never clipped. FluidSynth starts and ends notes on the blocks of 64 samples
in which it works; it runs here at a whole multiple of the asked rate that is at least 32 kHz (see
`_MINIMUM_INTERNAL_RATE`), so at 16 kHz a note is at most 16 samples (1 ms) away from its time.

Needs the Python package `pyfluidsynth`, the library libfluidsynth and a soundfont. Nothing else in mt3x needs
them; where one is missing, `SynthesisError` says what to install.
"""

import contextlib
import ctypes
import io
import itertools
import math
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mt3x.music.notes import trim_overlapping_notes, validate_notes

TRAINING_SOUNDFONTS = ("FluidR3_GM", "MuseScore_General", "sf_GMbank")
"""Soundfonts that training audio may be rendered with (MIT, MIT, public domain)."""

TEST_SOUNDFONT = "TimGM6mb"
"""Held out: renders audio for tests and measurements only (GPL-2)."""

SOUNDFONT_FOLDERS = ("/usr/share/sounds/sf2", "/usr/share/sounds/sf3", "/usr/share/soundfonts")

# name -> (file names in order of preference, the Debian package that brings them)
_SOUNDFONTS = {
    "FluidR3_GM": (("FluidR3_GM.sf2",), "fluid-soundfont-gm"),
    "MuseScore_General": (
        ("MuseScore_General.sf3", "MuseScore_General_Full.sf3"),
        "musescore-general-soundfont",
    ),
    "sf_GMbank": (("sf_GMbank.sf2",), "csound-soundfont"),
    "TimGM6mb": (("TimGM6mb.sf2",), "timgm6mb-soundfont"),
}

_BLOCK_SAMPLES = 64  # FluidSynth's FLUID_BUFSIZE: it looks at events only between such blocks
# FluidSynth doesn't filter before it resamples: at 16 kHz the upper part of a 44.1 kHz soundfont folds into
# the band below 8 kHz. At 32 kHz, what lies below 24 kHz folds to above 8 kHz and the decimation removes it.
# Measured against rendering at 96 kHz, drums: mean log-spectral error 0.8 at 16 kHz and 0.15 at 32 kHz, which
# takes 1.6 times as long.
_MINIMUM_INTERNAL_RATE = 32000
_RATE_LIMITS = (8000, 96000)  # FluidSynth's own
_MAXIMUM_VOICES = 2048
_KNOWN_VOICES = 1024  # as many voice slots are put into a known state, see `_reset`
_DRUM_CHANNEL = 9
_DRUM_BANK = 128
_LARGEST_BEND_CENTS = 200  # MIDI's default pitch bend range,
_BEND_STEPS = 8191  # in that many steps to either side
_NUM_CHANNELS = 144  # FluidSynth wants a multiple of 16: 128 programs, each on its own channel, and the drums
_PROBE_PITCHES = range(
    21, 109
)  # many: each repetition of a pitch costs an event for every voice it still has


class SynthesisError(RuntimeError):
    """Audio cannot be synthesised here; the message says what is missing or unreadable and how to get it."""


def find_soundfont(name: str | Path, folders: Sequence[str | Path] = SOUNDFONT_FOLDERS) -> Path:
    """The file of a soundfont, from its name ("FluidR3_GM", ...) or from a path, which is only checked.

    Raises:
      SynthesisError: no such file; for a known name the message gives the Debian package.
    """
    if str(name) not in _SOUNDFONTS:
        path = Path(name)
        if path.is_file():
            return path
        raise SynthesisError(
            f"no soundfont at {path}; give the path of a .sf2 or .sf3 file or one of the names "
            f"{', '.join(_SOUNDFONTS)}"
        )
    file_names, package = _SOUNDFONTS[str(name)]
    candidates = [Path(folder) / file_name for folder in folders for file_name in file_names]
    for path in candidates:
        if path.is_file():
            return path
    raise SynthesisError(
        f"soundfont {name} is not in {', '.join(map(str, folders))}; on Debian: apt install {package}"
    )


class Synthesizer:
    """FluidSynth with one soundfont, rendering lists of notes.

    The same notes give the same samples, bit for bit, whatever was rendered before (with reverb: within 1 %
    of the peak, as FluidSynth never rewinds that effect's slow modulation). Programs are loaded when first
    used and stay loaded (MuseScore_General: up to 330 MB and 11 s of decoding; the others well below).
    Not for use by several threads at once; a pickled Synthesizer is built anew where it is unpickled, and a
    forked worker should construct its own.
    """

    def __init__(
        self,
        soundfont: str | Path,
        sample_rate: int = 16000,
        gain: float = 0.5,
        use_reverb: bool = False,
        use_chorus: bool = False,
    ):
        """Opens the soundfont.

        Args:
          soundfont: a path or a name, as for `find_soundfont`.
          sample_rate: of the rendered audio, in Hz; FluidSynth takes 8000 to 96000.
          gain: linear; with 0.5, forty notes in two seconds peak near 0.5.
          use_reverb: FluidSynth's own room, at its default size and level.
          use_chorus: FluidSynth's own chorus.

        Raises:
          ValueError: sample_rate or gain out of range.
          SynthesisError: a missing package, library or soundfont, or a soundfont that cannot be read.
        """
        if not _RATE_LIMITS[0] <= sample_rate <= _RATE_LIMITS[1]:
            low, high = _RATE_LIMITS
            raise ValueError(f"sample_rate is {sample_rate}; it must be within {low}..{high}")
        if not 0 < gain <= 10:
            raise ValueError(f"gain is {gain}; it must be within 0..10, 0 excluded")
        self.sample_rate = sample_rate
        self._arguments = (soundfont, sample_rate, gain, use_reverb, use_chorus)
        self._gain = float(gain)
        self._has_effects = use_reverb or use_chorus
        self._rate_ratio = math.ceil(_MINIMUM_INTERNAL_RATE / sample_rate)
        self._internal_rate = sample_rate * self._rate_ratio
        self._path = find_soundfont(soundfont)
        self._library = _import_fluidsynth()
        self._write_float = _bind_write_float(self._library)
        self._fluid = self._library.Synth(
            gain=self._gain,
            samplerate=float(self._internal_rate),
            channels=_NUM_CHANNELS,
            **{
                "synth.polyphony": _MAXIMUM_VOICES,
                "synth.reverb.active": int(use_reverb),
                "synth.chorus.active": int(use_chorus),
                "synth.cpu-cores": 1,
                "synth.dynamic-sample-loading": int(not self._has_effects),
            },
        )
        self._delete = weakref.finalize(self, self._fluid.delete)
        self._soundfont_id = self._fluid.sfload(str(self._path))
        if self._soundfont_id < 0:
            raise SynthesisError(f"{self._path} cannot be read as a soundfont (.sf2 or .sf3)")
        self._presets: dict[int, tuple[int, int]] = {}  # channel -> (bank, preset) selected on it
        self._sounding: dict[int, np.ndarray] = {}
        self._select(0, is_drum=False)
        self._most_voices = _KNOWN_VOICES
        self._reset()

    def __reduce__(self):
        return Synthesizer, self._arguments

    def close(self) -> None:
        """Frees the soundfont; the object cannot render afterwards."""
        self._delete()

    def render(
        self, notes: np.ndarray, seconds: float, detune_cents: float = 0.0, formant_semitones: int = 0
    ) -> np.ndarray:
        """The first `seconds` of the notes' sound, with the release tails that fall into them.

        Notes of the same pitch and program that overlap are cut at the next onset, as one key cannot be
        pressed twice. A program that the soundfont lacks is played by the first of its family of 8, else
        by program 0.

        Args:
          notes: `NOTE_DTYPE` [K], in any order; those that start after `seconds` are not heard.
          seconds: length of the audio.
          detune_cents: moves the pitch of everything but drums, within -200..200.
          formant_semitones: moves what is the same for all pitches, an instrument's body: notes are played so
            many semitones lower, then faster by as much, so that they keep their pitches; drums move.

        Returns:
          float32 [round(seconds * sample_rate)].

        Raises:
          ValueError: unsound notes; seconds not positive; detuning out of range; a closed Synthesizer.
        """
        if not abs(detune_cents) <= _LARGEST_BEND_CENTS:
            raise ValueError(f"detune_cents is {detune_cents}; it must be within +-{_LARGEST_BEND_CENTS}")
        if not self._delete.alive:
            raise ValueError("this Synthesizer is closed; make a new one")
        if not (math.isfinite(seconds) and seconds > 0):
            raise ValueError(f"seconds is {seconds}; it must be finite and positive")
        speed = 2 ** (formant_semitones / 12)
        if formant_semitones:
            notes = notes.copy()
            notes["pitch"] -= np.where(notes["is_drum"], 0, formant_semitones)
            for name in ("start", "end"):
                notes[name] *= speed
        validate_notes(notes)
        num_samples = round(seconds * self.sample_rate)
        num_blocks = math.ceil(num_samples * self._rate_ratio * speed / _BLOCK_SAMPLES)
        blocks, events = self._schedule(notes, num_blocks)
        channels = sorted(set(events[:, 0].tolist()) - {_DRUM_CHANNEL})
        self._bend(channels, detune_cents)
        audio = self._play(blocks, events, num_blocks)
        self._bend(channels, 0.0)
        self._reset()
        if self._rate_ratio > 1 or formant_semitones:
            import soxr

            audio = soxr.resample(audio, self._internal_rate * speed, self.sample_rate)
        audio = audio[:num_samples]
        return np.ascontiguousarray(np.pad(audio, (0, num_samples - len(audio))))

    def sounding_pitches(self, program: int, is_drum: bool = False) -> np.ndarray:
        """bool [128]: which pitches (drum keys) make a sound in this soundfont at velocity 100.

        Instruments end where their samples do: FluidR3's contrabass has nothing above pitch 57.

        Raises:
          ValueError: program out of range.
        """
        if not 0 <= program <= 127:
            raise ValueError(f"program is {program}; it must be within 0..127")
        channel = self._select(program, is_drum)
        if channel not in self._sounding:
            sounding = np.zeros(128, bool)
            for pitch in range(128):
                self._silence()
                sounding[pitch] = self._strike(channel, pitch, 100) > 0
            self._reset()
            self._sounding[channel] = sounding
        return self._sounding[channel].copy()

    def _schedule(self, notes: np.ndarray, num_blocks: int) -> tuple[np.ndarray, np.ndarray]:
        """Blocks int64 [E] and events int64 [E, 3], in order: (channel, pitch, velocity or 0 = off)."""
        block_seconds = _BLOCK_SAMPLES / self._internal_rate
        held = notes.copy()
        held["end"] = np.maximum(held["end"], held["start"] + block_seconds)
        held["program"] = np.where(held["is_drum"], 0, held["program"])
        held = trim_overlapping_notes(held)
        start = np.rint(held["start"] / block_seconds).astype(np.int64)
        end = np.maximum(np.rint(held["end"] / block_seconds).astype(np.int64), start + 1)
        channel = np.zeros(len(held), np.int64)
        for program in np.unique(held["program"][~held["is_drum"]]).tolist():
            channel[held["program"] == program] = self._select(program, is_drum=False)
        if held["is_drum"].any():
            channel[held["is_drum"]] = self._select(0, is_drum=True)
        blocks = np.concatenate([start, end])
        velocity = np.concatenate([held["velocity"], np.zeros(len(held), np.int64)])
        events = np.stack([np.tile(channel, 2), np.tile(held["pitch"], 2), velocity], axis=1)
        order = np.lexsort((events[:, 1], events[:, 0], events[:, 2], blocks))  # releases (0) before strikes
        order = order[blocks[order] < num_blocks]
        return blocks[order], events[order]

    def _bend(self, channels: Sequence[int], cents: float) -> None:
        for channel in channels:
            self._fluid.pitch_bend(channel, round(cents / _LARGEST_BEND_CENTS * _BEND_STEPS))

    def _play(self, blocks: np.ndarray, events: np.ndarray, num_blocks: int) -> np.ndarray:
        """float32 [num_blocks * 64] at the internal rate, mono."""
        left = np.zeros(num_blocks * _BLOCK_SAMPLES, np.float32)
        right = np.zeros_like(left)
        position = 0
        for block, (channel, pitch, velocity) in zip(blocks.tolist(), events.tolist(), strict=True):
            self._write(left, right, position, block)
            position = block
            if velocity:
                self._strike(channel, pitch, velocity)
            else:
                self._fluid.noteoff(channel, pitch)
        self._write(left, right, position, num_blocks)
        return (left + right) * np.float32(0.5)

    def _write(self, left: np.ndarray, right: np.ndarray, first_block: int, end_block: int) -> None:
        """Synthesises blocks first..end into the two float32 arrays."""
        count = (end_block - first_block) * _BLOCK_SAMPLES
        if count:
            at = first_block * _BLOCK_SAMPLES
            self._write_float(self._fluid.synth, count, left.ctypes.data, at, 1, right.ctypes.data, at, 1)

    def _select(self, program: int, is_drum: bool) -> int:
        """The channel on which the program (or the standard drum kit) plays; it is selected at first use."""
        channel = _DRUM_CHANNEL if is_drum else program + (program >= _DRUM_CHANNEL)
        if channel in self._presets:
            return channel
        choices = [(_DRUM_BANK, 0)] if is_drum else [(0, program), (0, program // 8 * 8), (0, 0)]
        for bank, preset in choices:
            if self._fluid.program_select(channel, self._soundfont_id, bank, preset) == 0:
                self._presets[channel] = (bank, preset)
                return channel
        wanted = "drum kit (bank 128, preset 0)" if is_drum else "piano (bank 0, preset 0)"
        raise SynthesisError(f"{self._path} has no {wanted}; use a General MIDI soundfont")

    def _strike(self, channel: int, pitch: int, velocity: int) -> int:
        """Starts a note; returns how many voices sound now."""
        self._fluid.noteon(channel, pitch, velocity)
        voices = self._library.fluid_synth_get_active_voice_count(self._fluid.synth)
        self._most_voices = max(self._most_voices, voices)
        return voices

    def _skip_block(self) -> None:
        """Synthesises one block that nobody hears."""
        scratch = np.zeros((2, _BLOCK_SAMPLES), np.float32)
        self._write(scratch[0], scratch[1], 0, 1)

    def _silence(self) -> None:
        """Stops all voices; FluidSynth lets go of them while it makes the next block."""
        self._library.fluid_synth_all_sounds_off(self._fluid.synth, -1)
        self._skip_block()

    def _reset(self) -> None:
        """Puts every voice into one known state.

        FluidSynth ramps a new note's loudness from where its voice slot was left (measured: samples differ by
        up to 7 % of the peak at attacks). So after each use, as many slots as were taken are played once,
        inaudibly, always with the same notes.
        """
        self._silence()
        if self._has_effects:  # the only way to empty the effects' delay lines; it forgets the programs
            self._library.fluid_synth_system_reset(self._fluid.synth)
            for channel, (bank, preset) in self._presets.items():
                self._fluid.program_select(channel, self._soundfont_id, bank, preset)
        slots = min(self._most_voices, _KNOWN_VOICES)
        self._fluid.setting("synth.gain", 0.0)
        for pitch in itertools.islice(itertools.cycle(_PROBE_PITCHES), slots):
            if self._strike(0, pitch, 100) >= slots:
                break
        self._skip_block()
        self._silence()
        self._fluid.setting("synth.gain", self._gain)
        self._most_voices = 0


def _import_fluidsynth() -> Any:
    """pyfluidsynth's module (untyped), with FluidSynth's own messages on stderr switched off."""
    fluidsynth: Any
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # where the variable CI is set, it says what it found
            import fluidsynth
    except ModuleNotFoundError as error:
        raise SynthesisError(
            "synthesis needs Python's package pyfluidsynth: pip install pyfluidsynth"
        ) from error
    except ImportError as error:
        raise SynthesisError(
            "synthesis needs the FluidSynth library; on Debian: apt install libfluidsynth3 "
            "(it comes with the package fluidsynth)"
        ) from error
    set_log_function = fluidsynth.cfunc(
        "fluid_set_log_function",
        ctypes.c_void_p,
        ("level", ctypes.c_int, 1),
        ("function", ctypes.c_void_p, 1),
        ("data", ctypes.c_void_p, 1),
    )
    for level in (1, 2, 3, 4):  # error, warning, information, debug: what matters is raised here instead
        set_log_function(level, None, None)
    return fluidsynth


def _bind_write_float(library: Any) -> Any:
    """`fluid_synth_write_float`, which pyfluidsynth leaves out: its 16-bit call adds dither and clips."""
    return library.cfunc(
        "fluid_synth_write_float",
        ctypes.c_int,
        ("synth", ctypes.c_void_p, 1),
        ("len", ctypes.c_int, 1),
        ("lout", ctypes.c_void_p, 1),
        ("loff", ctypes.c_int, 1),
        ("lincr", ctypes.c_int, 1),
        ("rout", ctypes.c_void_p, 1),
        ("roff", ctypes.c_int, 1),
        ("rincr", ctypes.c_int, 1),
    )

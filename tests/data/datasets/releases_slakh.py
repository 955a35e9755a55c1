"""A miniature of the Slakh2100 release, redux: its folders and kinds of files, songs of two seconds.

train/Track00001       seven stems: bends, overlapping and endless notes, one stem without patch, two guitars
train/Track00002       S01.flac is cut off
train/Track00003       a stem of a class that does not exist; no guitar
validation/Track01501  MIDI goes on after the audio; a slap bass; a stem with MIDI but no audio
test/Track01876        two stems of different lengths
omitted/Track00004     a copy that redux leaves out
"""

import dataclasses
from pathlib import Path

import mido
import numpy as np
import soundfile
import yaml

SAMPLE_RATE = 44100
NUM_SAMPLES = 2 * SAMPLE_RATE
TICKS_PER_SECOND = 960  # 480 a quarter at 120 quarters a minute
AMPLITUDE = 0.05


@dataclasses.dataclass(frozen=True)
class Part:
    """One stem as written: notes are (start, end, pitch as in the MIDI file), in eighths of a second."""

    inst_class: str
    program: int
    plugin: str
    notes: tuple[tuple[int, int, int], ...] = ((0, 8, 60),)
    num_bends: int = 0
    num_samples: int = NUM_SAMPLES
    is_rendered: bool = True
    is_saved: bool = True


PIANO = Part("Piano", 1, "the_giant_modern_studio.nkm", ((0, 4, 60), (4, 8, 64)))
DRUMS = Part("Drums", 128, "session_kit_full.nkm", ((0, 1, 36), (4, 5, 38)))
BASS = Part("Bass", 33, "scarbee_rickenbacker_bass_palm_muted.nkm", ((2, 6, 52),))
GUITAR = Part("Guitar", 30, "elektrik_guitar.nkm", ((0, 8, 57),))
NO_PATCH = Part("Sound Effects", 103, "None", is_rendered=False, is_saved=False)

TRACKS = {
    "train/Track00001": (
        dataclasses.replace(GUITAR, num_bends=3),
        DRUMS,
        PIANO,
        BASS,
        # Struck again while it sounds: the first release ends both.
        Part("Strings (continued)", 52, "choir_o.nkm", ((0, 8, 72), (4, 12, 72), (12, 12, 76))),
        NO_PATCH,
        Part("Guitar", 26, "jazz_guitar2.nkm", ((8, 16, 62),)),
    ),
    "train/Track00002": (PIANO, DRUMS, BASS, GUITAR),
    "train/Track00003": (PIANO, DRUMS, BASS, Part("Theremin", 200, "theremin.nkm"), PIANO),
    "validation/Track01501": (
        PIANO,
        DRUMS,
        Part("Bass", 36, "scarbee_jay_bass_slap_both.nkm", ((2, 6, 40),)),
        dataclasses.replace(GUITAR, notes=((12, 20, 57), (18, 20, 60))),
        Part("Organ", 17, "fever.nkm", is_rendered=False),
    ),
    "test/Track01876": (PIANO, dataclasses.replace(BASS, num_samples=NUM_SAMPLES - 9)),
    "omitted/Track00004": (PIANO, DRUMS, BASS, GUITAR),
}


def make_release(folder: Path) -> None:
    """Writes the release's folders into `folder`."""
    for track, parts in TRACKS.items():
        write_track(folder / track, parts)
    flac = folder / "train/Track00002/stems/S01.flac"
    flac.write_bytes(flac.read_bytes()[: flac.stat().st_size // 2])


def write_track(folder: Path, parts: tuple[Part, ...]) -> None:
    for name in ("MIDI", "stems"):
        (folder / name).mkdir(parents=True)
    mix = np.zeros(NUM_SAMPLES)
    for number, part in enumerate(parts):
        if part.is_saved:
            write_midi(folder / f"MIDI/S{number:02d}.mid", part)
        if part.is_rendered:
            samples = AMPLITUDE * np.sin(np.arange(part.num_samples) * 0.01 * (number + 1))
            soundfile.write(folder / f"stems/S{number:02d}.flac", samples, SAMPLE_RATE, subtype="PCM_16")
            mix[: part.num_samples] += samples
    soundfile.write(folder / "mix.flac", mix, SAMPLE_RATE, subtype="PCM_16")
    write_midi(folder / "all_src.mid", dataclasses.replace(PIANO, notes=((0, 16, 1),)))
    (folder / "metadata.yaml").write_text(yaml.safe_dump(metadata(folder.name, parts)))


def metadata(track: str, parts: tuple[Part, ...]) -> dict:
    stems = {}
    for number, part in enumerate(parts):
        stem = stems[f"S{number:02d}"] = {
            "audio_rendered": part.is_rendered,
            "inst_class": part.inst_class,
            "is_drum": part.inst_class == "Drums",
            "midi_program_name": "not read",
            "midi_saved": part.is_saved,
            "plugin_name": part.plugin,
            "program_num": part.program,
        }
        if part.is_rendered:
            stem["integrated_loudness"] = -16.4
    return {
        "UUID": "1a81ae092884234f3264e2f45927f00a",
        "audio_dir": f"{track}/stems",
        "lmd_midi_dir": "lmd_matched/O/O/H/TROOHTB128F931F9DF/1a81ae092884234f3264e2f45927f00a.mid",
        "midi_dir": f"{track}/MIDI",
        "normalization_factor": -13.0,
        "normalized": True,
        "overall_gain": 0.18270259567062658,
        "stems": stems,
        "target_peak": -1.0,
    }


def write_midi(path: Path, part: Part) -> None:
    """As pretty_midi does: a tempo track, then the instrument's; a release is a note-on of velocity 0."""
    is_drum = part.inst_class == "Drums"
    channel = 9 if is_drum else 0
    events = [(0, 0, mido.Message("pitchwheel", channel=channel, pitch=800)) for _ in range(part.num_bends)]
    for start, end, pitch in part.notes:
        struck = mido.Message("note_on", channel=channel, note=pitch, velocity=80)
        events += [(start, 1, struck), (end, 2 if end == start else 0, struck.copy(velocity=0))]
    track = mido.MidiTrack()
    track.append(
        mido.Message("program_change", channel=channel, program=0 if is_drum else part.program % 128)
    )
    tick = 0
    for time, _, message in sorted(events, key=lambda event: event[:2]):
        next_tick = time * TICKS_PER_SECOND // 8
        track.append(message.copy(time=next_tick - tick))
        tick = next_tick
    midi_file = mido.MidiFile(type=1, ticks_per_beat=480)
    midi_file.tracks += [mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=500_000)]), track]
    midi_file.save(path)

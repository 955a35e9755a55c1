"""Packing: folders of recordings become libraries; tables and recordings that cannot be used are named."""

import numpy as np
import pytest
import soundfile

from mt3x.synthesis.sampled.instruments import load_samples
from mt3x.synthesis.sampled.packing import pack_samples
from tests.synthesis.sampled.sine_library import RATE, sine

MANIFEST = "file\tset\tprogram\tis_drum\tpitch\tvelocity\tarticulation\n"
PROGRAMS = "sfz\tprogram\tis_drum\n"


def write(path, samples, rate=RATE):
    path.parent.mkdir(exist_ok=True)
    soundfile.write(path, samples, rate, subtype="FLOAT")


@pytest.fixture
def table(tmp_path):
    """Two layers of a piano that differ in loudness, two of a guitar that were levelled, and a drum."""
    folder = tmp_path / "samples"
    for name, level in (("soft", 0.1), ("loud", 0.8), ("levelled", 0.5)):
        write(folder / f"{name}.wav", level * sine(60, 0.1))
    rows = [
        "soft.wav\tpiano\t0\t0\t60\t40\tsustain",
        "loud.wav\tpiano\t0\t0\t60\t100\tsustain",
        "levelled.wav\tguitar\t25\t0\t60\t50\tsustain",
        "levelled.wav\tguitar\t25\t0\t60\t100\tmuted",
        "loud.wav\tkit\t-1\t1\t38\t100\tsnare",
    ]
    (folder / "MANIFEST.tsv").write_text(MANIFEST + "\n".join(rows) + "\n")
    return folder


@pytest.fixture
def sfz(tmp_path):
    """A piano in stereo at 44.1 kHz with silence around it, and a drum on two keys."""
    folder = tmp_path / "samples"
    silence = np.zeros(44100)
    tone = np.concatenate([silence, 0.4 * sine(60, 0.5, 0.0, 44100), silence])
    write(folder / "piano.wav", np.column_stack([tone, 0.5 * tone]), 44100)
    write(folder / "snare.wav", 0.5 * sine(50, 0.2, 0.0))
    (folder / "piano.sfz").write_text(
        "<region> sample=piano.wav pitch_keycenter=61 tune=100 hivel=63 volume=-6.0206"
    )
    (folder / "kit.sfz").write_text("<region> sample=snare.wav lokey=38 hikey=39")
    (folder / "programs.tsv").write_text(PROGRAMS + "piano.sfz\t0\t0\nkit.sfz\t-1\t1\n")
    return folder


def pack(folder):
    report = pack_samples(folder, folder.parent / "packed")
    return load_samples(folder.parent / "packed"), report


def rows_of(library, instrument):
    return library.recordings[library.recordings["instrument"] == library.instruments.index(instrument)]


def heard(library, recording):
    first, count = int(recording["first"]), int(recording["count"])
    return library.samples[first : first + count].astype(float)


def test_a_table_is_packed(table):
    library, report = pack(table)
    assert (report.instruments, report.recordings) == (3, 5)
    assert library.instruments == ("guitar", "kit", "piano")
    assert library.articulations == ("muted", "snare", "sustain")
    for recording in library.recordings:
        samples = heard(library, recording)
        assert np.abs(samples).max() == 32767 and not samples[:48].any() and samples[48] == 32767
    (drum,) = rows_of(library, "kit")
    assert drum["is_drum"] and (drum["program"], drum["pitch"]) == (0, 38)
    # A file that two rows name is stored once.
    assert report.bytes == library.samples.nbytes == 3 * 2 * (48 + 1600)


def test_levelled_layers_follow_velocity_and_others_keep_their_loudness(table):
    library, _ = pack(table)
    np.testing.assert_allclose(rows_of(library, "piano")["gain"], [0.1, 0.8], rtol=1e-5)
    np.testing.assert_allclose(rows_of(library, "guitar")["gain"], [0.5 * 0.5**1.7, 0.5], rtol=1e-5)


def test_measured_pitches_are_taken(table):
    (table / "DETAILS.tsv").write_text("file\tmeasured_f0_midi\nsoft.wav\t60.25\nloud.wav\tnone\n")
    library, _ = pack(table)
    assert rows_of(library, "piano")["exact_pitch"].tolist() == [60.25, 60.0]
    assert rows_of(library, "piano")["pitch"].tolist() == [60, 60]


def test_sfz_files_are_packed(sfz):
    library, report = pack(sfz)
    assert (report.instruments, report.recordings, library.sample_rate) == (2, 3, RATE)
    (piano,) = rows_of(library, "piano")
    assert (piano["program"], piano["pitch"], piano["velocity"]) == (0, 60, 32)
    assert piano["exact_pitch"] == pytest.approx(60.0)
    # The mean of both channels, 6 dB less; where the tone begins, resampling overshoots by 9 %.
    assert piano["gain"] == pytest.approx(0.4 * 0.75 / 2, rel=0.1)
    drums = rows_of(library, "kit")
    assert drums["is_drum"].all() and drums["pitch"].tolist() == [38, 39]
    assert drums["first"].tolist() == [drums["first"][0]] * 2


def test_silence_is_cut_so_that_the_onset_is_where_it_must_be(sfz):
    library, _ = pack(sfz)
    for name, seconds in (("piano", 0.5), ("kit", 0.2)):
        samples = heard(library, rows_of(library, name)[0])
        loud = np.flatnonzero(np.abs(samples) > 0.1 * np.abs(samples).max())
        assert loud[0] == pytest.approx(48, abs=16)  # resampling rings for a millisecond
        assert len(samples) == pytest.approx(48 + seconds * RATE, abs=80)


def test_an_offset_leaves_out_the_beginning(sfz):
    (sfz / "kit.sfz").write_text("<region> sample=snare.wav key=38 offset=1600")
    library, _ = pack(sfz)
    (drum,) = rows_of(library, "kit")
    assert drum["count"] == pytest.approx(48 + 0.1 * RATE, abs=2)


def test_files_in_folders_keep_them_in_their_names(sfz):
    (sfz / "more").mkdir()
    (sfz / "more" / "piano.sfz").write_text("<region> sample=../snare.wav key=50")
    with (sfz / "programs.tsv").open("a") as file:
        file.write("more/piano.sfz\t3\t0\n")
    assert pack(sfz)[0].instruments == ("kit", "more/piano", "piano")


@pytest.mark.parametrize(
    ("programs", "message"),
    [
        (None, "programs.tsv is missing; SFZ files do not say .* columns sfz, program, is_drum"),
        (PROGRAMS, "programs.tsv names no recording"),
        ("sfz\tprogram\npiano.sfz\t0\n", "programs.tsv lacks the column is_drum; it needs sfz, program"),
        (PROGRAMS + "piano.sfz\t0\t0\n", "programs.tsv has no row for kit.sfz; add one"),
        (PROGRAMS + "piano.sfz\t-1\t0\nkit.sfz\t-1\t1\n", "has program '-1'; it must be .* within 0..127"),
        (
            PROGRAMS + "piano.sfz\tgrand\t0\nkit.sfz\t-1\t1\n",
            "has program 'grand'; it must be a whole number",
        ),
        (
            PROGRAMS + "piano.sfz\t0\t\nkit.sfz\t-1\t1\n",
            "line 2 of .*programs.tsv has no is_drum; fill it in",
        ),
        (PROGRAMS + "piano.sfz\t0\t0\nkit.sfz\t-1\t1\nno.sfz\t1\t0\n", "no.sfz cannot be read"),
    ],
)
def test_tables_that_cannot_be_used_are_named(sfz, programs, message):
    (sfz / "programs.tsv").unlink()
    if programs is not None:
        (sfz / "programs.tsv").write_text(programs)
    with pytest.raises(ValueError, match=message):
        pack(sfz)
    assert not (sfz.parent / "packed").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<group> key=38", "kit.sfz has no region that a key plays"),
        ("<region> sample=nowhere.wav key=38", "nowhere.wav cannot be read"),
        ("<region> sample=kit.sfz key=38", "kit.sfz cannot be read"),
        ("<region> sample=silent.wav key=38", "silent.wav is silent; leave out its regions"),
    ],
)
def test_recordings_that_cannot_be_used_are_named(sfz, text, message):
    write(sfz / "silent.wav", np.zeros(1000))
    (sfz / "kit.sfz").write_text(text)
    with pytest.raises(ValueError, match=message):
        pack(sfz)


def test_prepared_recordings_of_another_rate_are_refused(table):
    write(table / "soft.wav", sine(60, 0.1), 44100)
    with pytest.raises(ValueError, match="soft.wav has 44100 samples a second; it must have 16000"):
        pack(table)


def test_a_table_of_recordings_is_checked(table):
    (table / "MANIFEST.tsv").write_text(MANIFEST + "soft.wav\tpiano\t0\t0\tc4\t40\tsustain\n")
    with pytest.raises(
        ValueError, match="MANIFEST.tsv has pitch 'c4'; it must be a whole number within 0..127"
    ):
        pack(table)


def test_a_folder_without_instruments_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds neither MANIFEST.tsv nor an .sfz file; give a folder"):
        pack_samples(tmp_path, tmp_path / "packed")

"""SFZ files: hand-worked regions, inheritance, directives, and values that are none."""

import pytest

from mt3x.synthesis.sampled.sfz import read_sfz


def read(folder, text, name="one.sfz"):
    (folder / name).write_text(text)
    return read_sfz(folder / name)


def test_a_region_is_read(tmp_path):
    (region,) = read(
        tmp_path,
        "<region> sample=Piano C4 (soft).wav lokey=59 hikey=61 pitch_keycenter=60 lovel=1 hivel=63\n"
        "tune=-20 transpose=12 offset=100 volume=-6.5 ampeg_release=0.3",
    )
    assert region.file == tmp_path / "Piano C4 (soft).wav"
    assert (region.lokey, region.hikey, region.pitch_keycenter, region.velocity) == (59, 61, 60, 32)
    # Key 60 sounds right when the recording is played 12 semitones up and 20 cents down.
    assert region.exact_pitch == pytest.approx(48.2)
    assert (region.offset_samples, region.volume_decibels, region.articulation) == (100, -6.5, "sustain")


def test_a_region_that_says_nothing_else_is_middle_c_on_all_keys(tmp_path):
    (region,) = read(tmp_path, "<region>sample=a.wav")
    assert (region.pitch_keycenter, region.exact_pitch, region.velocity) == (60, 60.0, 64)
    assert (region.lokey, region.hikey) == (0, 127)


@pytest.mark.parametrize(
    ("name", "key"), [("c4", 60), ("C#4", 61), ("db4", 61), ("a-1", 9), ("b3", 59), ("cb4", 59), ("72", 72)]
)
def test_keys_have_names(tmp_path, name, key):
    (region,) = read(tmp_path, f"<region> sample=a.wav key={name}")
    assert (region.lokey, region.hikey, region.pitch_keycenter) == (key, key, key)


def test_inner_headers_replace_what_outer_ones_say(tmp_path):
    text = """
    <global> hivel=31 volume=-3
    <master> lokey=10 hikey=20
    <group> hivel=63 key=40
      <region> sample=a.wav
      <region> sample=b.wav key=41 hivel=127
      <region> sample=c.wav pitch_keycenter=45
    <group>
      <region> sample=d.wav
    <master>
      <region> sample=e.wav
    <global>
      <region> sample=f.wav
    """
    a, b, c, d, e, f = read(tmp_path, text)
    assert (a.lokey, a.hikey, a.pitch_keycenter, a.velocity) == (40, 40, 40, 32)
    assert (b.lokey, b.hikey, b.pitch_keycenter, b.velocity) == (41, 41, 41, 64)
    assert (c.lokey, c.hikey, c.pitch_keycenter) == (40, 40, 45)
    assert (d.lokey, d.hikey, d.pitch_keycenter, d.velocity) == (10, 20, 60, 16)
    assert (e.lokey, e.velocity, e.volume_decibels) == (0, 16, -3)
    assert (f.velocity, f.volume_decibels) == (64, 0)


def test_comments_are_passed_over(tmp_path):
    text = "// <region> sample=a.wav\n<region> /* key=3\n key=4 */ sample=b.wav // key=5\nkey=6"
    (region,) = read(tmp_path, text)
    assert (region.file.name, region.lokey) == ("b.wav", 6)


def test_control_moves_files_and_keys(tmp_path):
    text = (
        "<control> default_path=Samples\\Soft/ octave_offset=1 note_offset=-2\n"
        "<region> sample=x\\a.wav key=c4\n"
        "<control> default_path=Loud/\n<region> sample=a.wav key=60"
    )
    soft, loud = read(tmp_path, text)
    assert soft.file == tmp_path / "Samples" / "Soft" / "x" / "a.wav"
    assert (soft.lokey, soft.exact_pitch) == (70, 70)
    assert loud.file == tmp_path / "Loud" / "a.wav"


def test_definitions_and_included_files_are_put_in_place(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "notes.txt").write_text(
        '<region> sample=$KEYS.wav key=$KEY\n#include "parts/more.txt"'
    )
    (tmp_path / "parts" / "more.txt").write_text("<region> sample=more.wav key=$KEY")
    text = (
        '#define $KEY 50\n#define $KEYS low\n<group> hivel=63\n#include "parts\\notes.txt"\n#define $KEY 51\n'
    )
    regions = read(tmp_path, text + '#include "parts/more.txt"')
    assert [region.file.name for region in regions] == ["low.wav", "more.wav", "more.wav"]
    assert [region.lokey for region in regions] == [50, 50, 51]
    assert {region.velocity for region in regions} == {32}


def test_alternating_takes_and_key_switches_are_regions_of_their_own(tmp_path):
    text = """
    <group> sw_last=24 key=60
    <region> sample=a.wav seq_length=2 seq_position=1
    <region> sample=b.wav seq_length=2 seq_position=2
    <group> sw_last=25 key=60
    <region> sample=c.wav
    """
    regions = read(tmp_path, text)
    assert [region.file.name for region in regions] == ["a.wav", "b.wav", "c.wav"]
    assert [region.articulation for region in regions] == ["switch_24", "switch_24", "switch_25"]


def test_what_a_struck_key_does_not_sound_is_left_out(tmp_path):
    text = """
    <region> sample=*sine key=60
    <region> key=60
    <region> sample=release.wav trigger=release
    <region> sample=pedal.wav hikey=-1
    <region> sample=none.wav lokey=61 hikey=60
    <region> sample=struck.wav trigger=attack
    <curve> curve_index=7 v000=0
    <effect> type=reverb
    """
    assert [region.file.name for region in read(tmp_path, text)] == ["struck.wav"]


def test_a_file_without_regions_holds_none(tmp_path):
    assert read(tmp_path, "<group> key=60") == []


@pytest.mark.parametrize(
    ("opcode", "message"),
    [
        ("key=h4", "one.sfz has the key h4; it must be a number or a name, such as 60 or c4"),
        ("pitch_keycenter=sample", "has the key sample; it must be a number or a name"),
        ("tune=flat", "has tune=flat; it must be a number"),
        ("lovel=soft", "has lovel=soft; it must be a number"),
    ],
)
def test_values_that_are_none_are_refused(tmp_path, opcode, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, f"<region> sample=a.wav {opcode}")


def test_an_offset_of_keys_that_is_no_number_is_refused(tmp_path):
    with pytest.raises(ValueError, match="has note_offset=low; it must be a whole number"):
        read(tmp_path, "<control> note_offset=low <region> sample=a.wav key=60")


def test_missing_and_endless_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="nowhere.sfz cannot be read .*; give an SFZ file"):
        read_sfz(tmp_path / "nowhere.sfz")
    with pytest.raises(ValueError, match="more.txt cannot be read"):
        read(tmp_path, '#include "more.txt"')
    with pytest.raises(ValueError, match="includes files 16 deep; does .*one.sfz include itself"):
        read(tmp_path, '#include "one.sfz"')

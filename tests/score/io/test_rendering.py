"""Scores come out on pages, with nothing lost on the way."""

import io
import sys

import mido
import pytest
import verovio

from mt3x.score.io import rendering
from mt3x.score.io.musicxml import musicxml_bytes
from mt3x.score.io.rendering import pdf_bytes, png_bytes, render_midi, render_pages
from tests.score.pieces import alla_turca, ensemble, kern, mei, part, score, voice


@pytest.fixture(scope="module")
def page() -> str:
    (page,) = render_pages(musicxml_bytes(alla_turca(), "Alla turca", "Mozart"))
    return page


@pytest.mark.parametrize("make", [alla_turca, ensemble])
def test_verovio_reads_what_is_written_without_a_warning(make, monkeypatch, capfd):
    verovio.enableLog(verovio.LOG_WARNING)
    monkeypatch.setattr(verovio, "enableLog", lambda level: None)
    assert len(render_pages(musicxml_bytes(make(), "T", "C"))) == 1
    assert capfd.readouterr() == ("", "")


def test_drawing_is_quiet_about_what_other_programs_leave_open(monkeypatch, capfd):
    hairpin = b'<direction><direction-type><wedge type="crescendo"/></direction-type></direction><note>'
    unfinished = musicxml_bytes(alla_turca()).replace(b"<note>", hairpin, 1)
    verovio.enableLog(verovio.LOG_WARNING)
    assert len(render_pages(unfinished)) == 1
    assert capfd.readouterr() == ("", "")
    verovio.enableLog(verovio.LOG_WARNING)
    monkeypatch.setattr(verovio, "enableLog", lambda level: None)
    render_pages(unfinished)
    assert "hairpins left open" in "".join(capfd.readouterr())


def test_a_page_shows_notes_title_and_composer(page):
    assert page.count('class="note"') == len(alla_turca().parts[0].notes) == 94
    assert "Alla turca" in page and "Mozart" in page
    assert 'width="210mm"' in page and 'height="297mm"' in page


def test_letters_of_the_music_font_become_outlines(page):
    assert "Leipzig" not in page and "font-face" not in page
    assert "\u00a0=\u00a0120</text>" in page
    assert not any("\ue000" <= letter <= "\uf8ff" for letter in page)


def test_titles_are_larger_than_composers(page):
    sizes = [
        page.rpartition(name)[0].rpartition('font-size="')[2].split("px")[0] for name in ("Alla", "Mozart")
    ]
    assert float(sizes[0]) == 2 * float(sizes[1])


def test_png_is_150_dots_per_inch(page):
    image = png_bytes(page)
    assert image.startswith(b"\x89PNG")
    assert (int.from_bytes(image[16:20]), int.from_bytes(image[20:24])) == (1240, 1754)


def test_pdf_holds_all_pages(page):
    content = pdf_bytes([page, page, page])
    assert content.startswith(b"%PDF") and content.rstrip().endswith(b"%%EOF")
    assert b"/Count 3" in content


def test_many_measures_take_many_pages_and_many_staves_a_smaller_size():
    bars = part(voice("C5:1/4 " * 16 * 60), name="Flute", program=73)
    assert len(render_pages(musicxml_bytes(score(bars, num_measures=60)))) > 1
    orchestra = [part(voice("C5:4"), name=str(i), program=73) for i in range(12)]
    units = [
        rendering._unit(rendering._load(musicxml_bytes(score(*parts))).getMEI())
        for parts in (orchestra, orchestra[:1])
    ]
    assert units == [6, 9]


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_humdrum_is_drawn_and_played_with_its_repeat(encoding):
    humdrum = kern("4C 4D", "4e 4f", title="La fête").encode(encoding)
    (page,) = render_pages(humdrum)
    assert page.count('class="note"') == 4 and "La fête" in page
    assert pitches(render_midi(humdrum)) == [48, 48, 50, 50, 64, 64, 65, 65]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_all_movements_of_mei_are_drawn_and_played(encoding):
    sonata = mei("cd", "ef").encode(encoding)
    assert sum(page.count('class="note"') for page in render_pages(sonata)) == 4
    assert pitches(render_midi(sonata)) == [60, 62, 64, 65]


def pitches(midi):
    tracks = mido.MidiFile(file=io.BytesIO(midi)).tracks
    return sorted(m.note for track in tracks for m in track if m.type == "note_on" and m.velocity)


def test_no_pages_and_no_score_are_refused():
    with pytest.raises(ValueError, match="there are no pages"):
        pdf_bytes([])
    for render in (render_pages, render_midi):
        with pytest.raises(ValueError, match="Verovio cannot read the score"):
            render(b"<html/>")


@pytest.mark.parametrize(("package", "draw"), [("verovio", render_pages), ("cairosvg", png_bytes)])
def test_a_missing_package_is_named_with_its_extra(package, draw, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"{package}: pip install 'mt3x\[score\]'"):
        draw(b"")

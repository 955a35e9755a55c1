"""The page: one file that needs nothing else, with every piece in it, drawn and heard."""

import base64
import io
import re
import sys
from html.parser import HTMLParser
from importlib.util import find_spec

import numpy as np
import pytest
import soundfile

from mt3x.apps.results import evaluation_page
from mt3x.apps.results.evaluation_page import write_page
from mt3x.metrics.report import Decoding, EvaluatedPiece, report
from mt3x.metrics.summary import summarize
from mt3x.music.notes import empty_notes, make_notes
from mt3x.synthesis.soundfonts import TEST_SOUNDFONT

pytestmark = pytest.mark.skipif(find_spec("matplotlib") is None, reason="Matplotlib is not installed")

NAME = "Rondo <script>alert(\"1\")</script> & 'Coda'"
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """What a page holds; an end tag that closes another element than the last is an error."""

    def __init__(self, path):
        super().__init__()
        self.open, self.tags, self.texts = [], [], []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def attributes(self, tag, name):
        return [attributes.get(name) for found, attributes in self.tags if found == tag]

    def content(self, tag):
        """Media type and bytes of what is inside the elements of a tag."""
        urls = [re.fullmatch(r"data:([^;]+);base64,(.+)", url) for url in self.attributes(tag, "src") if url]
        return [(url[1], base64.b64decode(url[2], validate=True)) for url in urls]

    @property
    def text(self):
        return " ".join(self.texts)


def piece(name="Rondo", reference=None, estimate=None, audio=None, decoding=None):
    reference = make_notes([0, 1, 2, 3], [1, 2, 3, 4], 60) if reference is None else reference
    estimate = reference[:2] if estimate is None else estimate
    edges = np.arange(0, 4, 2.048)
    return EvaluatedPiece(name, reference, estimate, report(reference, estimate, decoding), edges, audio)


def write(path, *pieces, title="Scores", **options):
    options.setdefault("soundfont", TEST_SOUNDFONT)
    write_page(path, pieces, summarize([piece.report for piece in pieces]), title, **options)
    return Page(path)


@pytest.fixture(scope="module")
def page_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    seconds = np.arange(5 * 44100) / 44100
    recording = (0.2 * np.sin(2 * np.pi * 440 * seconds)).astype(np.float32)
    band = np.concatenate([make_notes([0, 1], 2, 64, program=40), make_notes(0.5, 0.6, 36, is_drum=True)])
    write(
        path,
        piece(NAME, audio=(recording, 44100), decoding=Decoding(3, 2, 60.0)),
        piece("Band", band, band),
        title="A & B < C",
        audio_seconds=3.0,
    )
    return path


@pytest.fixture(scope="module")
def page(page_path):
    return Page(page_path)


def test_page_needs_nothing_from_outside(page_path, page):
    urls = page.attributes("img", "src") + page.attributes("audio", "src") + page.attributes("a", "href")
    assert urls and all(url.startswith(("data:", "#")) for url in urls)
    assert not {"link", "iframe", "object", "source"} & {tag for tag, _ in page.tags}
    shown = re.sub(r"base64,[^\"]+", "", page_path.read_text(encoding="utf-8"))
    assert "//" not in shown and "url(" not in shown and "@import" not in shown
    for media, content in page.content("img"):
        assert media == "image/png" or not re.search(rb'href="(?!#)', content)


def test_names_are_escaped(page):
    assert len(page.attributes("script", "src")) == 1, "the page's own"
    assert page.texts.count(NAME) == 2, "in the list and above the piece"
    assert page.texts.count("A & B < C") == 2


def test_list_leads_to_the_pieces(page):
    sections = page.attributes("section", "id")
    assert page.attributes("a", "href") == [f"#{name}" for name in sections] == ["#piece-0", "#piece-1"]


def test_scores_are_in_the_tables_with_intervals(page):
    # Half of the first piece's notes are found, and all of the second's: F1 2/3 and 1.
    words = " ".join(page.text.split())
    assert "Onset 1.000 1.000–1.000 0.750 0.500–1.000 0.833 0.667–1.000 2" in words
    assert "95 % bootstrap intervals" in words and "events: 3 invalid, 2 dropped" in words
    assert "Drum onset 1.000 1.000–1.000 1.000 1.000–1.000 1.000 1.000–1.000 1" in words


def test_summary_and_pieces_have_their_figures(page):
    kinds = [media for media, _ in page.content("img")]
    assert kinds == ["image/svg+xml"] * 4 + ["image/png", "image/svg+xml", "image/svg+xml"] * 2
    assert all(page.attributes("img", "alt")), "for those who do not see them"
    assert f"Piano roll of {NAME}, 1 of 1" in page.attributes("img", "alt")[4]


def test_recording_and_renderings_are_heard_up_to_the_limit(page):
    labels = [text for text in page.texts if re.fullmatch(r"(Recording|Reference|Estimate), .*", text)]
    assert labels == [
        *("Recording, 3.0 s", "Reference, 3.0 s", "Estimate, 3.0 s"),
        *("Reference, 3.0 s", "Estimate, 3.0 s"),
    ]
    for (media, content), label in zip(page.content("audio"), labels, strict=True):
        samples, rate = soundfile.read(io.BytesIO(content))
        assert media == "audio/ogg" and rate == 16000 and samples.shape == (48000,)
        assert 0.7 < np.abs(samples).max() <= 1.0, label
    assert "the first 3 s of each piece" in page.text


def test_recording_is_the_recording(page):
    samples, rate = soundfile.read(io.BytesIO(page.content("audio")[0][1]))
    spectrum = np.abs(np.fft.rfft(samples))
    assert np.argmax(spectrum) * rate / len(samples) == pytest.approx(440, abs=1)


@pytest.fixture
def without_drawing(monkeypatch):
    monkeypatch.setattr(evaluation_page, "figure_bytes", lambda *arguments: b"figure")


def test_a_quieter_estimate_is_heard_as_quieter(tmp_path, without_drawing):
    quiet = make_notes([0, 1, 2, 3], [1, 2, 3, 4], 60, velocity=30)
    page = write(tmp_path / "page.html", piece(estimate=quiet))
    loud, soft = (
        np.abs(soundfile.read(io.BytesIO(content))[0]).max() for _, content in page.content("audio")
    )
    assert soft < loud / 3


def test_without_a_soundfont_the_page_says_what_to_install(tmp_path, monkeypatch, without_drawing):
    monkeypatch.setattr("mt3x.synthesis.soundfonts.SOUNDFONT_FOLDERS", ())
    monkeypatch.setattr("mt3x.synthesis.soundfonts.find_soundfont.__defaults__", ((),))
    page = write(tmp_path / "page.html", piece(), soundfont="FluidR3_GM")
    assert "Reference and estimate cannot be heard" in page.text
    assert "apt install fluid-soundfont-gm" in page.text
    assert not page.content("audio") and len(page.content("img")) == 7


def test_without_fluidsynth_the_recording_is_still_heard(tmp_path, monkeypatch, without_drawing):
    monkeypatch.setitem(sys.modules, "fluidsynth", None)
    page = write(tmp_path / "page.html", piece(audio=(np.full(8000, 0.1, np.float32), 16000)))
    assert "pip install pyfluidsynth" in page.text and len(page.content("audio")) == 1


def test_silence_and_wrong_notes_have_a_page(tmp_path, without_drawing):
    silent = piece("Silence", empty_notes(), empty_notes(), audio=(np.zeros(1600, np.float32), 16000))
    wrong = piece("Noise", empty_notes(), make_notes(0, 1, 60))
    page = write(tmp_path / "page.html", silent, wrong)
    assert len(page.content("audio")) == 3 and "–" in page.texts


def test_a_name_that_is_no_text_is_written(tmp_path, without_drawing):
    page = write(tmp_path / "page.html", piece("caf\udce9"), soundfont="none.sf2")
    assert page.texts.count("caf?") == 2


def test_hundred_pieces_of_twenty_seconds_stay_below_a_hundred_megabytes(tmp_path):
    random = np.random.default_rng(0)
    start = random.uniform(0, 19, 400)
    notes = make_notes(start, start + 0.5, random.integers(30, 90, 400), program=random.choice([0, 40], 400))
    noise = 0.1 * random.standard_normal(20 * 16000).astype(np.float32)
    busy = piece("Busy", notes, notes[random.random(400) < 0.7], (noise, 16000))
    write(tmp_path / "page.html", busy)
    section = re.search(
        r"<section.*</section>", (tmp_path / "page.html").read_text(encoding="utf-8"), re.DOTALL
    )
    assert section and 300e3 < len(section[0]) < 1e6


def test_page_that_fails_leaves_the_old_one(tmp_path, monkeypatch, without_drawing):
    path = tmp_path / "page.html"
    path.write_text("old")

    def fail(*arguments, **options):
        raise RuntimeError("no drawing")

    monkeypatch.setattr(evaluation_page, "plot_rolls", fail)
    with pytest.raises(RuntimeError, match="no drawing"):
        write(path, piece(), soundfont="none.sf2")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_folder_that_is_not_there_is_named(tmp_path):
    path = tmp_path / "none" / "page.html"
    with pytest.raises(OSError, match=re.escape(str(path))):
        write(path, piece(), soundfont="none.sf2")


def test_no_pieces_and_no_seconds_are_refused(tmp_path):
    some = piece()
    with pytest.raises(ValueError, match="0 pieces; a page needs at least 1"):
        write_page(tmp_path / "page.html", [], summarize([some.report]), "Scores")
    for seconds in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"audio_seconds is {seconds}; it must be above 0"):
            write(tmp_path / "page.html", some, audio_seconds=seconds)


def test_missing_matplotlib_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'mt3x\[plot\]'"):
        write(tmp_path / "page.html", piece(), soundfont="none.sf2")
    assert not list(tmp_path.iterdir())

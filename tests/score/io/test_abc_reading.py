from xml.etree import ElementTree

import pytest

from mt3x.score.io.abc_reading import abc_as_musicxml

TUNE = """X:1
T:La fête
C:Trad.
M:3/4
L:1/4
K:D
A|D F A|G2 E|]
"""


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_tune_keeps_its_title_notes_and_key(encoding):
    root = ElementTree.fromstring(abc_as_musicxml(TUNE.encode(encoding), "tune.abc"))
    assert root.findtext("work/work-title") == "La fête"
    assert root.findtext("identification/creator") == "Trad."
    assert [step.text for step in root.iter("step")] == list("ADFAGE")
    assert root.findtext(".//fifths") == "2"


def test_a_tune_without_a_title_gets_none():
    bare = TUNE.replace("T:La fête\nC:Trad.\n", "")
    assert b"usic21 Fragment" not in abc_as_musicxml(bare.encode(), "tune.abc")
    assert ElementTree.fromstring(abc_as_musicxml(bare.encode(), "tune.abc")).find(".//creator") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello there", "tune.abc can't be read as ABC: "),
        ("", "tune.abc can't be read as ABC: "),
        (TUNE + "\n" + TUNE.replace("X:1", "X:2"), "tune.abc holds 2 tunes; give one a file"),
    ],
)
def test_what_is_no_single_tune_is_an_error(text, message):
    with pytest.raises(ValueError, match=message):
        abc_as_musicxml(text.encode(), "tune.abc")

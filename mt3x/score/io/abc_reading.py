"""ABC tunes -> MusicXML, by music21."""

from mt3x.score.io.encodings import text_of

_MADE_UP = (
    b"<movement-title>Music21 Fragment</movement-title>",
    b'<creator type="composer">Music21</creator>',
)
"""What music21 writes for a tune without a title or a composer."""


def abc_as_musicxml(content: bytes, name: str) -> bytes:
    """The one tune of an ABC file as a MusicXML file.

    Args:
      name: of the file, for errors.

    Raises:
      ValueError: music21 can't read it, or it holds several tunes.
      ImportError: music21 is not installed; the message names the extra that brings it.
    """
    try:
        import music21
    except ImportError as error:
        raise ImportError("reading ABC needs music21: pip install 'mt3x[score]'") from error
    musicxml = b""
    try:
        tune = music21.converter.parseData(text_of(content), format="abc")
        if not isinstance(tune, music21.stream.Opus):
            musicxml = music21.musicxml.m21ToXml.GeneralObjectExporter(tune).parse()
    except Exception as error:  # music21 lets whatever its parsing meets escape
        raise ValueError(f"{name} can't be read as ABC: {error}") from error
    if isinstance(tune, music21.stream.Opus):
        raise ValueError(f"{name} holds {len(tune.scores)} tunes; give one a file")
    for words in _MADE_UP:
        musicxml = musicxml.replace(words, b"")
    return musicxml

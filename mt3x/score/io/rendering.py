"""MusicXML, MEI and Humdrum drawn on A4 pages by Verovio: SVG, and by CairoSVG PDF and PNG.

Verovio draws most signs as outlines, but notes inside a text (a metronome mark) as letters of a font of its
own, which an SVG only carries as a web font. CairoSVG and many viewers know none, so these letters become
outlines too.
"""

import base64
import io
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from mt3x.score.io.encodings import text_of

PAGE_MILLIMETRES = (210, 297)
PNG_DOTS_PER_INCH = 150

_FONT = "Leipzig"
_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_MEI = "{http://www.music-encoding.org/ns/mei}"
_MARGIN = 100  # tenths of a millimetre, as all of Verovio's lengths
_UNIT = 9.0
_SMALLEST_UNIT = 5.0
_STAVES_IN_FULL_SIZE = 8
_TITLE = re.compile(r'(<pgHead[^>]*>\s*<rend [^>]*halign="center" valign="top")')


def render_pages(notation: bytes) -> list[str]:
    """The pages of a score, each an SVG of its own, in order.

    Args:
      notation: content of a .musicxml, .mei or .krn file.

    Raises:
      ImportError: verovio is not installed; the message names the extra that brings it.
      ValueError: Verovio cannot read the file, or finds nothing to draw.
    """
    toolkit = _load(notation)
    # Verovio 6 does not read the size of a title, so that it would be as small as the composer.
    mei, num_titles = _TITLE.subn(r'\1 fontsize="200%"', toolkit.getMEI(), count=1)
    toolkit.setOptions({"unit": _unit(mei)})
    if num_titles:
        toolkit.loadData(mei)
    else:
        toolkit.redoLayout()
    pages = range(1, toolkit.getPageCount() + 1)
    glyphs = Path(toolkit.getResourcePath()) / _FONT
    return [_finish(toolkit.renderToSVG(page), glyphs) for page in pages]


def render_midi(notation: bytes) -> bytes:
    """A score as a MIDI file, as Verovio plays it: repeats as often as they are marked.

    Args:
      notation: as for `render_pages`.

    Raises:
      ImportError, ValueError: as `render_pages`.
    """
    return base64.b64decode(_load(notation).renderToMIDI())


def _load(notation: bytes) -> Any:
    """Verovio's toolkit with a score of at least one page."""
    verovio = _import("verovio")
    verovio.enableLog(verovio.LOG_ERROR)  # its warnings tell of hairpins left open and the like
    toolkit = verovio.toolkit()
    width, height = PAGE_MILLIMETRES
    toolkit.setOptions(
        {
            "pageWidth": 10 * width,
            "pageHeight": 10 * height,
            "scale": 100,
            "pageMarginLeft": _MARGIN,
            "pageMarginRight": _MARGIN,
            "pageMarginTop": _MARGIN,
            "pageMarginBottom": _MARGIN,
            "font": _FONT,
            "smuflTextFont": "none",
            "footer": "none",
            "breaks": "auto",
            "mdivAll": True,
            "xmlIdSeed": 1,
        }
    )
    if not toolkit.loadData(text_of(notation)) or not toolkit.getPageCount():
        raise ValueError(
            "Verovio cannot read the score, or it is empty; is it MusicXML by parts (score-partwise), MEI or "
            "Humdrum, and whole?"
        )
    return toolkit


def pdf_bytes(pages: Sequence[str]) -> bytes:
    """Pages of `render_pages` as one PDF.

    Raises:
      ImportError: cairosvg is not installed; the message names the extra that brings it.
    """
    cairosvg = _import("cairosvg")
    output = io.BytesIO()

    class Pages(cairosvg.surface.PDFSurface):
        """Draws one page after the other on the same surface."""

        shared: Any = None

        def _create_surface(self, width: float, height: float) -> tuple[Any, float, float]:
            if Pages.shared is None:
                Pages.shared = self.surface_class(output, width, height)
            return Pages.shared, width, height

    surface = None
    for page in pages:
        if surface is not None:
            surface.context.show_page()
        surface = Pages(cairosvg.parser.Tree(bytestring=page.encode()), output, 96)
    if surface is None:
        raise ValueError("there are no pages; a PDF needs 1 or more")
    surface.finish()
    return output.getvalue()


def png_bytes(page: str) -> bytes:
    """A page of `render_pages` as PNG, black on white, 150 dots per inch.

    Raises:
      ImportError: cairosvg is not installed; the message names the extra that brings it.
    """
    cairosvg = _import("cairosvg")
    width = round(PAGE_MILLIMETRES[0] / 25.4 * PNG_DOTS_PER_INCH)
    return cairosvg.svg2png(bytestring=page.encode(), output_width=width, background_color="white")


def _import(package: str) -> Any:
    from importlib import import_module

    try:
        if package == "cairosvg":
            import_module("cairosvg.parser")
            import_module("cairosvg.surface")
        return import_module(package)
    except ImportError as error:
        raise ImportError(f"drawing a score needs {package}: pip install 'mt3x[score]'") from error


def _unit(mei: str) -> float:
    """Half the distance of two staff lines: smaller where many staves must share a page."""
    score = ElementTree.fromstring(mei).find(f".//{_MEI}scoreDef")
    staves = 0 if score is None else len(list(score.iter(f"{_MEI}staffDef")))
    return max(min(_UNIT, _UNIT * _STAVES_IN_FULL_SIZE / max(staves, 1)), _SMALLEST_UNIT)


def _finish(svg: str, glyphs: Path) -> str:
    """The page in millimetres, and text without letters of Verovio's font."""
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    root = ElementTree.fromstring(svg)
    for name, millimetres in zip(("width", "height"), PAGE_MILLIMETRES, strict=True):
        root.set(name, f"{millimetres}mm")
    root.set("viewBox", f"0 0 {10 * PAGE_MILLIMETRES[0]} {10 * PAGE_MILLIMETRES[1]}")
    for parent in list(root.iter()):
        for place, child in enumerate(list(parent)):
            is_text = child.tag == f"{{{_SVG}}}text"
            if is_text and any(span.get("font-family") == _FONT for span in child.iter()):
                parent[place] = _outlined(child, glyphs)
    return ElementTree.tostring(root, encoding="unicode")


def _outlined(text: Element, glyphs: Path) -> Element:
    """A text as a group of outlines, for what is of Verovio's font, and shorter texts for what is not."""
    group = Element(f"{{{_SVG}}}g")
    x, y = float(text.get("x", "0")), float(text.get("y", "0"))
    for span in text.iter(f"{{{_SVG}}}tspan"):
        content, size = span.text or "", float((span.get("font-size") or "0").removesuffix("px"))
        if not content or (content.isspace() and not size):
            continue
        x, y = float(span.get("x", x)), float(span.get("y", y))
        if span.get("font-family") == _FONT:
            for letter in content.replace(" ", ""):
                outline, width = _glyph(glyphs, f"{ord(letter):X}")
                scale = size / 1000
                SubElement(
                    group,
                    f"{{{_SVG}}}path",
                    {
                        "d": outline,
                        "transform": f"translate({x:.6g} {y:.6g}) scale({scale:.6g} {-scale:.6g})",
                    },
                )
                x += width * scale
        else:
            attributes = {"x": f"{x:.6g}", "y": f"{y:.6g}", "font-size": f"{size:.6g}px"}
            kept = {key: span.get(key, "") for key in ("font-style", "font-weight") if span.get(key)}
            SubElement(group, f"{{{_SVG}}}text", attributes | kept).text = content.replace(" ", "\u00a0")
            x += _text_width(glyphs, content) * size / 1000
    return group


@cache
def _glyph(glyphs: Path, code: str) -> tuple[str, float]:
    """Outline and advance of a letter of the music font, in thousandths of its size."""
    path = ElementTree.parse(glyphs / f"{code}.xml").getroot().find(".//path")
    assert path is not None
    return path.get("d", ""), _advances(glyphs.with_suffix(".xml"))[code]


def _text_width(glyphs: Path, text: str) -> float:
    """How far a text reaches, in thousandths of its size; an unknown letter counts as a digit."""
    advances = _advances(glyphs.parent / "text" / "Times.xml")
    return sum(advances.get(f"{ord(letter):X}", 500.0) for letter in text)


@cache
def _advances(path: Path) -> dict[str, float]:
    """Widths by code, in thousandths of the size."""
    root = ElementTree.parse(path).getroot()
    per_em = float(root.get("units-per-em", "1000"))
    return {g.get("c", ""): 1000 * float(g.get("h-a-x", "0")) / per_em for g in root.findall("g")}

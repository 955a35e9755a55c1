"""The text of notation files, which seldom say how they are encoded."""

import codecs

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def text_of(content: bytes) -> str:
    """UTF-16 where a byte order mark says so, else UTF-8, else Latin-1, as many old Humdrum files are.

    >>> text_of("é".encode("utf-16")), text_of("é".encode()), text_of("é".encode("latin-1"))
    ('é', 'é', 'é')
    """
    if content.startswith(_UTF_16):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")

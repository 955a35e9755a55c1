import codecs

import pytest

from mt3x.score.io.encodings import text_of


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_text_is_the_same_in_every_encoding(encoding):
    assert text_of("!!!COM: Fauré\n".encode(encoding)) == "!!!COM: Fauré\n"


def test_either_order_of_bytes_is_read_and_half_a_letter_is_no_error():
    assert text_of(codecs.BOM_UTF16_BE + "é".encode("utf-16-be")) == "é"
    assert text_of(codecs.BOM_UTF16_LE + "é".encode("utf-16-le") + b"x") == "é\ufffd"

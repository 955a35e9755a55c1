"""libmpg123's lines are taken from standard error; everyone else's stay there."""

import os

from mt3x.audio.files.stderr import taking_lines


def test_errors_are_kept_warnings_dropped_and_other_lines_written_again(capfd):
    with taking_lines() as errors:
        os.write(2, b"[src/libmpg123/layer3.c:do_layer3():1804] error: dequantization failed!\n")
        os.write(2, b"[src/libmpg123/parse.c:do_readahead():1083] warning: a one-frame stream? Duh...\n")
        os.write(2, b"\nNote: Illegal Audio-MPEG-Header 0x00000000 at offset 6340.\n")
        os.write(2, b"Traceback of another thread\n")
    assert errors == ["[src/libmpg123/layer3.c:do_layer3():1804] error: dequantization failed!"]
    os.write(2, b"and this\n")
    assert capfd.readouterr().err == "Traceback of another thread\nand this\n"


def test_an_error_of_ours_leaves_standard_error_as_it_was(capfd):
    try:
        with taking_lines():
            raise ValueError
    except ValueError:
        os.write(2, b"here\n")
    assert capfd.readouterr().err == "here\n"


def test_a_process_without_standard_error_reads_on():
    kept = os.dup(2)
    os.close(2)
    try:
        with taking_lines() as errors:
            pass
    finally:
        os.dup2(kept, 2)
        os.close(kept)
    assert errors == []

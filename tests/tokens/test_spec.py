from mt3x.tokens.spec import NoteSpec


def test_the_table_of_what_is_written():
    table = {spec.value: (spec.has_offsets, spec.has_ties) for spec in NoteSpec}
    assert table == {"onsets": (False, False), "notes": (True, False), "notes_ties": (True, True)}

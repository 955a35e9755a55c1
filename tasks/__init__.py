"""seqio tasks for transcription data sets, imported as `mt3x.tasks`; importing this registers nothing."""

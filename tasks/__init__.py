"""seqio tasks for transcription data sets, imported as `mt3x.tasks`. Importing this package registers nothing."""

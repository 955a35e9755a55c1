"""The data sets that mt3x can build: one file each, which holds its `Reader`."""

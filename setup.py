"""Packaging of mt3x: the core install transcribes; extras add training, notebooks and tests."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent

CORE = [
    "jax>=0.7",
    "flax>=0.11",
    "numpy>=2.0",
    "msgpack>=1.0",
    "tensorstore>=0.1.60",
    "orbax-checkpoint>=0.11",
    "mido>=1.3",
    "soundfile>=0.13",
    "soxr>=0.5",
    "av>=14",  # FFmpeg's libraries, 104 MB installed; imported for files that libsndfile does not read
]
NOTESEQ = ["note-seq>=0.0.5"]
PLOT = ["matplotlib>=3.8"]
MIDI = ["pretty-midi>=0.2.10"]
LIVE = ["sounddevice>=0.5"]
SYNTHESIS = ["pyfluidsynth>=1.3.4", "scipy>=1.11"]
DATA = ["tensorflow-datasets>=4.9.9", "array-record>=0.8", "grain>=0.2.10", "pyyaml>=6"]
EVALUATE = [*PLOT, *SYNTHESIS]
SCORE = ["partitura>=1.7", "music21>=9.9", "verovio>=5", "cairosvg>=2.7", *PLOT]
TRAIN_GRAIN = ["optax>=0.2.8", "gin-config>=0.5", "tensorboardX>=2.6", *DATA, *SYNTHESIS]
TRAIN = [*TRAIN_GRAIN, "seqio>=0.0.20", *NOTESEQ]  # seqio brings TensorFlow
BEAM = ["apache-beam[tfrecord]", "google-crc32c", "sentencepiece<0.2.2"]  # a newer one breaks `import seqio`
NOTEBOOK = ["ipython>=8", "ipywidgets>=8", *PLOT, *SYNTHESIS]
TEST = [
    "pytest>=8",
    "pytest-xdist>=3.5",
    "hypothesis>=6",
    "ruff>=0.12",
    "pyright>=1.1.400",
    "nbclient>=0.10",
    "ipykernel>=6",
    "mir_eval>=0.8",
    "librosa>=0.10",
    *NOTESEQ,
    *MIDI,
    *SCORE,
    *TRAIN,
    *NOTEBOOK,
]


def version() -> str:
    """The one place that holds it is mt3x/__init__.py."""
    match = re.search(r'__version__ = "([^"]+)"', (ROOT / "mt3x" / "__init__.py").read_text())
    if match is None:
        raise ValueError('mt3x/__init__.py holds no line __version__ = "..."')
    return match.group(1)


setup(
    name="mt3x",
    version=version(),
    description="Recordings to multi-track MIDI: multi-instrument music transcription (MT3) on JAX",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=[*find_packages(include=["mt3x", "mt3x.*"]), "mt3x.tasks", "mt3x.gin"],
    package_dir={"mt3x.tasks": "tasks", "mt3x.gin": "gin"},
    package_data={"mt3x": ["py.typed", "models/*/*"], "mt3x.gin": ["*/*.gin"]},
    install_requires=CORE,
    extras_require={
        "train": TRAIN,
        "train-grain": TRAIN_GRAIN,
        "beam": BEAM,
        "live": LIVE,
        "synthesis": SYNTHESIS,
        "noteseq": NOTESEQ,
        "midi": MIDI,
        "plot": PLOT,
        "score": SCORE,
        "evaluate": EVALUATE,
        "notebook": NOTEBOOK,
        "test": TEST,
    },
    entry_points={"console_scripts": ["mt3x = mt3x.apps.cli:main"]},
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3.11",
        "Topic :: Multimedia :: Sound/Audio :: Analysis",
    ],
)

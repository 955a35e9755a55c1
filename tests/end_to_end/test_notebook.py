"""The notebooks: executed as wholes in kernels of their own, and cell by cell where Colab is pretended."""

import base64
import json
import shutil
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile

import mt3x
from mt3x.music.midi import read_midi
from mt3x.music.notes import make_notes
from mt3x.tokens.report import DecodeReport
from mt3x.transcription.result import Transcription

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "colab" / "transcribe.ipynb"
SPELLING_NOTEBOOK = ROOT / "colab" / "spell_scores.ipynb"
EXAMPLE = ROOT / "examples" / "das_wandern.flac"


def read_notebook(path=NOTEBOOK):
    import nbformat

    return nbformat.read(path, as_version=4)


def run_cells(*cell_ids, path=NOTEBOOK, **names):
    """What the cells' names stand for after running them in this process."""
    sources = {cell.id: cell.source for cell in read_notebook(path).cells}
    for cell_id in cell_ids:
        exec(compile(sources[cell_id], f"cell {cell_id}", "exec"), names)
    return names


def outputs(notebook, cell_id):
    """(text that was printed, MIME bundles that were displayed) by one cell of an executed notebook."""
    (cell,) = [cell for cell in notebook.cells if cell.id == cell_id]
    text = "".join(output.text for output in cell.outputs if output.output_type == "stream")
    return text, [output.data for output in cell.outputs if "data" in output]


@pytest.fixture
def execute(tmp_path, monkeypatch):
    """Executes a notebook with parameters in an empty folder, by the Python that runs the tests."""
    import nbclient

    kernel = tmp_path / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    specification = {"argv": command, "display_name": "Python 3", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(specification))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONPATH", str(Path(mt3x.__file__).parents[1]))  # the mt3x under test, no other
    folder = tmp_path / "here"
    folder.mkdir()

    def run(path=NOTEBOOK, **parameters):
        notebook = read_notebook(path)
        (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
        cell.source = "\n".join(f"{name} = {value!r}" for name, value in parameters.items())
        client = nbclient.NotebookClient(
            notebook, timeout=1200, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
        )
        return client.execute(), folder

    return run


@pytest.fixture
def colab(monkeypatch):
    """A stand-in for the package google.colab; tests say what its functions do."""
    package = types.ModuleType("google.colab")
    package.files = types.SimpleNamespace()
    package.output = types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, "google.colab", package)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")  # nothing to install
    return package


@pytest.mark.parametrize("path", [NOTEBOOK, SPELLING_NOTEBOOK], ids=lambda path: path.stem)
def test_it_is_committed_valid_and_without_outputs(path):
    import nbformat

    notebook = read_notebook(path)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None


@pytest.mark.slow
def test_a_recording_becomes_midi_with_the_weights_of_a_checkpoint(execute, small_model_folder, tmp_path):
    recording = tmp_path / "été, 1.flac"
    shutil.copy(EXAMPLE, recording)
    notebook, folder = execute(
        RECORDING=str(recording), INSTRUMENTS="", MODEL=str(small_model_folder), PRESET=""
    )

    notes = read_midi(folder / "été, 1.mid")
    assert len(notes)
    assert [path.name for path in folder.iterdir()] == ["été, 1.mid"]
    text, (bar,) = outputs(notebook, "transcribe")
    assert " notes in 24.0 s of music" in text
    assert "value='100'" in bar["text/html"]
    text, players = outputs(notebook, "listen")
    assert text == "The recording:\nThe notes:\n"
    assert ["<audio" in player["text/html"] for player in players] == [True, True]
    assert "image/png" in outputs(notebook, "piano-roll")[1][0]
    (table,) = outputs(notebook, "instruments")[1]
    counts = [int(row.split("|")[2]) for row in table["text/markdown"].splitlines()[2:]]
    assert sum(counts) == len(notes)
    assert len(counts) == len({(note["program"], note["is_drum"]) for note in notes})


@pytest.mark.slow
def test_a_recording_becomes_midi_with_the_default_model(execute):
    _, folder = execute(RECORDING=str(EXAMPLE), INSTRUMENTS="flute", MODEL="default", PRESET="")
    assert set(read_midi(folder / "das_wandern.mid")["program"]) == {73}


@pytest.mark.slow
def test_a_network_learns_to_spell_and_writes_a_page(execute):
    midi, songs = (
        ROOT / "examples" / "das_wandern.score.mid",
        ROOT / "tests" / "golden" / "openscore_spelled.npz",
    )
    notebook, folder = execute(SPELLING_NOTEBOOK, MIDI=str(midi), SCORES=str(songs), STEPS=12, LAYERS=1)

    text, _ = outputs(notebook, "graph")
    assert "nodes: measure" in text and "edges: beat -next-> beat" in text
    assert "5 songs, as " in outputs(notebook, "scores")[0]
    assert "in the first one 8 regions" in outputs(notebook, "sample")[0]
    assert "Of the song kept aside" in outputs(notebook, "train")[0]
    for cell_id in ("look", "loss", "page"):
        assert "image/svg+xml" in outputs(notebook, cell_id)[1][0]
    text, (table,) = outputs(notebook, "spell")
    assert text.startswith("The two agree on ")
    assert len(table["text/markdown"].splitlines()) == 2 + 12
    assert [path.name for path in folder.iterdir()] == ["spelling_network.npz"]


@pytest.mark.parametrize("path", [NOTEBOOK, SPELLING_NOTEBOOK], ids=lambda path: path.stem)
def test_nothing_is_installed_where_mt3x_is(path, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("a command was run"))
    assert run_cells("install", path=path)["ON_COLAB"] is False


@pytest.mark.parametrize("on_colab", [False, True])
def test_what_spelling_needs_is_installed(on_colab, monkeypatch, request):
    commands = []
    if on_colab:
        request.getfixturevalue("colab")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: commands.append(command))
    source = run_cells("install", path=SPELLING_NOTEBOOK)["SOURCE"]
    extras = "score" if on_colab else "score,notebook"
    assert [command[-1] for command in commands] == [f"mt3x[{extras}] @ git+{source}"]


def test_spelling_takes_its_examples_from_the_repository_around_it(monkeypatch):
    monkeypatch.chdir(SPELLING_NOTEBOOK.parent)
    names = run_cells("files", path=SPELLING_NOTEBOOK, MIDI="example", SCORES="example")
    assert names["midi"].samefile(ROOT / "examples" / "das_wandern.score.mid")
    assert names["scores"].samefile(ROOT / "tests" / "golden" / "openscore_spelled.npz")


def test_spelling_downloads_its_examples_elsewhere(tmp_path, monkeypatch):
    folder = tmp_path / "raw" / "HEAD" / "examples"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "examples" / "das_wandern.score.mid", folder)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    names = {"MIDI": "example", "SCORES": "songs", "SOURCE": tmp_path.as_uri()}
    midi = run_cells("files", path=SPELLING_NOTEBOOK, **names)["midi"]
    assert midi.read_bytes() == (folder / "das_wandern.score.mid").read_bytes()


def test_one_score_is_not_enough_to_learn_from(tmp_path):
    note = "<note><pitch><step>C</step><octave>4</octave></pitch><duration>1</duration></note>"
    score = f"<score-partwise><part id='P1'><measure>{note}</measure></part></score-partwise>"
    (tmp_path / "one.musicxml").write_text(score)
    with pytest.raises(ValueError, match="holds 1 scores; give two or more"):
        run_cells("scores", path=SPELLING_NOTEBOOK, scores=tmp_path)


@pytest.mark.parametrize("on_colab", [False, True])
def test_what_is_missing_is_installed(on_colab, monkeypatch, request):
    commands = []
    if on_colab:
        request.getfixturevalue("colab")
        monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: commands.append(command))
    source = run_cells("install")["SOURCE"]
    extras = "plot,synthesis" if on_colab else "notebook"
    assert commands[0][-1] == f"mt3x[{extras}] @ git+{source}"
    assert [command[0] for command in commands[1:]] == ["apt-get"] * (2 if on_colab else 0)


def test_the_example_is_taken_from_the_repository_around_the_notebook(monkeypatch):
    monkeypatch.chdir(NOTEBOOK.parent)
    names = run_cells("install", "recording", "chosen", RECORDING="example")
    assert names["recording"].samefile(EXAMPLE)


def test_the_example_is_downloaded_elsewhere(tmp_path, monkeypatch):
    folder = tmp_path / "raw" / "HEAD" / "examples"
    folder.mkdir(parents=True)
    shutil.copy(EXAMPLE, folder)
    monkeypatch.chdir(tmp_path)
    names = run_cells("recording", RECORDING="example", SOURCE=tmp_path.as_uri())
    assert names["recording"].read_bytes() == EXAMPLE.read_bytes()


def test_a_file_uploaded_to_colab_is_used(colab, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    colab.files.upload = lambda: {"song (1).wav": b"RIFF"}  # it also writes the file
    names = run_cells("install", "recording", "chosen", RECORDING="upload")
    assert names["recording"] == Path("song (1).wav")


def test_an_upload_to_colab_that_is_cancelled_is_said(colab):
    colab.files.upload = dict
    with pytest.raises(ValueError, match="No file was chosen"):
        run_cells("install", "recording", RECORDING="upload")


def test_a_file_uploaded_elsewhere_is_used():
    names = run_cells("install", "microphone", "recording", RECORDING="upload")
    with pytest.raises(ValueError, match="Choose a file with the button above"):
        run_cells("chosen", **names)
    file = {"name": "song.wav", "type": "audio/wav", "size": 4, "last_modified": 0}
    names["button"].set_state({"value": [file | {"content": memoryview(b"RIFF")}]})
    recording = run_cells("chosen", **names)["recording"]
    assert (recording.name, recording.read_bytes()) == ("song.wav", b"RIFF")


def test_what_the_microphone_of_colab_hears_is_used(colab):
    heard = np.arange(-32768, 32767, dtype="<i2")

    def eval_js(script):
        function, arguments = script.removesuffix(")").split("(")
        if function == "record":
            return len(heard)
        assert function == "recordedPart"
        start, end = map(int, arguments.split(","))
        return base64.b64encode(heard[start:end].tobytes()).decode()

    colab.output.eval_js = eval_js
    names = run_cells("install", "microphone") | {"PART_SAMPLES": 30_000, "RECORDING": "microphone"}
    samples, sample_rate = soundfile.read(
        run_cells("recording", "chosen", **names)["recording"], dtype="int16"
    )
    assert sample_rate == 44100
    np.testing.assert_array_equal(samples, heard)


def test_without_colab_there_is_no_microphone():
    with pytest.raises(ValueError, match="on Colab only"):
        run_cells("install", "recording", RECORDING="microphone")


def test_a_hint_says_what_listening_needs(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "fluidsynth", None)
    result = Transcription(make_notes([0.0], [1.0], [60]), DecodeReport(0, 0), 1.0, "none")
    names = run_cells("microphone", "listen", recording=EXAMPLE, result=result)
    assert names["synthesizer"] is None
    printed = capsys.readouterr().out
    assert "apt install fluidsynth fluid-soundfont-gm" in printed
    assert "pip install pyfluidsynth" in printed


def test_the_midi_file_is_downloaded_from_colab(colab, tmp_path, monkeypatch):
    downloaded = []
    colab.files.download = downloaded.append
    monkeypatch.chdir(tmp_path)
    result = Transcription(make_notes([0.0], [1.0], [60]), DecodeReport(0, 0), 1.0, "none")
    run_cells("install", "download", recording=Path("song.wav"), result=result)
    assert downloaded == ["song.mid"]
    assert len(read_midi(tmp_path / "song.mid")) == 1

"""The gin files for T5X name what is there: read statement by statement, as t5x need not be installed."""

import importlib
import inspect
import warnings
from pathlib import Path

import pytest

from gin import config_parser

GIN = Path(__file__).parents[2] / "gin"
PROGRAMS = {
    "train.gin": {"MODEL_DIR"},
    "eval.gin": {"CHECKPOINT_PATH", "EVAL_OUTPUT_DIR"},
    "infer.gin": {"CHECKPOINT_PATH", "INFER_OUTPUT_DIR"},
    "finetune.gin": {"CHECKPOINT_PATH", "MODEL_DIR"},
}
"""The programs' files, and which macros are left to the user."""


class File(config_parser.ParserDelegate):
    """What one gin file binds, refers to and imports; its macros with those of files that it includes."""

    def __init__(self, name, folder=GIN):
        self.macros, self.references, self.bindings, self.modules = set(), set(), [], {}
        self.set_macros = set()
        for statement in config_parser.ConfigParser((folder / name).read_text(), self):
            match statement:
                case config_parser.ImportStatement():
                    self.modules[statement.bound_name()] = statement.module
                case config_parser.IncludeStatement():
                    included = File(statement.filename, folder)
                    self.macros |= included.macros
                    self.set_macros |= included.set_macros
                case config_parser.BindingStatement():
                    if statement.arg_name:
                        self.bindings.append((statement.selector, statement.arg_name))
                    else:
                        self.set_macros.add(statement.selector)

    def configurable_reference(self, scoped_name, evaluate):
        self.references.add(scoped_name.split("/")[-1])
        return scoped_name

    def macro(self, scoped_name):
        self.macros.add(scoped_name)
        return scoped_name

    def find(self, selector):
        """What a selector means; None where its module cannot be imported here."""
        alias, *attributes = selector.split(".")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # T5X's, on what JAX will do away with
            try:
                found = importlib.import_module(self.modules[alias])
            except ImportError as error:
                assert (error.name or "").split(".")[0] == "t5x", error
                return None
        for attribute in attributes:
            found = getattr(found, attribute)
        return found


@pytest.mark.parametrize("name", ["model.gin", "train.gin", "eval.gin", "infer.gin"])
def test_everything_that_is_set_is_there(name):
    file = File(f"t5x/{name}")
    names = {selector for selector, _ in file.bindings} | file.references
    assert {selector.split(".")[0] for selector in names} <= set(file.modules)
    own = {alias for alias, module in file.modules.items() if module.split(".")[0] in ("mt3x", "seqio")}
    found = {selector: file.find(selector) for selector in names if selector.split(".")[0] in own}
    assert sum(value is not None for value in found.values()) >= 3
    for selector, argument in file.bindings:
        if found.get(selector) is not None:
            assert argument in inspect.signature(found[selector]).parameters, f"{selector}.{argument}"


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("task", ["mt3.gin", "ismir2021.gin"])
def test_every_value_is_set_but_those_left_to_the_user(program, task):
    files = [File(f"t5x/{name}") for name in ("model.gin", program, task)]
    missing = set.union(*(file.macros for file in files)) - set.union(*(file.set_macros for file in files))
    assert missing == PROGRAMS[program]
    assert all(name in (GIN / "t5x" / program).read_text().split("from __gin__")[0] for name in missing)


def test_a_name_that_is_not_there_is_found(tmp_path):
    (tmp_path / "wrong.gin").write_text(
        "from mt3x.model import config\nconfig.TransformerConfg.emb_dim = %SIZE\n"
    )
    file = File("wrong.gin", tmp_path)
    assert file.bindings == [("config.TransformerConfg", "emb_dim")] and file.macros == {"SIZE"}
    with pytest.raises(AttributeError, match="TransformerConfg"):
        file.find("config.TransformerConfg")

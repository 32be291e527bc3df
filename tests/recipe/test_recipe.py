"""The recipe: layers, and mistakes shown where they stand."""

from __future__ import annotations

import math

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

import archspec
from archspec.cli import main
from archspec.cli.parser import declared
from archspec.diagnostics.diagnostic import Source, SpecError
from archspec.ir.schemes import SCHEMES
from archspec.recipe.layers import RecipeLayer, located_layer, option_layer, read_layer, read_values
from archspec.recipe.optimizers import UpdateRule
from archspec.recipe.recipe import Recipe, fields, layers_for, resolve
from archspec.recipe.schedules import Schedule
from archspec.recipe.schema import recipe_schema
from archspec.training import recipe_for
from archspec.training.store.runs import config_text

SPEC = """\
input: [1, 8, 8]
layers:
  - flatten
  - linear: 10
train:
  {recipe}
"""


def chosen(*options):
    """Options of the command line, by field."""
    return option_layer([(fields()[name], text) for name, text in options])


def message(text, config=None, options=()):
    layer = read_layer(Source("config.yaml", config)) if config else None
    with pytest.raises(SpecError) as caught:
        spec = archspec.loads(SPEC.format(recipe=text), name="net.yaml")
        own = located_layer(spec.located_recipe)
        resolve(layers_for(own, layer, chosen(*options)))
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "epoch: 3",
            "net.yaml:6:3: error AS202: a recipe has no 'epoch'\n"
            "  6 |   epoch: 3\n"
            "    |   ^^^^^\n"
            "  help: did you mean 'epochs'?",
        ),
        (
            "lr: -1",
            "net.yaml:6:7: error AS205: `lr` cannot be -1\n"
            "  6 |   lr: -1\n"
            "    |       ^^\n"
            "  expected: a number above 0\n"
            "  found:    a number, -1",
        ),
        (
            "batch_size: large",
            "net.yaml:6:15: error AS205: `batch_size` cannot be 'large'\n"
            "  6 |   batch_size: large\n"
            "    |               ^^^^^\n"
            "  expected: a whole number of at least 1, or 'auto'\n"
            "  found:    text, 'large'",
        ),
        (
            "optimizer: sdg",
            "net.yaml:6:14: error AS205: `optimizer` cannot be 'sdg'\n"
            "  6 |   optimizer: sdg\n"
            "    |              ^^^\n"
            f"  expected: one of {', '.join(UpdateRule.entries)}\n"
            "  found:    text, 'sdg'",
        ),
        (
            "epochs: true",
            "net.yaml:6:11: error AS205: `epochs` cannot be true\n"
            "  6 |   epochs: true\n"
            "    |           ^^^^\n"
            "  expected: a whole number of at least 1\n"
            "  found:    a truth value, true",
        ),
        (
            "nesterov: true",
            "net.yaml:6:13: error AS205: `nesterov` belongs to sgd; adam has `betas`, `eps`\n"
            "  6 |   nesterov: true\n"
            "    |             ^^^^",
        ),
        (
            "loss_weights: {aux: -1}",
            "net.yaml:6:23: error AS205: `loss_weights.aux` cannot be -1\n"
            "  6 |   loss_weights: {aux: -1}\n"
            "    |                       ^^\n"
            "  expected: a number of at least 0\n"
            "  found:    a number, -1",
        ),
    ],
)
def test_a_mistake_is_shown_where_it_stands(text, said):
    assert message(text) == said


def test_all_mistakes_are_shown_wherever_they_are():
    own = read_layer(Source("net.yaml", "lr: 0"))
    config = read_layer(Source("config.yaml", "ema: 2"))
    with pytest.raises(SpecError) as caught:
        resolve(layers_for(own, config, chosen(("epochs", "none"))))
    places = [str(each.span) for each in caught.value.diagnostics]
    assert places == ["--epochs:1:1", "config.yaml:1:6", "net.yaml:1:5"]


@pytest.mark.parametrize(
    ("recipe", "place", "word"),
    [
        ("{lr: -1}", "4:13", "`lr`"),
        ('{epochs: "3"}', "4:17", "`epochs`"),
        ("{optimizer: rmsprob}", "4:20", "`optimizer`"),
        ("{normalize: {mean: [0.5], std: [0]}}", "4:39", "`normalize.std`"),
        ("{resize: [8]}", "4:17", "`resize`"),
        ("{seed: 9223372036854775808}", "4:15", "`seed`"),
    ],
)
def test_load_refuses_a_wrong_value_where_it_stands(recipe, place, word):
    text = f"input: [1, 8, 8]\nlayers:\n- flatten\ntrain: {recipe}\n"
    with pytest.raises(SpecError) as caught:
        archspec.loads(text)
    (found,) = caught.value.diagnostics
    assert (str(found.span), found.message.split()[0]) == (f"<text>:{place}", word)
    assert found.expected and found.found


def test_a_misspelt_value_is_mended_by_check(tmp_path):
    path = tmp_path / "net.yaml"
    path.write_text(SPEC.format(recipe="{optimizer: SGD, nesterov: yes, momentum: 0.5}"))
    assert main(["check", str(path), "--fix"]) == 0
    assert "{optimizer: sgd, nesterov: true, momentum: 0.5}" in path.read_text()


def test_the_place_of_an_inherited_recipe_is_the_base(tmp_path):
    (tmp_path / "base.yaml").write_text(SPEC.format(recipe="lr: 0"))
    (tmp_path / "child.yaml").write_text("extends: base.yaml\ntrain: {epochs: 0}\n")
    with pytest.raises(SpecError) as caught:
        archspec.load(tmp_path / "child.yaml")
    places = [str(d.span) for d in caught.value.diagnostics]
    assert sorted(places) == [f"{tmp_path}/base.yaml:6:7", f"{tmp_path}/child.yaml:2:17"]


def test_later_layers_win():
    own = RecipeLayer({"dataset": "mnist", "epochs": 3, "lr": 0.5, "optimizer": "sgd"}, {})
    config = RecipeLayer({"epochs": 4}, {})
    options = chosen(("lr", "0.25"), ("resize", "[8, 9]"))
    recipe = resolve(layers_for(own, config, options))
    assert (recipe.epochs, recipe.lr, recipe.optimizer) == (4, 0.25, "sgd")
    assert recipe.resize == (8, 9) and recipe.batch_size == 64


def test_data_of_another_kind_brings_what_suits_it():
    own = RecipeLayer({"dataset": "mnist", "epochs": 3, "optimizer": "sgd", "momentum": 0.9}, {})
    to_digits = chosen(("dataset", "digits"))
    recipe = resolve(layers_for(own, None, to_digits))
    assert (recipe.batch_size, recipe.epochs, recipe.optimizer) == (16, 20, "adam")
    kept = resolve(layers_for(own, None, chosen(("dataset", "kmnist"))))
    assert (kept.epochs, kept.momentum, kept.dataset) == (3, 0.9, "kmnist")
    # A spec written for the digits has said what it wants.
    mine = resolve(layers_for(RecipeLayer({"dataset": "digits", "epochs": 2}, {}), None, to_digits))
    assert (mine.epochs, mine.batch_size) == (2, 16)


def test_names_are_text_whatever_they_look_like():
    recipe = resolve([chosen(("dataset", "image_folder:a: b"), ("device", "12"))])
    assert (recipe.dataset, recipe.device) == ("image_folder:a: b", "12")


def test_a_written_recipe_reads_back_the_same():
    recipe = Recipe(
        resize=(96, 128),
        betas=(0.8, 0.99),
        loss_weights={"aux": 0.5},
        clip_norm=1.0,
        augment=("flip",),
        normalize={"mean": (0.5,), "std": (0.25,)},
        dataset="image_folder:my pictures #1",
    )
    assert resolve([read_layer(Source("config.yaml", config_text(recipe)))]) == recipe


@pytest.mark.parametrize("name", [n for n in archspec.bundled() if "/" not in n])
def test_every_bundled_recipe_is_sound(name):
    recipe = recipe_for(archspec.load(name), None, {})
    assert recipe.epochs >= 1


def test_the_published_recipes():
    recipe = recipe_for(archspec.load("resnet18"), None, {})
    assert (recipe.dataset, recipe.resize, recipe.batch_size, recipe.epochs, recipe.optimizer) == (
        "fashion_mnist",
        96,
        256,
        10,
        "sgd",
    )
    assert (recipe.lr, recipe.momentum, recipe.weight_decay) == (0.05, 0.0, 0.0)


def options_of_train():
    """The options of `archspec train` by what they set."""
    return {option.dest: option for option in declared("train").options}


def test_every_field_is_an_option_that_torchrun_lets_through():
    from torch.distributed.run import get_args_parser

    options = options_of_train()
    assert options.keys() >= fields().keys()
    theirs = [flag for action in get_args_parser()._actions for flag in action.option_strings]
    for flag in [*(each.flag for each in fields().values()), "--run-dir", "--resume", "--set"]:
        # It expands abbreviations, and refuses one that could be two of its own options.
        assert sum(other.startswith(flag) for other in theirs) < 2, flag


def test_a_recipe_keeps_its_places_through_files_that_extend(tmp_path, monkeypatch):
    (tmp_path / "base.yaml").write_text(
        "input: [1, 8, 8]\nlayers: [flatten, {linear: 10}]\ntrain: {warmup: 20, lr: 0.1}\n"
    )
    # A file of that name elsewhere is none of its business.
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "base.yaml").write_text("no: [spec")
    monkeypatch.chdir(tmp_path / "elsewhere")
    arch = archspec.loads("extends: base.yaml\ntrain: {momentum: 0.5}\n", folder=tmp_path)
    with pytest.raises(SpecError) as caught:
        archspec.train(arch)
    places = {(d.span.source.name, d.span.line, d.span.column) for d in caught.value.diagnostics}
    assert places == {("<text>", 2, 19), (str(tmp_path / "base.yaml"), 3, 17)}


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.just(2**63),
    st.floats(-1, 2),
    st.sampled_from([math.inf, math.nan, 0.0, 1.0]),
    st.sampled_from(["digits", "sgd", "adam", "cosine", "one_cycle", "orthogonal", "auto", ""]),
    st.lists(st.one_of(st.integers(0, 3), st.floats(0, 2)), max_size=3),
)


def same(one, other):
    """Equal in value and in type."""
    if isinstance(one, tuple) and isinstance(other, tuple) and len(one) == len(other):
        return all(map(same, one, other))
    return type(one) is type(other) and one == other


ANNOTATIONS = {name: each.annotation for name, each in fields().items() if not each.words}


@pytest.mark.parametrize("name", ANNOTATIONS)
def test_a_field_takes_what_pydantic_takes(name):
    """Strictly, and finite numbers alone; texts in the place of lists of them are ours."""
    judge = TypeAdapter(ANNOTATIONS[name], config={"strict": True, "allow_inf_nan": False})

    @given(VALUES)
    @settings(max_examples=100)
    def agrees(value):
        value = tuple(value) if isinstance(value, list) else value
        values, mistakes = read_values(fields(), RecipeLayer({name: value}))
        try:
            judged = judge.validate_python(value)
        except ValidationError:
            if name == "augment" and isinstance(value, str):
                assert values[name] == (value,)
            else:
                assert len(mistakes) == 1
        else:
            assert not mistakes and same(values[name], judged)

    agrees()


def test_what_may_be_named_is_a_text_that_is_known():
    for name, words in {"init": SCHEMES, "schedule": Schedule.entries}.items():
        for word in words:
            assert getattr(Recipe(**{name: word}), name) == word
        for wrong in ("", "x", 1, ["cosine"], True):
            assert read_values(fields(), RecipeLayer({name: wrong}))[1], wrong
    assert Recipe(init=None).init is None


@pytest.mark.parametrize("key", ["fi.al_lr", "normalize.", ".", "loss_weights.a"])
def test_a_key_with_a_dot_is_unknown_like_any_other(key):
    with pytest.raises(SpecError) as caught:
        resolve([read_layer(Source("c.yaml", f"epochs: 2\n{key}: 1\n"))])
    (found,) = caught.value.diagnostics
    assert (found.message, found.span.line) == (f"a recipe has no {key!r}", 2)


def test_a_config_that_is_no_mapping_is_refused_where_it_begins():
    with pytest.raises(SpecError, match="a recipe is a mapping, not a list") as caught:
        resolve([read_layer(Source("c.yaml", "- epochs: 2\n"))])
    assert str(caught.value.diagnostics[0].span) == "c.yaml:1:1"


def test_the_schema_takes_what_a_recipe_takes():
    validator = jsonschema.Draft202012Validator(recipe_schema())
    right = {
        "normalize": {"mean": [0.5], "std": [0.25]},
        "resize": [8, 9],
        "augment": "random_crop",
        "batch_size": "auto",
        "init": None,
        "ema": 0.5,
        "loss_weights": {"aux": 0},
        "seed": 0,
    }
    assert Recipe(**right) and list(validator.iter_errors(right)) == []
    assert validator.is_valid({"normalize": None, "resize": 8, "augment": ["random_crop"]})
    wrong = {
        "normalize": {"mean": [0.5]},
        "resize": [8],
        "batch_size": "all",
        "ema": 1,
        "loss_weights": {"aux": -1},
        "seed": -1,
        "augment": [3],
        "colour": "red",
    }
    for name, value in wrong.items():
        assert not validator.is_valid({name: value}), name
        assert read_values(fields(), RecipeLayer({name: value}))[1], name


def test_the_defaults_are_those_of_the_documents():
    recipe = Recipe()
    assert (recipe.dataset, recipe.validation, recipe.epochs, recipe.batch_size) == (
        *("digits", 0.1, 10, 64),
    )
    assert (recipe.optimizer, recipe.lr, recipe.betas, recipe.eps) == (
        *("adam", 0.001, (0.9, 0.999), 1e-8),
    )
    assert (recipe.schedule, recipe.step_epochs, recipe.gamma) == ("constant", 30.0, 0.1)
    assert (recipe.log_every, recipe.save_every, recipe.seed) == (1.0, 60.0, 0)

"""The recipe: layers, and mistakes shown where they stand."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import archspec
from archspec.cli.training_options import OPTIONS
from archspec.diagnostics.diagnostic import Source, Span, SpecError
from archspec.document.keys.train import NORMALIZE_KEYS, TRAIN_KEYS, plainly_fits
from archspec.text import values as yaml_values
from archspec.text.limits import Limits
from archspec.text.values import Items, Scalar
from archspec.training import recipe_for
from archspec.training.recipe import (
    Recipe,
    RecipeLayer,
    Statistics,
    layers_for,
    option_layer,
    read_layer,
    resolve,
    spec_layer,
)
from archspec.training.store.runs import config_text

SPEC = """\
input: [1, 8, 8]
layers:
  - flatten
  - linear: 10
train:
  {recipe}
"""


def message(text, config=None, options=()):
    layer = read_layer(Source("config.yaml", config)) if config else None
    with pytest.raises(SpecError) as caught:
        spec = archspec.loads(SPEC.format(recipe=text), name="net.yaml")
        own = spec_layer(spec.located_recipe)
        resolve(layers_for(own, layer, option_layer(options)))
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
            "  expected: a number above 0",
        ),
        (
            "batch_size: large",
            "net.yaml:6:15: error AS205: `batch_size` cannot be 'large'\n"
            "  6 |   batch_size: large\n"
            "    |               ^^^^^\n"
            "  expected: a whole number of at least 1, or auto",
        ),
        (
            "optimizer: sdg",
            "net.yaml:6:14: error AS205: `optimizer` cannot be 'sdg'\n"
            "  6 |   optimizer: sdg\n"
            "    |              ^^^\n"
            "  expected: sgd or adam or adamw",
        ),
        (
            "epochs: true",
            "net.yaml:6:11: error AS205: `epochs` cannot be true\n"
            "  6 |   epochs: true\n"
            "    |           ^^^^\n"
            "  expected: a whole number of at least 1",
        ),
        (
            "nesterov: true",
            "net.yaml:6:13: error AS205: `nesterov` needs optimizer sgd and a momentum above 0\n"
            "  6 |   nesterov: true\n"
            "    |             ^^^^",
        ),
        (
            "loss_weights: {aux: -1}",
            "net.yaml:6:23: error AS205: `loss_weights.aux` cannot be -1\n"
            "  6 |   loss_weights: {aux: -1}\n"
            "    |                       ^^\n"
            "  expected: a mapping of names to numbers",
        ),
    ],
)
def test_a_mistake_is_shown_where_it_stands(text, said):
    assert message(text) == said


def test_all_mistakes_are_shown_wherever_they_are():
    said = message("lr: 0", config="ema: 2", options=[("epochs", "--epochs", "none")])
    assert [line.split(" error")[0] for line in said.splitlines() if " error " in line] == [
        "--epochs:1:1:",
        "config.yaml:1:6:",
        "net.yaml:6:7:",
    ]


def test_the_place_of_an_inherited_recipe_is_the_base(tmp_path):
    (tmp_path / "base.yaml").write_text(SPEC.format(recipe="lr: 7e400"[:5] + " 0"))
    (tmp_path / "child.yaml").write_text("extends: base.yaml\ntrain: {epochs: 0}\n")
    spec = archspec.load(tmp_path / "child.yaml")
    with pytest.raises(SpecError) as caught:
        resolve([spec_layer(spec.located_recipe)])
    places = [str(d.span) for d in caught.value.diagnostics]
    assert sorted(places) == [f"{tmp_path}/base.yaml:6:7", f"{tmp_path}/child.yaml:2:17"]


def test_later_layers_win():
    own = RecipeLayer({"dataset": "mnist", "epochs": 3, "lr": 0.5, "optimizer": "sgd"}, {})
    config = RecipeLayer({"epochs": 4}, {})
    options = option_layer([("lr", "--lr", "0.25"), ("resize", "--resize", "[8, 9]")])
    recipe = resolve(layers_for(own, config, options))
    assert (recipe.epochs, recipe.lr, recipe.optimizer) == (4, 0.25, "sgd")
    assert recipe.resize == (8, 9) and recipe.batch_size == 64


def test_data_of_another_kind_brings_what_suits_it():
    own = RecipeLayer({"dataset": "mnist", "epochs": 3, "optimizer": "sgd", "momentum": 0.9}, {})
    to_digits = option_layer([("dataset", "--data", "digits")])
    recipe = resolve(layers_for(own, None, to_digits))
    assert (recipe.batch_size, recipe.epochs, recipe.optimizer) == (16, 20, "adam")
    kept = resolve(layers_for(own, None, option_layer([("dataset", "--data", "kmnist")])))
    assert (kept.epochs, kept.momentum, kept.dataset) == (3, 0.9, "kmnist")
    # A spec written for the digits has said what it wants.
    mine = resolve(layers_for(RecipeLayer({"dataset": "digits", "epochs": 2}, {}), None, to_digits))
    assert (mine.epochs, mine.batch_size) == (2, 16)


def test_names_are_text_whatever_they_look_like():
    recipe = resolve(
        [option_layer([("dataset", "--data", "image_folder:a: b"), ("device", "--device", "12")])]
    )
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


def test_every_field_is_an_option_that_torchrun_lets_through():
    from torch.distributed.run import get_args_parser

    assert {option.field for option in OPTIONS} == set(Recipe.model_fields)
    theirs = [flag for action in get_args_parser()._actions for flag in action.option_strings]
    for flag in [*(option.flag for option in OPTIONS), "--run-dir", "--resume", "--set"]:
        # It expands abbreviations, and refuses one that could be two of its own options.
        assert sum(other.startswith(flag) for other in theirs) < 2, flag


def test_a_spec_knows_the_fields_of_a_recipe_without_importing_it():
    assert set(TRAIN_KEYS) == set(Recipe.model_fields)
    assert set(NORMALIZE_KEYS) == set(Statistics.model_fields)
    assert len(set(TRAIN_KEYS)) == len(TRAIN_KEYS)


def test_a_recipe_keeps_its_places_through_files_that_extend(tmp_path, monkeypatch):
    (tmp_path / "base.yaml").write_text(
        "input: [1, 8, 8]\nlayers: [flatten, {linear: 10}]\ntrain: {epochs: 0, lr: 0.1}\n"
    )
    # A file of that name elsewhere is none of its business.
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "base.yaml").write_text("no: [spec")
    monkeypatch.chdir(tmp_path / "elsewhere")
    arch = archspec.loads("extends: base.yaml\ntrain: {lr: 0}\n", folder=tmp_path)
    with pytest.raises(SpecError) as caught:
        archspec.train(arch)
    places = {(d.span.source.name, d.span.line, d.span.column) for d in caught.value.diagnostics}
    assert places == {("<text>", 2, 13), (str(tmp_path / "base.yaml"), 3, 17)}


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


@given(st.dictionaries(st.sampled_from(TRAIN_KEYS), VALUES, max_size=4))
@example({"init": []})
@example({"epochs": 3, "lr": 0.1, "resize": [4, 5], "schedule": "one_cycle", "init": "orthogonal"})
@settings(max_examples=400)
def test_what_plainly_fits_is_what_the_trainer_takes(recipe):
    span = Span(Source("x", ""), 1, 1, 1, 2)

    def located(value):
        if isinstance(value, list):
            return Items(tuple(map(located, value)), span, 1)
        return Scalar(value, str(value), True, span)

    entries = {name: (located(name), located(value)) for name, value in recipe.items()}
    if plainly_fits(entries):
        assert resolve([spec_layer(entries)])  # which raises for what it does not take


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"lr": 0.0}, {"seed": 2**63}, {"momentum": 0.5}])
def test_what_is_not_plain_is_left_to_the_trainer(wrong):
    text = "".join(f"{name}: {value}\n" for name, value in wrong.items())
    assert not plainly_fits(yaml_values.read(Source("x", text), Limits()).entries)


def test_the_recipes_of_the_bundled_specs_plainly_fit():
    found = [name for name in archspec.bundled() if "/" not in name]
    recipes = {name: archspec.load(name).located_recipe for name in found}
    assert [name for name, recipe in recipes.items() if not plainly_fits(recipe)] == []


@pytest.mark.parametrize("key", ["fi.al_lr", "normalize.", ".", "loss_weights.a"])
def test_a_key_with_a_dot_is_unknown_like_any_other(key):
    with pytest.raises(SpecError) as caught:
        resolve([read_layer(Source("c.yaml", f"epochs: 2\n{key}: 1\n"))])
    (found,) = caught.value.diagnostics
    assert (found.message, found.span.line) == (f"a recipe has no {key!r}", 2)

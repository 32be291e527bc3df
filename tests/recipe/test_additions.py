"""What is added with one class or function is everywhere: worked examples."""

import importlib
import json

import jsonschema
import pytest
import torch
from torch import nn

import archspec
import archspec.cli.train
from archspec.cli import main
from archspec.cli.parser import parse
from archspec.data import register, registry
from archspec.recipe.layers import RecipeLayer, option_layer
from archspec.recipe.optimizers import UpdateRule
from archspec.recipe.recipe import Recipe, fields, layers_for, resolve
from archspec.recipe.schedules import Schedule
from archspec.recipe.settings import Choice, Count, Positive, setting
from archspec.training.optimise import Optimizer
from archspec.training.schedule import learning_rate

SPEC = "input: [1, 8, 8]\nlayers: [flatten, {linear: 10}]\ntrain: "


@pytest.fixture
def sign_descent():
    """An optimiser: steps of one length, against the sign of the gradient."""

    class SignDescent(UpdateRule, name="sign_descent"):
        """Steps of one length."""

        stretch: Positive = setting(1.0, "length of a step", "S")
        is_fused = False

        def fresh(self, parameter):
            return {"steps": torch.zeros(())}

        def update(self, group):
            for parameter, gradient in zip(group.parameters, group.gradients, strict=True):
                parameter.sub_(gradient.sign() * group.lr * self.stretch)
            for steps in group.state["steps"]:
                steps += 1

    yield SignDescent
    del UpdateRule.entries["sign_descent"]


@pytest.fixture
def halving():
    """A schedule: a half at each further epoch, of a number of them."""

    class Halving(Schedule, name="halving"):
        """Half as much each time."""

        halvings: Count = setting(3, "how often", "N")

        def rate(self, lr, step, total, steps_per_epoch):
            return lr * 0.5 ** min(self.halvings, step // steps_per_epoch)

    yield Halving
    del Schedule.entries["halving"]


def schema(capsys):
    assert main(["schema"]) == 0
    return json.loads(capsys.readouterr().out)


def is_valid(schema, recipe):
    spec = {"input": [1, 8, 8], "layers": ["flatten"], "train": recipe}
    return jsonschema.Draft202012Validator(schema).is_valid(spec)


def checked(tmp_path, capsys, recipe):
    (tmp_path / "net.yaml").write_text(SPEC + recipe + "\n")
    status = main(["check", str(tmp_path / "net.yaml")])
    return status, capsys.readouterr().err


def test_an_optimiser_is_one_class(sign_descent, tmp_path, capsys):
    right = {"optimizer": "sign_descent", "stretch": 2.0}
    # the schema
    found = schema(capsys)
    assert is_valid(found, right) and not is_valid(found, {**right, "stretch": 0})
    # `check`, with a near word and the rule of what belongs to it
    assert checked(tmp_path, capsys, json.dumps(right)) == (0, "")
    status, said = checked(tmp_path, capsys, "{optimizer: sign_decent}")
    assert status == 1 and "help: did you mean 'sign_descent'?" in said
    status, said = checked(tmp_path, capsys, "{optimizer: adam, stretch: 2.0}")
    assert status == 1
    assert "`stretch` belongs to sign_descent; adam has `betas`, `eps`" in said
    # the command line, whose help has the line of its field
    importlib.reload(archspec.cli.train)  # which reads the fields when it is first imported
    args = parse(["train", "x", "--optimizer", "sign_descent", "--stretch", "2"])
    assert (args.optimizer, args.stretch) == ("sign_descent", "2")
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert "length of a step (sign_descent)" in " ".join(capsys.readouterr().out.split())
    # a step, by hand, and the trainer
    net = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[1.0, 1.0]]))
    optimizer = Optimizer(net.named_parameters(), Recipe(**right))
    net.weight.grad = torch.tensor([[3.0, -0.1]])
    optimizer.step(0.25)
    assert net.weight.tolist() == [[0.5, 1.5]]
    assert optimizer.state_dict()["weight"]["steps"] == 1
    quick = {"limit_train": 40, "limit_test": 10, "epochs": 1, "lr": 0.01, "threads": 1}
    arch = archspec.loads(SPEC + json.dumps(right))
    trained = archspec.train(arch, run=tmp_path / "run", memory_format="contiguous", **quick)
    assert len(trained.history) == 1
    assert "stretch: 2.0  # length of a step" in (tmp_path / "run" / "config.yaml").read_text()


def test_a_schedule_is_one_class(halving, tmp_path, capsys):
    recipe = Recipe(schedule="halving", halvings=2, lr=0.8, epochs=4)
    assert [learning_rate(recipe, step, 1) for step in range(4)] == [0.8, 0.4, 0.2, 0.2]
    assert is_valid(schema(capsys), {"schedule": "halving", "halvings": 2})
    status, said = checked(tmp_path, capsys, "{schedule: cosine, halvings: 2}")
    assert status == 1 and "`halvings` belongs to halving; cosine has `final_lr`" in said
    assert fields()["schedule"].words[-1] == "halving"


def test_a_data_set_is_one_function(monkeypatch, capsys):
    registry.names()
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))

    @register("stamps", {"epochs": 7})
    def stamps(root):
        """Stamps."""

    found = schema(capsys)["properties"]["train"]["properties"]["dataset"]
    assert "stamps" in found["anyOf"][0]["enum"]
    mine = RecipeLayer({"dataset": "mnist", "epochs": 3})
    options = option_layer([(fields()["dataset"], "stamps")])
    assert resolve(layers_for(mine, None, options)).epochs == 7


def test_an_entry_has_a_name_of_its_own():
    with pytest.raises(ValueError, match="there is an entry 'sgd' already"):

        class Another(UpdateRule, name="sgd"):
            """Has a name that is taken."""


def test_postponed_annotations_are_refused_where_they_stand():
    with pytest.raises((TypeError, RuntimeError)) as caught:

        class Late(UpdateRule):
            rate: "Positive" = setting(1.0, "a rate", "R")

    cause = caught.value.__cause__ or caught.value  # Python 3.11 wraps what `__set_name__` raises
    assert str(cause) == "`rate`: leave out `from __future__ import annotations` here"


def test_a_name_means_the_same_wherever_it_is_declared():
    found = {}
    for own in (Recipe.own, *(each.own for each in entries())):
        for name, each in own.items():
            said = (each.annotation, each.default, each.doc, each.metavar)
            assert found.setdefault(name, said) == said, name


def entries() -> list[type[Choice]]:
    return [*UpdateRule.entries.values(), *Schedule.entries.values()]


def test_another_optimiser_leaves_out_what_belonged_to_the_one_before():
    own = RecipeLayer({"optimizer": "sgd", "momentum": 0.9, "nesterov": True, "schedule": "step"})
    for chosen, momentum in (("adam", None), ("rmsprop", 0.9), ("sgd", 0.9)):
        recipe = resolve([own, RecipeLayer({"optimizer": chosen})])
        assert recipe.optimizer == chosen
        assert recipe.nesterov is (chosen == "sgd")
        assert recipe.momentum == (momentum or 0.0)
    # What a layer says itself stays, and is refused where it does not belong.
    with pytest.raises(archspec.SpecError, match="`nesterov` belongs to sgd"):
        resolve([own, RecipeLayer({"optimizer": "adam", "nesterov": True})])


def test_a_spec_may_extend_one_of_another_optimiser(tmp_path, capsys):
    (tmp_path / "base.yaml").write_text(SPEC + "{optimizer: sgd, momentum: 0.9, lr: 0.5}\n")
    (tmp_path / "child.yaml").write_text("extends: base.yaml\ntrain: {optimizer: adam}\n")
    assert archspec.load(tmp_path / "child.yaml").recipe == {"optimizer": "adam", "lr": 0.5}
    assert main(["check", str(tmp_path / "child.yaml")]) == 0

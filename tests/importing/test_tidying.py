"""Numbers of an imported spec that get a name."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import archspec
from archspec.diagnostics.diagnostic import SpecError


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 12), nn.ReLU(), nn.Linear(12, 3), nn.Dropout(0.3))


def imported(**options):
    torch.manual_seed(0)
    return archspec.from_module(net(), torch.zeros(2, 3), **options)


@pytest.mark.parametrize("flat", [False, True])
def test_a_number_becomes_a_parameter_where_it_stands(flat):
    arch = imported(params={"width": 12, "p": 0.3}, flat=flat)
    assert arch.params["width"] == 12
    assert arch.params["p"] == 0.3
    wider = arch.variant({"width": 20, "p": 0.5}).build()
    assert wider.get_submodule("0").out_features == 20
    assert wider.get_submodule("3").p == 0.5


def test_an_argument_of_that_name_is_the_only_place():
    module = nn.Sequential(nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 5, padding=2))
    images = torch.zeros(2, 3, 8, 8)
    arch = archspec.from_module(module, images, params={"kernel_size": 3})
    assert "kernel_size: kernel_size" in arch.source.text
    assert "out_channels: 3" in arch.source.text
    arch = archspec.from_module(module, images, params={"width": 3})
    assert arch.source.text.count("out_channels: width") == 2
    assert "kernel_size: 3" in arch.source.text


def test_a_member_of_a_list_becomes_the_parameter():
    layers = [nn.Linear(5, 8), nn.Linear(8, 16), nn.Linear(16, 32)]
    arch = archspec.from_module(nn.Sequential(*layers), torch.zeros(2, 5), params={"last": 32})
    assert arch.variant({"last": 7}).output_shape == ("N", 7)
    assert arch.variant({"last": 7}).build().get_submodule("1").out_features == 16


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"width": 13}, "no number of the spec is 13, so 'width' names nothing"),
        ({"width": 12.0}, "no number of the spec is 12.0"),
        ({"width": "12"}, "`params` of an import are numbers with names, and width is '12'"),
        ({"width": True}, "and width is True"),
        ({"in_features": 12}, "'in_features' is a name of the language"),
        ({"two words": 12}, "'two words'"),
    ],
)
def test_what_names_nothing_is_refused(params, said):
    with pytest.raises(SpecError, match=said):
        imported(params=params)

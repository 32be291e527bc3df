import pytest
import torch

import archspec
from archspec.diagnostics.diagnostic import Refusal
from archspec.ir.fields import ArgumentsError
from archspec.ir.infer import infer
from archspec.ir.op import REGISTRY
from archspec.ir.shape import N

IMAGENET_TO_UNIT = """\
archspec: 1
name: one
input: [3, 6, 7]
layers:
  - imagenet_to_unit
"""


def test_imagenet_to_unit_is_torchvisions_transform_input():
    inception = pytest.importorskip("torchvision.models.inception")
    with torch.device("meta"):
        reference = inception.Inception3(transform_input=True, init_weights=False)
    images = torch.randn(2, 3, 6, 7)
    found = archspec.loads(IMAGENET_TO_UNIT).build()(images)
    assert torch.equal(found, reference._transform_input(images))
    assert not torch.equal(found, images)


def test_imagenet_to_unit_changes_one_normalisation_for_the_other():
    pixels = torch.rand(2, 3, 6, 7)
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 3, 1, 1)
    found = archspec.loads(IMAGENET_TO_UNIT).build()((pixels - mean) / std)
    assert torch.allclose(found, 2 * pixels - 1, atol=1e-6)


@pytest.mark.parametrize(
    ("args", "shape"),
    [
        ({"scale": (1.0, 2.0), "shift": (0.0, 0.0)}, (N, 3, 4)),
        ({"scale": (1.0, 2.0, 3.0), "shift": (0.0, 0.0)}, (N, 3, 4)),
        ({"scale": (1.0,), "shift": (0.0,)}, (N,)),
    ],
)
def test_refuses_another_number_of_channels(args, shape):
    with pytest.raises(Refusal):
        infer(REGISTRY["rescale"](**args), [shape])


@pytest.mark.parametrize(
    "args", [{}, {"scale": (), "shift": ()}, {"scale": (float("nan"),), "shift": (0.0,)}]
)
def test_schema_refuses_what_are_no_constants(args):
    with pytest.raises(ArgumentsError):
        REGISTRY["rescale"](**args)

import pytest
import torch
import torch.fx
from torch import nn
from torch.nn import functional as F  # noqa: N812

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.infer import infer
from archspec.ir.op import REGISTRY
from archspec.ir.shape import N
from archspec.ir.tape import Tape
from archspec.runtime.modules import LayerNormOver, RowMajorLocalResponseNorm
from archspec.testing import contract as testing


def make(name, **args):
    return REGISTRY[name](**args)


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("batch_norm", (N, 4), nn.BatchNorm1d),
        ("batch_norm", (N, 4, 5), nn.BatchNorm1d),
        ("batch_norm", (N, 4, 5, 6), nn.BatchNorm2d),
        ("batch_norm", (N, 4, 5, 6, 2), nn.BatchNorm3d),
        ("instance_norm", (N, 4, 5), nn.InstanceNorm1d),
        ("instance_norm", (N, 4, 5, 6), nn.InstanceNorm2d),
        ("instance_norm", (N, 4, 5, 6, 2), nn.InstanceNorm3d),
        ("layer_norm", (N, 4, 5), nn.LayerNorm),
    ],
)
def test_rank_chooses_torchs_class(name, shape, expected):
    op = make(name)
    assert infer(op, [shape]) == (shape,)
    assert type(op.build(shape)) is expected


def test_arguments_reach_torchs_module():
    args = {"eps": 0.5, "momentum": 0.25, "affine": False, "track_running_stats": True}
    for name, torchs in (("batch_norm", nn.BatchNorm2d), ("instance_norm", nn.InstanceNorm2d)):
        assert repr(make(name, **args).build((N, 4, 5, 6))) == repr(torchs(4, **args))
    args = {"eps": 0.5, "affine": False}
    built = make("group_norm", num_groups=2, **args).build((N, 4, 5))
    assert repr(built) == repr(nn.GroupNorm(2, 4, **args))
    built = make("layer_norm", axes=(2, -1), eps=0.5, bias=False).build((N, 4, 5, 6))
    assert repr(built) == repr(nn.LayerNorm((5, 6), eps=0.5, bias=False))
    built = make("local_response_norm", size=3, alpha=0.1, beta=0.2, k=3).build((N, 4, 5))
    assert repr(built) == repr(nn.LocalResponseNorm(3, 0.1, 0.2, 3.0))


@pytest.mark.parametrize(
    ("name", "args", "shape", "torchs", "error"),
    [
        ("batch_norm", {}, (N,), lambda: nn.BatchNorm1d(2), ValueError),
        ("batch_norm", {}, (N, 2, 3, 4, 5, 6), lambda: nn.BatchNorm3d(2), ValueError),
        ("instance_norm", {}, (N, 2, 1, 1), lambda: nn.InstanceNorm2d(2), ValueError),
        (
            "instance_norm",
            {"track_running_stats": True},
            (N, 2, 1),
            lambda: nn.InstanceNorm1d(2, track_running_stats=True),
            ValueError,
        ),
        ("group_norm", {"num_groups": 3}, (N, 4, 5), lambda: nn.GroupNorm(3, 4), ValueError),
        ("group_norm", {"num_groups": 1}, (N,), lambda: nn.GroupNorm(1, 2), RuntimeError),
        ("local_response_norm", {"size": 2}, (N, 4), lambda: nn.LocalResponseNorm(2), ValueError),
    ],
)
def test_refused_where_torch_fails(name, args, shape, torchs, error):
    with pytest.raises(Refusal):
        infer(make(name, **args), [shape])
    for batch in (2, 3, 5):
        with pytest.raises(error):
            torchs().train()(torch.randn([batch if dim is N else dim for dim in shape]))


def test_instance_norm_refuses_2d_input_which_torch_reads_as_one_sample():
    with pytest.raises(Refusal) as refused:
        infer(make("instance_norm"), [(N, 4)])
    assert refused.value.code is Code.UNBATCHED
    x = torch.randn(3, 4)
    with pytest.warns(UserWarning, match="match num_features"):
        assert torch.allclose(nn.InstanceNorm1d(4)(x).mean(dim=1), torch.zeros(3), atol=1e-6)


@pytest.mark.parametrize("name", ["batch_norm", "batch_norm_scratch"])
def test_one_value_per_channel_is_enough_for_any_batch_of_two(name):
    shape = (N, 3, 1, 1)
    assert infer(make(name), [shape]) == (shape,)
    assert make(name).build(shape).train()(torch.randn(2, 3, 1, 1)).isfinite().all()


def test_layer_norm_over_channels_is_convnexts():
    shape = (N, 6, 4, 5)
    op = make("layer_norm", axes=(1,), eps=1e-6)
    assert [(w.name, w.shape) for w in op.weights(shape)] == [("weight", (6,)), ("bias", (6,))]
    module = op.build(shape)
    assert isinstance(module, LayerNormOver)
    assert repr(module).startswith("LayerNormOver(axes=(1,), (6,), eps=1e-06")
    with torch.no_grad():
        module.weight.uniform_()
        module.bias.uniform_()
    x = torch.randn(2, 6, 4, 5)
    expected = F.layer_norm(x.permute(0, 2, 3, 1), (6,), module.weight, module.bias, 1e-6)
    assert torch.equal(module(x), expected.permute(0, 3, 1, 2))


@pytest.mark.parametrize("axes", [(1, 3), (-1, 1), (2,), (1, 2, 3), (3,)])
def test_layer_norm_over_any_axes(axes):
    module = make("layer_norm", axes=axes).build((N, 2, 3, 4))
    x = torch.randn(5, 2, 3, 4)
    mean = x.mean(dim=axes, keepdim=True)
    variance = x.var(dim=axes, keepdim=True, unbiased=False)
    assert torch.allclose(module(x), (x - mean) / (variance + 1e-5).sqrt(), atol=1e-5)


@pytest.mark.parametrize(
    ("axes", "code"),
    [
        ((0,), Code.MIXES_BATCH),
        ((-3, 2), Code.MIXES_BATCH),
        ((3,), Code.RANK),
        ((1, -2), Code.SHAPE),
    ],
)
def test_layer_norm_refuses_axes(axes, code):
    with pytest.raises(Refusal) as refused:
        infer(make("layer_norm", axes=axes), [(N, 4, 5)])
    assert refused.value.code is code


def test_local_response_norm_runs_on_any_layout():
    shape = (N, 4, 2, 5, 3)
    module = make("local_response_norm", size=3).build(shape)
    assert isinstance(module, RowMajorLocalResponseNorm)
    x = torch.randn(2, 4, 3, 5, 2).permute(0, 1, 4, 3, 2)
    with pytest.raises(RuntimeError, match="view"):
        nn.LocalResponseNorm(3)(x)
    expected = nn.LocalResponseNorm(3)(x.contiguous())
    for each in (module, torch.jit.script(module), torch.fx.symbolic_trace(module)):
        assert torch.equal(each(x), expected)


@pytest.mark.parametrize(
    ("name", "args", "training", "expected"),
    [
        # 2 x 4 x 3 x 5 floats of input are 480 bytes; mean and deviation are 4 floats each.
        ("batch_norm", {}, True, 480 + 2 * 16),
        ("batch_norm", {}, False, 480),
        ("batch_norm", {"track_running_stats": False}, False, 480 + 2 * 16),
        # For each of 2 * 4 rows.
        ("instance_norm", {}, False, 480 + 2 * 32),
        ("instance_norm", {"affine": True, "track_running_stats": True}, True, 480 + 5 * 32),
        ("group_norm", {"num_groups": 2}, True, 480 + 2 * 16),
        ("layer_norm", {}, True, 480 + 2 * 96),
        ("layer_norm", {"axes": (1,)}, False, 480 + 2 * 120),
        # The input, the padded squares of 6 channels, the base and the power.
        ("local_response_norm", {"size": 3}, True, 480 + 720 + 480 + 480),
    ],
)
def test_saved_bytes(name, args, training, expected):
    tape = Tape(training=training)
    x = tape.new((2, 4, 3, 5), requires_grad=True)
    make(name, **args).record(tape, x)
    assert tape.saved_bytes == expected


def test_nothing_is_saved_where_nothing_learns():
    for name, args in (
        ("batch_norm", {"affine": False}),
        ("instance_norm", {}),
        ("group_norm", {"num_groups": 1, "affine": False}),
        ("layer_norm", {"elementwise_affine": False}),
        ("local_response_norm", {"size": 2}),
    ):
        tape = Tape()
        make(name, **args).record(tape, tape.new((2, 4, 3, 5), requires_grad=False))
        assert tape.saved_bytes == 0


@pytest.mark.parametrize("axes", [(-1,), (1,), (1, 3), (2, -1)])
def test_rms_norm_divides_by_the_root_of_the_mean_square(axes):
    x = torch.randn(2, 3, 4, 5)
    module = REGISTRY["rms_norm"](axes=axes, eps=0.25).build((N, 3, 4, 5))
    sizes = [x.shape[dim] for dim in sorted(dim % 4 for dim in axes)]
    assert module.weight.shape == tuple(sizes)
    with torch.no_grad():
        module.weight.copy_(torch.randn(sizes))
    shape = [size if dim in {a % 4 for a in axes} else 1 for dim, size in enumerate(x.shape)]
    expected = x / (x.square().mean(axes, keepdim=True) + 0.25).sqrt()
    torch.testing.assert_close(module(x), expected * module.weight.reshape(shape))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("axes", "shape"),
    [((1,), (N, 3, 4, 1)), ((1,), (N, 3, 1, 4)), ((2,), (N, 2, 1, 3)), ((1, 2), (N, 1, 2, 3))],
)
def test_rms_norm_lays_out_its_result_as_torch_does(axes, shape, dtype):
    call = testing.OpCase(REGISTRY["rms_norm"](axes=axes), (shape,))
    layouts = ("row-major", "channels-last", "part")
    assert testing.check_call(call, layouts=layouts, dtype=dtype)

import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.functional import scaled_dot_product_attention

from archspec.runtime.measure import counting_macs, measure_macs, measure_saved_bytes


def test_saved_bytes_count_storages_once_and_leave_out_what_the_module_owns():
    layer = nn.Linear(3, 5)
    x = torch.randn(2, 3)

    def run() -> torch.Tensor:
        y = layer(x).sigmoid()  # saves x, 24 bytes, and the sigmoid's output, 40 bytes
        return y.view(5, 2) * y.view(5, 2)  # the same output again, in two views

    assert measure_saved_bytes(run, layer.parameters())[1] == 64
    assert measure_saved_bytes(run, [])[1] == 64  # the transposed weight is needed for no gradient
    x.requires_grad_()
    assert measure_saved_bytes(run, [])[1] == 64 + 60
    assert measure_saved_bytes(run, layer.parameters())[1] == 64


def test_a_view_keeps_its_whole_storage():
    weight = torch.ones(4, requires_grad=True)
    x = torch.randn(10, 4)
    assert measure_saved_bytes(lambda: x[0] * weight, [weight])[1] == 160


def test_what_is_measured_is_freed_and_its_gradients_are_right():
    x = torch.randn(4, requires_grad=True)
    result, _ = measure_saved_bytes(lambda: x.sigmoid() * 1, [])
    result.sum().backward()
    s = x.detach().sigmoid()
    torch.testing.assert_close(x.grad, s * (1 - s))
    result, _ = measure_saved_bytes(lambda: x.sigmoid(), [])
    storage = StorageWeakRef(result.untyped_storage())
    assert not storage.expired()
    del result
    assert storage.expired()


def test_macs_of_products_convolutions_and_attention():
    x = torch.randn(2, 3)
    assert measure_macs(lambda: nn.Linear(3, 5)(x)) == 2 * 3 * 5
    assert measure_macs(lambda: nn.Conv2d(2, 4, 3)(torch.randn(1, 2, 5, 6))) == 4 * 2 * 9 * 3 * 4
    with torch.no_grad():  # where the counter, left to itself, reports 0
        q = torch.randn(2, 1, 7, 4)
        assert measure_macs(lambda: scaled_dot_product_attention(q, q, q)) == 2 * 2 * 7 * 7 * 4
    assert measure_macs(lambda: x + x) == 0


def test_the_count_can_be_read_while_it_grows():
    a = torch.randn(2, 2)
    with counting_macs() as count:
        assert count() == 0
        a = a @ a
        assert count() == 8
        a @ a
        assert count() == 16

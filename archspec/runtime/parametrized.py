"""Modules that compute a weight of other parameters, as torch's weight norm and spectral norm do.

With the keys of today they are torch's own `parametrize`, made so that pickle can write them. With
the keys of before it, a subclass computes the weight when it is asked for: no hook is needed, and
no tensor is left on the module that it could neither copy nor write.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (the name that all torch code uses)
from torch.nn.utils import parametrizations, parametrize

WHOLE = -1
"""What torch's kernel takes for the norm of a whole weight."""


def weight_norm(module: nn.Module, name: str, dim: int | None, keys: str) -> None:
    """Learns the norms of a weight apart from its direction."""
    holder, name = _holder(module, name)
    if keys == "new":
        parametrize.register_parametrization(holder, name, WeightNorm(dim), unsafe=True)
        _let_pickle(holder)
        return
    weight: Tensor = holder._parameters.pop(name)  # type: ignore[assignment]
    norm = OldWeightNorm(name, WHOLE if dim is None else dim)
    for end, value in (("_g", torch.norm_except_dim(weight, 2, norm.dim)), ("_v", weight)):
        made = nn.Parameter(value.detach(), requires_grad=weight.requires_grad)
        holder.register_parameter(name + end, made)
    _compute(holder, name, norm)


def spectral_norm(
    module: nn.Module, name: str, n_power_iterations: int, eps: float, dim: int, keys: str
) -> None:
    """Divides a weight by its largest singular value."""
    holder, name = _holder(module, name)
    if keys == "new":
        parametrizations.spectral_norm(holder, name, n_power_iterations, eps, dim)
        _let_pickle(holder)
        return
    weight = holder._parameters.pop(name)
    assert weight is not None
    norm = OldSpectralNorm(name, n_power_iterations, eps, dim)
    holder.register_parameter(f"{name}_orig", weight)
    with torch.no_grad():
        for end, size in zip("uv", norm.matrix(weight).shape, strict=True):
            drawn = weight.new_empty(size).normal_(0, 1)
            holder.register_buffer(f"{name}_{end}", F.normalize(drawn, dim=0, eps=eps))
    _compute(holder, name, norm)


def _holder(module: nn.Module, name: str) -> tuple[nn.Module, str]:
    """The module that has the weight itself, and its name there."""
    path, _, last = name.rpartition(".")
    return module.get_submodule(path), last


# torch's own keys ---------------------------------------------------------------------------------


class WeightNorm(nn.Module):
    """torch's weight norm for `parametrize`."""

    def __init__(self, dim: int | None) -> None:
        super().__init__()
        self.dim = WHOLE if dim is None else dim

    def forward(self, magnitude: Tensor, direction: Tensor) -> Tensor:
        return torch._weight_norm(direction, magnitude, self.dim)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return torch.norm_except_dim(weight, 2, self.dim), weight

    def extra_repr(self) -> str:
        return f"dim={None if self.dim == WHOLE else self.dim}"


def _let_pickle(module: nn.Module) -> None:
    """Lets pickle and copy make the class again that torch made for this module alone."""
    cls: Any = type(module)
    cls.__reduce_ex__ = _reduced
    if "__deepcopy__" in vars(cls):
        del cls.__deepcopy__


def _reduced(module: nn.Module, protocol: Any) -> tuple[Any, ...]:
    names = tuple(module.parametrizations)  # type: ignore[arg-type]
    base = type(module).__bases__[0]
    if issubclass(base, Computing):  # it has weights of both kinds
        return _restored, (base.__bases__[1], names, True), _state(module)
    return _restored, (base, names), _state(module)


def _restored(base: type[nn.Module], names: tuple[str, ...], computes: bool = False) -> nn.Module:
    module = _computing(base) if computes else base.__new__(base)
    nn.Module.__init__(module)
    for name in names:
        module.register_parameter(name, nn.Parameter(torch.empty(0)))
        parametrize.register_parametrization(module, name, nn.Identity())
    _let_pickle(module)
    return module


def _state(module: nn.Module) -> dict[str, Any]:
    """What a module holds. Of computed weights, which recurrent layers keep, the values alone."""
    state = dict(vars(module))
    state.pop("_flat_weight_refs", None)
    if "_flat_weights" in state:
        kept = state["_flat_weights"]
        state["_flat_weights"] = [w if isinstance(w, nn.Parameter) else w.detach() for w in kept]
    return state


# the keys before that -----------------------------------------------------------------------------


class OldWeightNorm:
    """Computes a weight of `weight_g` and `weight_v`."""

    def __init__(self, name: str, dim: int) -> None:
        self.name, self.dim = name, dim

    def __call__(self, module: nn.Module) -> Tensor:
        magnitude: Tensor = getattr(module, f"{self.name}_g")
        return torch._weight_norm(getattr(module, f"{self.name}_v"), magnitude, self.dim)


class OldSpectralNorm:
    """Computes a weight of `weight_orig`, with the vectors `weight_u` and `weight_v`."""

    def __init__(self, name: str, n_power_iterations: int, eps: float, dim: int) -> None:
        self.name, self.dim = name, dim
        self.n_power_iterations, self.eps = n_power_iterations, eps

    def matrix(self, weight: Tensor) -> Tensor:
        """The weight with a row for each index of `dim`."""
        return weight.movedim(self.dim, 0).flatten(1)

    def __call__(self, module: nn.Module) -> Tensor:
        weight, u, v = (getattr(module, f"{self.name}_{end}") for end in ("orig", "u", "v"))
        matrix = self.matrix(weight)
        if module.training:
            with torch.no_grad():
                for _ in range(self.n_power_iterations):
                    v = F.normalize(torch.mv(matrix.t(), u), dim=0, eps=self.eps, out=v)
                    u = F.normalize(torch.mv(matrix, v), dim=0, eps=self.eps, out=u)
            # Copies: a second pass before the backward pass of the first changes the vectors.
            u, v = u.clone(), v.clone()
        sigma = torch.dot(u, torch.mv(matrix, v))
        return weight / sigma  # type: ignore[no-any-return]


class Computing(nn.Module):
    """A module some of whose weights are computed when they are asked for."""

    weights_of: dict[str, Callable[[nn.Module], Tensor]]

    def __getattr__(self, name: str) -> Any:
        compute = vars(self).get("weights_of", {}).get(name)
        return super().__getattr__(name) if compute is None else compute(self)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _computing, (type(self).__bases__[1],), _state(self)


def _compute(module: nn.Module, name: str, compute: Callable[[nn.Module], Tensor]) -> None:
    if not isinstance(module, Computing):
        module.__class__ = _class_over(type(module))  # type: ignore[arg-type]
        vars(module)["weights_of"] = {}
    vars(module)["weights_of"][name] = compute


@cache
def _class_over(base: type[nn.Module]) -> type[nn.Module]:
    return type(f"Parametrized{base.__name__}", (Computing, base), {})


def _computing(base: type[nn.Module]) -> nn.Module:
    cls = _class_over(base)  # type: ignore[arg-type]
    return cls.__new__(cls)

"""The optimisers. One class adds one, with the fields that belong to it.

They call the functions of `torch.optim`, not its classes: the first object of such a class makes
torch import its compiler, which takes as long as importing torch itself.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from archspec.recipe.settings import Choice, Fraction, NotNegative, Positive, setting
from archspec.record import Record

if TYPE_CHECKING:
    from torch import Tensor


class ParameterGroup(Record):
    """Parameters that are updated together, at one learning rate and weight decay.

    `state` has a list for each name of `UpdateRule.fresh`. `lr` may be a tensor where the kernels
    are fused. `kernel` has further arguments of fused
    kernels, and is empty for others.
    """

    parameters: list["Tensor"]
    gradients: list["Tensor"]
    state: Mapping[str, list["Tensor"]]
    lr: "float | Tensor"
    weight_decay: float
    kernel: Mapping[str, Any]


class UpdateRule(Choice):
    """An optimiser: the state of a parameter, and one update of many parameters."""

    entries: ClassVar[dict[str, Any]] = {}
    is_fused: ClassVar[bool] = True
    """Whether its kernel is fused, and can itself leave out a step whose `found_inf` is 1."""

    @abstractmethod
    def fresh(self, parameter: "Tensor") -> dict[str, "Tensor"]:
        """The state of a parameter before the first step."""

    @abstractmethod
    def update(self, group: ParameterGroup) -> None:
        """One step of a group: changes its parameters and their state in place."""


class SGD(UpdateRule, name="sgd"):
    """Stochastic gradient descent."""

    momentum: Fraction = setting(0.0, "momentum", "M")
    nesterov: bool = setting(False, "Nesterov's momentum")

    def conflict(self, recipe: Any) -> str | None:
        needless = self.nesterov and not self.momentum
        return "`nesterov` needs a `momentum` above 0" if needless else None

    def fresh(self, parameter: "Tensor") -> dict[str, "Tensor"]:
        import torch

        # Zeros, and not torch's None: the first step gives the same bits, and may be skipped.
        return {"momentum": torch.zeros_like(parameter)} if self.momentum else {}

    def update(self, group: ParameterGroup) -> None:
        from torch.optim.sgd import sgd

        buffers: list[Any] = [None] * len(group.parameters)
        sgd(
            group.parameters,
            group.gradients,
            group.state.get("momentum", buffers),
            lr=group.lr,
            weight_decay=group.weight_decay,
            momentum=self.momentum,
            dampening=0.0,
            nesterov=self.nesterov,
            maximize=False,
            **group.kernel,
        )


class Adam(UpdateRule, name="adam"):
    """Adam (Kingma and Ba, arXiv 1412.6980)."""

    betas: tuple[Fraction, Fraction] = setting((0.9, 0.999), "decays of the averages", "BETAS")
    eps: Positive = setting(1e-8, "the term that keeps from dividing by 0", "EPS")
    is_decoupled: ClassVar[bool] = False
    """Whether weights decay by themselves, and not by way of the gradient."""

    def fresh(self, parameter: "Tensor") -> dict[str, "Tensor"]:
        import torch

        return {
            "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
            "average": torch.zeros_like(parameter),
            "square": torch.zeros_like(parameter),
        }

    def update(self, group: ParameterGroup) -> None:
        from torch.optim.adam import adam

        adam(
            group.parameters,
            group.gradients,
            group.state["average"],
            group.state["square"],
            [],
            group.state["step"],
            decoupled_weight_decay=self.is_decoupled,
            amsgrad=False,
            beta1=self.betas[0],
            beta2=self.betas[1],
            lr=group.lr,
            weight_decay=group.weight_decay,
            eps=self.eps,
            maximize=False,
            **group.kernel,
        )


class AdamW(Adam, name="adamw"):
    """Adam with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101)."""

    is_decoupled = True


class NAdam(Adam, name="nadam"):
    """Adam with Nesterov's momentum (Dozat, 2016)."""

    momentum_decay: NotNegative = setting(0.004, "decay of the momentum", "D")
    is_fused = False

    def fresh(self, parameter: "Tensor") -> dict[str, "Tensor"]:
        import torch

        # torch reads these numbers on the CPU, wherever the parameter is.
        numbers = {"step": torch.zeros, "product": torch.ones}
        made = {name: make((), dtype=torch.float32) for name, make in numbers.items()}
        return super().fresh(parameter) | made

    def update(self, group: ParameterGroup) -> None:
        from torch.optim.nadam import nadam

        nadam(
            group.parameters,
            group.gradients,
            group.state["average"],
            group.state["square"],
            group.state["product"],
            group.state["step"],
            beta1=self.betas[0],
            beta2=self.betas[1],
            lr=group.lr,
            weight_decay=group.weight_decay,
            momentum_decay=self.momentum_decay,
            eps=self.eps,
        )


class RMSprop(UpdateRule, name="rmsprop"):
    """Gradients over a running root of their mean square (Tieleman and Hinton, 2012)."""

    momentum: Fraction = setting(0.0, "momentum", "M")
    alpha: Fraction = setting(0.99, "decay of the mean square", "A")
    eps: Positive = setting(1e-8, "the term that keeps from dividing by 0", "EPS")
    centered: bool = setting(False, "divide by the deviation, not by the root mean square")
    is_fused = False

    def fresh(self, parameter: "Tensor") -> dict[str, "Tensor"]:
        import torch

        names = ["square", *["average"] * self.centered, *["momentum"] * bool(self.momentum)]
        step = {"step": torch.zeros((), dtype=torch.float32)}
        return step | {name: torch.zeros_like(parameter) for name in names}

    def update(self, group: ParameterGroup) -> None:
        from torch.optim.rmsprop import rmsprop

        rmsprop(
            group.parameters,
            group.gradients,
            group.state["square"],
            group.state.get("average", []),
            group.state.get("momentum", []),
            group.state["step"],
            lr=group.lr,
            alpha=self.alpha,
            eps=self.eps,
            weight_decay=group.weight_decay,
            momentum=self.momentum,
            centered=self.centered,
        )

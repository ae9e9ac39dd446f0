"""Optimizers of torch that minimize the loss of a closure with `scipy.optimize.minimize`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, NoReturn

import torch
from torch import Tensor

from kerastorch.optimizers.flat_objective import FlatObjective, Vector

LARGEST_MATRIX = 2**30  # bytes of the matrix of BFGS: about 11,500 weights
_MATRIX = "inverse_hessian"


class ScipyMinimizer(torch.optim.Optimizer):
    """Base of the optimizers whose step is a minimization by SciPy.

    All parameter groups form one vector. Frozen parameters (`requires_grad=False`) are left out; a parameter without a
    gradient stays as it is. After a step, or an error within it, the weights are the best ones found.

    Args:
        params: Parameters, `(name, parameter)` pairs, or dicts of parameter groups.
        max_iter: Largest number of iterations of a step.
        tolerance: At which the minimization ends, by the name of the setting.

    Attributes:
        result: SciPy's account of the last step: `nit` iterations, `nfev` calls of the closure, and a `message`.
        minimizes_each_batch: Tells `fit` that a step brings the loss of one batch near its minimum.
    """

    method: ClassVar[str]
    tolerance_name: ClassVar[str]  # of the setting
    option: ClassVar[str]  # of SciPy, which the tolerance is
    minimizes_each_batch = True
    result: Any = None

    def __init__(self, params: Iterable[Any], max_iter: int, tolerance: float) -> None:
        super().__init__(params, {"max_iter": max_iter, self.tolerance_name: tolerance})
        first = self.param_groups[0]
        for name in self.defaults:
            if any(group[name] != first[name] for group in self.param_groups):
                raise ValueError(f"{self._name}: {name} must be the same in all groups, which are minimized together.")
        for weight in self._weights():
            if not weight.is_floating_point():
                raise TypeError(f"{self._name} needs parameters of real numbers, got one of {weight.dtype}.")

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _weights(self) -> list[Tensor]:
        return [weight for group in self.param_groups for weight in group["params"]]

    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]  # the closure is required
        """Minimize the loss of a closure, in at most `max_iter` iterations.

        Args:
            closure: Clears the gradients, computes the loss and its gradients, and returns the loss. It must return the
                same loss for the same weights: dropout and other random parts make line searches fail.

        Returns:
            What the closure returned first: the loss before the step.

        Raises:
            ValueError: The loss or its gradient is not finite at the weights that the step begins with.
        """
        from scipy.optimize import minimize  # imported when it is used: the import takes longer than a small training

        objective = FlatObjective(self._name, self._weights(), closure)
        if not objective.best.size:
            raise ValueError(f"{self._name} has no trainable parameters: all have requires_grad=False.")
        first = self.param_groups[0]
        options = {"maxiter": first["max_iter"], self.option: first[self.tolerance_name]}
        final = None
        try:
            result = self.result = minimize(
                objective,
                objective.weights(),
                jac=True,
                method=self.method,
                options=options | self._more_options(objective.best.size),
                **self._more_arguments(objective),
            )
            result.nfev = result.njev = objective.n_evaluations
            if result.status in (0, 1):  # the minimization has converged, or has used its iterations
                final = result.x
            self._keep(result, has_succeeded=final is not None)
        finally:
            objective.set_weights(objective.best if final is None else final)
        return objective.first_loss

    def _more_options(self, size: int) -> dict[str, Any]:
        """Return further options of the method, for a vector of this size."""
        return {}

    def _more_arguments(self, objective: FlatObjective) -> dict[str, Any]:
        """Return further arguments of `minimize`."""
        return {}

    def _keep(self, result: Any, *, has_succeeded: bool) -> None:
        """Store what the next step begins with."""

    @property
    def learning_rate(self) -> NoReturn:
        """Raise an error: a line search finds the length of each step."""
        raise AttributeError(self._no_rate)

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        raise AttributeError(self._no_rate)

    @property
    def lr(self) -> NoReturn:
        """Raise an error: a line search finds the length of each step."""
        raise AttributeError(self._no_rate)

    @lr.setter
    def lr(self, value: Any) -> None:
        raise AttributeError(self._no_rate)

    @property
    def _no_rate(self) -> str:
        return f"{self._name} has no learning rate: a line search finds the length of each step."


class ConjugateGradient(ScipyMinimizer):
    """Nonlinear conjugate gradients, the method `'CG'` of SciPy."""

    method, tolerance_name, option = "CG", "tolerance_grad", "gtol"


class BFGS(ScipyMinimizer):
    """BFGS, the method `'BFGS'` of SciPy; the next step continues with the matrix of the last one."""

    method, tolerance_name, option = "BFGS", "tolerance_grad", "gtol"

    def _more_options(self, size: int) -> dict[str, Any]:
        if size * size * 8 > LARGEST_MATRIX:
            raise ValueError(
                f"BFGS stores a matrix of {size:,} x {size:,} numbers for {size:,} trainable weights, "
                f"{size * size * 8 / 2**30:,.1f} GiB. Use 'lbfgs', which stores a few vectors instead."
            )
        matrix = self.state.get(self._weights()[0], {}).get(_MATRIX)
        if matrix is None or matrix.shape != (size, size):  # the second case: weights were frozen or unfrozen
            return {}
        return {"hess_inv0": matrix.cpu().numpy()}

    def _keep(self, result: Any, *, has_succeeded: bool) -> None:
        if has_succeeded and not result.nit:
            return  # the step began at the minimum, and the matrix is that of the last one
        self.state.clear()  # after a line search that failed, the next step begins along the gradient
        matrix = _positive_definite(result.hess_inv) if has_succeeded else None
        if matrix is not None:
            self.state[self._weights()[0]] = {_MATRIX: torch.from_numpy(matrix)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore a state; the matrix stays in float64, where torch would cast it to the dtype of the weights."""
        super().load_state_dict(dict(state_dict))
        matrix = state_dict["state"].get(0, {}).get(_MATRIX)
        if matrix is not None:
            self.state[self._weights()[0]][_MATRIX] = matrix.detach().clone()


class NewtonCG(ScipyMinimizer):
    """Newton's method with conjugate gradients for each direction, the method `'Newton-CG'` of SciPy."""

    method, tolerance_name, option = "Newton-CG", "tolerance_change", "xtol"

    def _more_arguments(self, objective: FlatObjective) -> dict[str, Any]:
        return {"hessp": objective.hessian_times}


def _positive_definite(matrix: Vector) -> Vector | None:
    """Return the symmetric part of a matrix, which rounding makes unsymmetric; `None` if it is not positive definite.

    The check is that of SciPy, which raises an error for another matrix.
    """
    from scipy.linalg import LinAlgError, cholesky

    symmetric: Vector = (matrix + matrix.T) / 2
    try:
        cholesky(symmetric)
    except LinAlgError:
        return None
    return symmetric

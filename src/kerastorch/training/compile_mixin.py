"""CompileMixin: `compile`, and what a compiled model knows: its optimizer and the names of its metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from kerastorch import optimizers
from kerastorch.core.errors import mismatch, warn
from kerastorch.core.overridable_property import overridable_property
from kerastorch.core.traceback_filter import public_api
from kerastorch.data.prepared_batches import check_prepare_batch
from kerastorch.distribution.settings import check_distribution
from kerastorch.module.unregistered_modules import check_registered, warn_unregistered
from kerastorch.optimizers.parameter_groups import check_patterns
from kerastorch.training.argument_checks import check_order, check_regularizers
from kerastorch.training.compile_options import CompileOptions
from kerastorch.training.compiled_loss import CompiledLoss
from kerastorch.training.crossentropy_choice import choose_crossentropies
from kerastorch.training.log_names import listed_names, log_names, metrics_by_output
from kerastorch.training.memory_format import MemoryFormat
from kerastorch.training.output_names import OutputNames
from kerastorch.training.precision import Precision
from kerastorch.training.preflight import check_outputs_are_known
from kerastorch.training.step_mixin import STEPS, StepMixin, overrides
from kerastorch.training.trainer import Trainer

if TYPE_CHECKING:
    from kerastorch.module.trainable_model import ModelOptimizer


class CompileMixin(StepMixin):
    """A model that can be compiled."""

    @public_api
    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        *,
        regularizers: Mapping[str, Any] | None = None,
        device: Any = "auto",
        data_device: Any = "auto",
        memory_format: Any = "auto",
        jit_compile: bool | str = "auto",
        steps_per_execution: int | str = 1,
        gradients_in_evaluation: bool = False,
        precision: Any = None,
        prepare_batch: Callable[[Any], Any] | None = None,
        distribution: Any = "auto",
        run_eagerly: bool = False,
        auto_scale_loss: bool = True,
    ) -> None:
        """Set the optimizer, the loss and the metrics for `fit` and `evaluate`.

        Args:
            optimizer: A name, class, instance or `functools.partial`, of `kerastorch.optimizers` or `torch.optim`; an
                instance of `torch.optim` must hold the model's parameters. A dict of them gives parts of the model
                optimizers of their own: name of a child or pattern of parameter names -> optimizer; the first pattern
                that matches a parameter counts. Default `"rmsprop"`.
            loss: A name, class, instance or function `(y_true, y_pred) -> loss`, of `kerastorch.losses` or `torch.nn`;
                a list, dict or nested structure of them for several outputs, `None` for an output without a loss; one
                loss is that of each output. `"crossentropy"` or `"ce"` is the crossentropy that fits
                the last layer: binary after a sigmoid, over classes after a softmax or for logits; both one-hot
                targets and class numbers fit the latter. A function or module of your own in torch's order,
                `(outputs, target)`, gets all outputs of a model that returns several. `"model"` is the loss that the
                model returns: an attribute, field or key `loss`, the only scalar of a tuple, a scalar, or the sum of a
                dict of scalars. Default: none, for models that return their loss, call `add_loss` or override
                `compute_loss`.
            loss_weights: Factors of the losses in their sum, in the structure of `loss` or of the outputs. Default: 1
                each.
            metrics: A list of names, instances of `kerastorch.metrics`, torchmetrics metrics and functions
                `(y_true, y_pred) -> value`; a tuple `(name, metric)` names one in the logs. A dict or list of such
                lists for several outputs. Default: no metrics.
            weighted_metrics: Like `metrics`; these count each sample with its `sample_weight` and `class_weight`.
                Default: no metrics.
            regularizers: Penalties by parameter name, as `{"*.weight": L2(1e-4)}`; names may hold the wildcards of
                file names.
            device: Where to compute, as `"cuda:0"`; the model is moved there by `fit` and `evaluate`. Default `"auto"`:
                the accelerator that the model is on, else any accelerator, else the CPU.
            data_device: Where arrays in memory are stored while `fit`, `evaluate` or `predict` runs. Default `"auto"`:
                on the model's device if that is an accelerator and the arrays need less than a quarter of its free
                memory; else they stay where they are, and the next batch is copied while the model computes.
            memory_format: Memory format of images when they enter the model: `"channels_last"`, `"contiguous"`, or a
                constant of torch. Default `"auto"`: channels-last for convolutional models on the CPU that are faster
                with it and give the same outputs up to rounding. `"contiguous"` gives the bits of a plain loop.
                Weights, arrays of the caller, and outputs keep their format.
            jit_compile: Whether to compile the training step, optimizer included, with TorchInductor. A step that
                cannot be compiled, gives other results or is slower runs uncompiled, with a warning. Default `"auto"`:
                `False`.
            steps_per_execution: Number of batches between two calls of the batch hooks of callbacks; if steps are
                compiled, up to 8 of them form one graph. `"auto"` takes as many as one graph takes, or 1 if a callback
                of the caller has batch hooks. Default 1.
            gradients_in_evaluation: Whether gradients are recorded in `evaluate`, `predict` and validation, for models
                that differentiate their outputs with respect to their inputs, such as physics-informed networks.
                `grad` of the parameters stays as it is. Default `False`: less memory and time.
            precision: `"bf16"` or `"fp16"` for mixed precision: modules compute in 16 bits where torch's autocast
                does; weights, the optimizer's state, losses and what `predict` returns stay float32. With `"fp16"` the
                losses are scaled by `torch.amp.GradScaler`. Keras' names `"mixed_bfloat16"` and `"mixed_float16"` are
                the same. Default: the policy of `mixed_precision.set_global_policy`, at first `"fp32"`.
            prepare_batch: A function of what a loader, dataset, generator or sequence yields, which returns `(x, y)` or
                `(x, y, sample_weight)`, or `x` alone for `predict`; for batches in another order, as a dict, or as an
                object. Arrays given as `x` and `y` do not go through it. Default: an item is `(x, y, sample_weight)`,
                or a dict by the names of the parameters of `forward`.
            distribution: How the processes that torchrun has started train the model together: settings of
                `kerastorch.distribution`, such as `DataParallel()`. Default `"auto"`: `DataParallel()` if torchrun's
                environment or a process group of torch is found. `None`: each process works alone.
            run_eagerly: Whether no step is compiled, as in Keras; the same as `jit_compile=False`. Default `False`.
            auto_scale_loss: Whether losses are scaled with `precision="fp16"`, as in Keras. Default `True`, and
                `False` has no effect with other precisions.

        Raises:
            ValueError: A name is unknown (the message has the nearest known one); an argument has an unknown value;
                `device` or `data_device` does not exist; optimizer and loss are swapped; layers are in a plain list,
                where torch does not register them; a metric given by name needs to know whether a single output is a
                probability or a logit, and the loss does not imply it.
            TypeError: There is no argument of a name (the message has the nearest one); `regularizers` is no dict.

        >>> import kerastorch as kt
        >>> from torch import nn
        >>> model = kt.Model(nn.Linear(3, 2))
        >>> model.compile(kt.optimizers.AdamW(1e-2), "cross_entropy", metrics=["accuracy"])
        >>> model.optimizer.learning_rate
        0.01
        """
        check_order(optimizer, loss)
        check_regularizers(regularizers)
        jit_compile = _without_graphs(jit_compile) if run_eagerly else jit_compile
        if not isinstance(gradients_in_evaluation, bool):
            raise mismatch("gradients_in_evaluation", gradients_in_evaluation, "True or False")
        check_registered(self)
        warn_unregistered(self)
        names = OutputNames.of(self)
        compiled_loss = CompiledLoss(choose_crossentropies(self, loss, names), loss_weights, names)
        settings = _optimizer_settings(optimizer)
        mixed = Precision.of(precision)
        if not auto_scale_loss and mixed.policy.name == "mixed_float16":
            raise ValueError("auto_scale_loss=False: gradients in fp16 vanish without a scale; use precision='bf16'.")
        options = CompileOptions.of(jit_compile, steps_per_execution)
        image_format = MemoryFormat(self, memory_format, own_steps=overrides(self, *STEPS))
        by_name = metrics_by_output(metrics, compiled_loss.outputs, weighted_metrics)
        check_outputs_are_known(self, by_name.get("", ()), compiled_loss.outputs.loss_of(""))
        compile_args = {
            "optimizer": optimizer, "loss": loss, "loss_weights": loss_weights, "metrics": metrics,
            "weighted_metrics": weighted_metrics,
            "regularizers": regularizers, "memory_format": memory_format, "jit_compile": jit_compile,
            "steps_per_execution": steps_per_execution,
            "gradients_in_evaluation": gradients_in_evaluation, "precision": mixed.policy.name,
            "prepare_batch": check_prepare_batch(prepare_batch), "distribution": check_distribution(distribution),
        }  # fmt: skip
        before = self._trainer
        if distribution == "auto" and before is not None and before.parallel.divides_weights:
            distribution = before.distribution  # its weights stay divided
        self._trainer = Trainer(
            self,
            settings,
            compiled_loss,
            by_name,
            regularizers or {},
            device,
            image_format,
            data_device,
            options,
            compile_args=compile_args,
            precision=mixed,
            distribution=distribution,
            completed_fits=0 if before is None else before.state.completed_fits,
        )

    @overridable_property
    def compiled(self) -> bool:
        """Whether `compile` was called. A model may define an attribute of its own with this name."""
        return self._trainer is not None

    @property
    def optimizer(self) -> ModelOptimizer:
        """The `torch.optim` optimizer, as soon as the model is compiled and built; before that it is `None`.

        `model.optimizer.learning_rate` reads and sets the learning rate of all parameter groups if `compile` was given
        a name, a class, a partial or settings of `kerastorch.optimizers`. On an optimizer that you made yourself, set
        `'lr'` in its `param_groups`. The type leaves `None` out, so that code after `compile` needs no check.

        Raises:
            RuntimeError: The model is not compiled, or has several optimizers: see `optimizers`.
        """
        made = self.trainer.optimizers.get_if_built()
        if self.trainer.optimizers.are_several:
            names = ", ".join(map(repr, self.trainer.optimizers.configs))
            raise RuntimeError(f"the model has the optimizers {names}: read model.optimizers[name].")
        return cast("ModelOptimizer", made.get(""))

    @property
    def optimizers(self) -> dict[str, ModelOptimizer]:
        """The `torch.optim` optimizers by name, if `compile` was given a dict; the only one has the name `""`.

        The dict is empty before the model is built.

        Raises:
            RuntimeError: The model is not compiled.
        """
        return cast("dict[str, ModelOptimizer]", dict(self.trainer.optimizers.get_if_built()))

    @property
    def metrics_names(self) -> list[str]:
        """The names of the values that `evaluate` returns, in this order; those of the last evaluation.

        Before the first evaluation since `compile`, alone or within `fit`, they are the names of the compiled losses
        and metrics. A `test_step` of your own may return other logs, and a metric of several values has a name for
        each: those are known after an evaluation only.

        Raises:
            RuntimeError: The model is not compiled.

        Warns:
            UserWarning: There was no evaluation yet, and `test_step` is your own.
        """
        trainer = self.trainer
        if trainer.state.evaluated_names:
            return listed_names(trainer.state.evaluated_names)
        if overrides(self, "test_step"):
            warn(
                "metrics_names: what a test_step of your own returns is known after the first evaluation. Until then "
                "these are the names of the compiled losses and metrics; call evaluate() or test_on_batch() first."
            )
        return log_names(self, trainer, False, listed=True)

    @property
    def metric_directions(self) -> dict[str, bool]:
        """The metrics by their names in the logs, each with whether larger is better; others are left out.

        Raises:
            RuntimeError: The model is not compiled.
        """
        return {
            f"{output}_{metric.name}" if output else metric.name: metric.higher_is_better
            for output, metrics in self.trainer.metrics.items()
            for metric in metrics
            if metric.higher_is_better is not None
        }


def _without_graphs(jit_compile: bool | str) -> bool:
    """Return `False` for `run_eagerly=True`.

    Raises:
        ValueError: `jit_compile` says the opposite.
    """
    if jit_compile is True:
        raise ValueError("run_eagerly=True and jit_compile=True contradict each other; leave one of them out.")
    return False


def _optimizer_settings(given: Any) -> Any:
    """Return what `compile` was given as optimizer, as `optimizers.get` returns it; a dict of several in a dict.

    Raises:
        ValueError: A name is unknown, or the dict is empty.
    """
    if not isinstance(given, Mapping):
        return optimizers.get(given)
    check_patterns("optimizer", given)
    return {name: optimizers.get(one) for name, one in given.items()}

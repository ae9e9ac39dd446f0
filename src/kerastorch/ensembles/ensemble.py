"""Ensemble: several models of one kind, whose predictions are averaged."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kerastorch.callbacks.base import Callback
from kerastorch.callbacks.callback_list import to_list
from kerastorch.callbacks.history import History
from kerastorch.callbacks.progress_bar import Verbose
from kerastorch.core.keyword_hints import KeywordHints
from kerastorch.core.path_checks import parse_path
from kerastorch.core.rng_state import capture_rng_states, preserved_rng_states, restore_rng_states
from kerastorch.core.traceback_filter import public_api
from kerastorch.ensembles.bootstrap import bootstrap_rows, seed_from
from kerastorch.ensembles.combination import Array, Combination
from kerastorch.ensembles.ensemble_files import load_members, save_members
from kerastorch.ensembles.mean_evaluation import collect_mean, repeatable
from kerastorch.ensembles.output_kinds import OutputKinds, join_samples, stack_members
from kerastorch.ensembles.uncertainty import Uncertainty
from kerastorch.evaluation import model_report
from kerastorch.evaluation.collect import CollectedOutputs
from kerastorch.evaluation.evaluate_mixin import report_options
from kerastorch.model import Model
from kerastorch.training.log_names import in_keras_order
from kerastorch.training_together.errors import CannotTrainTogether
from kerastorch.training_together.train_together import FitTask, train_together
from kerastorch.utils import set_random_seed

Callbacks = Sequence[Callback] | Callback | Callable[[int], Any] | None


class Ensemble(KeywordHints):
    """Several models of one architecture, each with its own initial weights and order of rows.

    `kt.ensemble(build_fn, n)` makes one. The prediction is the mean of the members: of their probabilities if they
    predict classes, also if their outputs are logits, else of their values. Its errors are usually smaller than those
    of a single model, and the disagreement of the members tells where the ensemble knows little (Lakshminarayanan et
    al. 2017).

    Args:
        members: Compiled models.
        rng_states: For each member, the states of the random generators that its first fit begins with.

    Attributes:
        members: The models.
        histories: The logs of the last fit of each member; empty before the first one.
        alone_because: Why the members of the last fit were trained one after the other; `None` if they were trained
            together.
    """

    def __init__(self, members: Sequence[Model], rng_states: Sequence[Any]) -> None:
        self.members = tuple(members)
        self.histories: tuple[History, ...] = ()
        self.alone_because: str | None = None
        self._rng_states = list(rng_states)
        self._kinds = OutputKinds.of(self.members[0])

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[Model]:
        return iter(self.members)

    def __getitem__(self, index: int) -> Model:
        return self.members[index]

    def __repr__(self) -> str:
        return f"Ensemble({len(self)} members: {type(self.members[0]).__name__})"

    @public_api
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        *,
        bootstrap: bool | float = False,
        callbacks: Callbacks = None,
        sample_weight: Any = None,
        verbose: Verbose = 0,
        **fit_arguments: Any,
    ) -> tuple[History, ...]:
        """Train all members, together if that gives the numbers of their own `fit`, else one after the other.

        Args:
            x: Inputs, as for `Model.fit`.
            y: Targets.
            bootstrap: Whether each member is trained on rows that are drawn with replacement, as many as there are; a
                float is the number of rows as a fraction. For arrays only. Default `False`: all members see all rows.
            callbacks: Callback instances, of which each member gets copies; or a function of the number of the member,
                from 1, that returns its callbacks. Default: none.
            sample_weight: A weight for each row, as for `Model.fit`.
            verbose: As for `Model.fit`. Default 0. With 1 and `"auto"` in a terminal, members are trained one after
                the other, each with its bar.
            **fit_arguments: Further arguments of `Model.fit`, the same for all members.

        Returns:
            The logs of each member.

        Raises:
            TypeError: `fit` has no argument of a name.
            ValueError: As for `Model.fit`; the data are an iterator; or rows cannot be drawn from them.
        """
        for name, data in (("x", x), ("validation_data", fit_arguments.get("validation_data"))):
            if isinstance(data, Iterator):
                raise ValueError(
                    f"{name} is an iterator, which gives its batches once, and each of {len(self)} members needs them. "
                    f"Pass a function that returns a new one: {name}=lambda: batches()."
                )
        tasks = []
        for index, model in enumerate(self.members):
            restore = self._rng_states[index]
            own_x, own_y, weight = bootstrap_rows(bootstrap, x, y, sample_weight, restore)
            arguments = {"x": own_x, "y": own_y, "sample_weight": weight, "verbose": verbose, **fit_arguments}
            tasks.append(FitTask(model, {**arguments, "callbacks": _own_callbacks(callbacks, index)}, restore))
        with preserved_rng_states():
            try:
                found = train_together(tasks)
                histories, self.alone_because = found.histories, found.reason
            except CannotTrainTogether as error:
                histories, self.alone_because = [_fit_alone(task) for task in tasks], error.reason
            self._rng_states = [_next_states(states) for states in self._rng_states]
        self.histories = tuple(histories)
        return self.histories

    @public_api
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Verbose = 0,
        *,
        members: bool = False,
        mc_dropout: int | None = None,
    ) -> Any:
        """Return the mean prediction, or those of all members.

        Outputs are of the kind that a single model returns. If these are logits, the result has the logits of the mean
        of the probabilities: for classes their logarithms, so that a softmax gives the mean.

        Args:
            x: Inputs, as for `Model.predict`. The batches of a generator are kept in memory.
            batch_size: Rows of a batch. Default: as for `Model.predict`.
            verbose: As for `Model.predict`. Default 0.
            members: Whether to return the outputs of all members, `(members, rows, ...)`, in place of their mean.
            mc_dropout: Number of outputs of each member with active dropout, as for `Model.predict`. The result has
                this axis in front, `(mc_dropout, rows, ...)`: each is a mean over the members. With `members` it is
                `(members, mc_dropout, rows, ...)`. Default: one output, without dropout.

        Returns:
            A NumPy array `(rows, ...)`; a tuple, list or dict of them if the members return one.
        """
        outputs = self._outputs(x, batch_size, verbose, mc_dropout)
        if members:
            return outputs

        def mean(how: Combination, one: Array) -> Array:
            found = how.mean(join_samples(one, mc_dropout, 1))
            return found if mc_dropout is None else found.reshape(mc_dropout, -1, *found.shape[1:])

        return self._output_kinds().map(mean, outputs)

    @public_api
    def predict_proba(self, x: Any, batch_size: int | None = None, verbose: Verbose = 0) -> Any:
        """Return the mean of the members' probabilities; of other values their mean. Arguments as for `predict`."""
        outputs = self._outputs(x, batch_size, verbose)
        return self._output_kinds().map(Combination.mean_probabilities, outputs)

    @public_api
    def uncertainty(
        self, x: Any, batch_size: int | None = None, verbose: Verbose = 0, *, mc_dropout: int | None = None
    ) -> Any:
        """Return how sure the members are of their predictions, and how far they agree.

        Args:
            x: Inputs, as for `predict`.
            batch_size: Rows of a batch. Default: as for `Model.predict`.
            verbose: As for `Model.predict`. Default 0.
            mc_dropout: Number of outputs of each member with active dropout; each counts as a member. Default: one
                output, without dropout.

        Returns:
            An `Uncertainty`; a tuple, list or dict of them if the members return several outputs.
        """

        def of_output(how: Combination, one: Array) -> Uncertainty:
            found = how.probabilities(join_samples(one, mc_dropout, 0))
            return Uncertainty.of(found, how.link, how.class_axis(found.ndim))

        return self._output_kinds().map(of_output, self._outputs(x, batch_size, verbose, mc_dropout))

    @public_api
    def evaluate(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Verbose = 0,
        sample_weight: Any = None,
        *,
        return_dict: bool = False,
        report: bool | Mapping[str, Any] = False,
    ) -> Any:
        """Return the loss and the metrics of the mean prediction, as the members were compiled with.

        Penalties on weights are left out, since the mean has no weights of its own.

        Args:
            x: Inputs, or data that yield them with their targets in the same order each time, as for `Model.evaluate`.
            y: Targets; not given if `x` yields them.
            batch_size: Rows of a batch. Default: as for `Model.evaluate`.
            verbose: As for `Model.evaluate`. Default 0.
            sample_weight: A weight for each row. Default: 1 each.
            return_dict: Whether to return a dict of values by name. Default `False`.
            report: Whether to return a report on the mean prediction; or a dict of its options, as for
                `Model.evaluate`. Default `False`.

        Returns:
            The loss, or a list `[loss, *metrics]`, or a dict, as `Model.evaluate` returns them; or an
            `evaluation.Report`.

        Raises:
            RuntimeError: The members are not compiled, as after unpickling.
            ValueError: A loader shuffles its rows; the outputs have no loss each; the members return class numbers.
        """
        if report is not False:
            options = report_options(report, model_report.report)
            return model_report.report(self, x, y, batch_size, verbose, sample_weight, **options)
        logs = dict(self.collect_outputs(x, y, batch_size, verbose, sample_weight).logs)
        return logs if return_dict else in_keras_order(logs)

    def collect_outputs(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Verbose = 0,
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Sequence[Callback] | Callback | None = None,
        *,
        check_finite: bool = True,
        workers: int = 0,
    ) -> CollectedOutputs:
        """Return the mean outputs for data with their targets, loss and metrics; `kt.evaluation.report` reads them.

        The arguments are those of `Model.evaluate`, which is called for each member.
        """
        if vars(self.members[0]).get("_trainer") is None:
            raise RuntimeError(
                "the members of this ensemble are not compiled: a pickle has their weights alone. Use save() and "
                "Ensemble.load(), or compile each model of members."
            )

        def evaluate(member: Model, data: Any) -> Any:
            return member.evaluate(
                data, y, batch_size, verbose, sample_weight, steps, callbacks,
                return_dict=True, check_finite=check_finite, workers=workers,
            )  # fmt: skip

        return collect_mean(self.members, x, evaluate)

    def summary(self) -> None:
        """Print the summary of the first member, and the number of members."""
        self.members[0].summary()
        weights = sum(weight.numel() for member in self.members for weight in member.parameters())
        print(f"{len(self)} members, {weights:,} parameters in all")

    def save(self, folder: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write each member to a `.kt` file in a folder.

        Args:
            folder: The folder, which is created if it is missing.
            overwrite: Whether existing files are replaced. If not, they are an error.

        Raises:
            NotADirectoryError: The name is that of a file, such as `"ensemble.kt"`.
            FileExistsError: A file exists and `overwrite` is `False`.
            ValueError: A member is not built.
        """
        save_members(self.members, parse_path("folder", folder), overwrite=overwrite)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], **load_arguments: Any) -> Ensemble:
        """Return the ensemble that `save` wrote.

        Args:
            folder: The folder.
            **load_arguments: Further arguments of `kt.load_model`, such as `custom_objects`.

        Raises:
            FileNotFoundError: There is no ensemble in the folder.
        """
        members = load_members(parse_path("folder", folder), load_arguments)
        states = []
        with preserved_rng_states():
            for _ in members:
                states.append(capture_rng_states())
                set_random_seed(seed_from(states[-1]))
        return cls(members, states)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_kinds": self._output_kinds()}  # a pickle has no losses, which tell the kinds

    def _outputs(self, x: Any, batch_size: int | None, verbose: Verbose, mc_dropout: int | None = None) -> Any:
        """Return the outputs of all members in their structure, each with the members on its first axis."""
        data = repeatable(x)
        return stack_members([one.predict(data, batch_size, verbose, mc_dropout=mc_dropout) for one in self.members])

    def _output_kinds(self) -> OutputKinds:
        """Return what the outputs are; their names may be known only after the first call of a member."""
        is_compiled = vars(self.members[0]).get("_trainer") is not None
        return OutputKinds.of(self.members[0]) if is_compiled else self._kinds


def _own_callbacks(callbacks: Callbacks, index: int) -> list[Callback]:
    if callable(callbacks) and not isinstance(callbacks, Callback):
        return to_list(callbacks(index + 1))
    return [copy.deepcopy(callback) for callback in to_list(callbacks)]


def _fit_alone(task: FitTask) -> History:
    restore_rng_states(task.rng_states)
    return task.model.fit(**task.arguments)


def _next_states(states: Any) -> Any:
    """Return the states of the random generators for the next fit of a member: others, that follow from these."""
    set_random_seed(seed_from(states))
    return capture_rng_states()

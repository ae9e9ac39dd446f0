"""One checker for models and data of other libraries: all methods of a model, beside a loop written by hand.

A test class derives from `ForeignCase`, says how the module, its data and the loop look in plain torch, and inherits
the tests. What a case cannot do is in its `skips`, with the reason.
"""

import contextlib
import copy
import math
import warnings
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch.utils import _pytree as pytree

import kerastorch as kt
from support.resumption import whole_and_resumed


class ForeignCase:
    """A module and data that somebody brings.

    Attributes:
        epochs: Passes over the data.
        cut: Epoch and batch, from 0, after which the fit to be resumed is interrupted.
        compile_args: Arguments of `compile` beside the optimizer.
        monitor: A log for `EarlyStopping` and `ModelCheckpoint`.
        skips: Reasons by the name of what is left out: `"predict"`, `"save"`, `"resume"`, `"summary"`, `"plot"`,
            `"export"`, ...
        save_warning: What `save` warns about, if it does.
        needs_compile_to_predict: Whether the arguments of `compile` say what of a batch the input is.
        torch_refuses_export: Whether `torch.export` itself fails, which is checked.
    """

    epochs = 2
    cut = (1, 0)
    compile_args: ClassVar = {}
    monitor = "loss"
    skips: ClassVar = {}
    save_warning = ""
    needs_compile_to_predict = False
    torch_refuses_export = False

    # What a case says of itself

    def make(self):
        """Return the module, new each time."""
        raise NotImplementedError

    def loader(self, shuffle):
        """Return batches in the form that the user's library gives them, new each time."""
        raise NotImplementedError

    def hand_loss(self, net, batch):
        """Return the loss of a batch, in plain torch."""
        raise NotImplementedError

    def hand_outputs(self, net, batch):
        """Return what `predict` gives for a batch, in plain torch: a tensor, or a dict, tuple or list of them."""
        raise NotImplementedError

    def hand_scores(self, net, batches):
        """Return the metrics of `compile_args` by name."""
        return {}

    def rows(self, batch):
        """Return the weight of a batch in the mean loss."""
        return len(next(leaf for leaf in pytree.tree_leaves(batch) if isinstance(leaf, torch.Tensor)))

    def optimizer(self, net):
        """Return an optimizer of all that is trained."""
        return torch.optim.AdamW([weight for weight in net.parameters() if weight.requires_grad], lr=1e-2)

    def model(self, net):
        """Return the model as a user makes it."""
        return kt.Model(net)

    def scheduler(self, optimizer):
        """Return a scheduler of torch that makes a step after each batch, or `None`."""
        return

    def inputs(self):
        """Return the arguments of `summary` and `plot_model` that name the inputs, where `fit` cannot know them."""
        return {}

    def export_call(self, batch):
        """Return the arguments of the module, and those by name, for a batch to export."""
        raise NotImplementedError

    def export_signature(self, batch):
        """Return `input_signature` of `export`; `None` for the inputs that the model knows from `fit`."""
        return

    # What the tests share

    def seeded(self):
        kt.utils.set_random_seed(1)
        return self.make()

    def compiled(self, **more):
        """Return a new module and its compiled model."""
        net = self.seeded()
        model = self.model(net)
        model.compile(self.optimizer(net), **{**self.compile_args, **more})
        return net, model

    def callbacks(self, model):
        """Return the callbacks that the training needs."""
        scheduler = self.scheduler(model.optimizer)
        return [] if scheduler is None else [kt.callbacks.LRScheduler(scheduler, interval="batch")]

    def fit(self, callbacks=(), epochs=None, **more):
        """Train a new module; return it, its model and the history."""
        net, model = self.compiled(**more)
        callbacks = [*self.callbacks(model), *callbacks]
        kt.utils.set_random_seed(2)
        history = model.fit(self.loader(True), epochs=epochs or self.epochs, callbacks=callbacks, verbose=0)
        return net, model, history.history

    def hand_fit(self):
        """Train a new module in a loop of plain torch; return it and the mean loss of each epoch."""
        net = self.seeded()
        optimizer = self.optimizer(net)
        scheduler = self.scheduler(optimizer)
        loader, losses = self.loader(True), []
        kt.utils.set_random_seed(2)
        net.train()
        for _ in range(self.epochs):
            total, count = 0.0, 0
            for batch in loader:
                loss = self.hand_step(net, optimizer, batch)
                if scheduler is not None:
                    scheduler.step()
                total, count = total + loss.item() * self.rows(batch), count + self.rows(batch)
            losses.append(total / count)
        return net, losses

    def hand_step(self, net, optimizer, batch):
        """Make a step in plain torch; return the loss before it."""
        loss = self.hand_loss(net, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    def hand_evaluate(self, net):
        """Return the mean loss, and the metrics, in evaluation mode."""
        with evaluating(net):
            batches = list(self.loader(False))
            counts = [self.rows(batch) for batch in batches]
            losses = [self.hand_loss(net, batch).item() for batch in batches]
            loss = sum(loss * count for loss, count in zip(losses, counts, strict=True)) / sum(counts)
            return {"loss": loss, **self.hand_scores(net, batches)}

    def hand_predict(self, net):
        """Return the outputs of each batch by hand, in evaluation mode."""
        with evaluating(net):
            return [self.hand_outputs(net, batch) for batch in self.loader(False)]

    def skip(self, name):
        if name in self.skips:
            pytest.skip(self.skips[name])

    # The tests

    def test_fit_ends_with_the_bits_of_a_loop_by_hand(self):
        self.skip("fit")
        (net, _, history), (expected, losses) = self.fit(), self.hand_fit()
        assert_same_state(net, expected)
        assert history[self.monitor] == pytest.approx(losses, rel=1e-5)

    def test_training_changes_what_is_to_be_trained(self):
        net, _, _ = self.fit()
        before = dict(self.seeded().named_parameters())
        changed = {name for name, weight in net.named_parameters() if not torch.equal(weight, before[name])}
        assert changed
        assert all(before[name].requires_grad for name in changed)

    def test_evaluate_gives_the_numbers_computed_by_hand(self):
        self.skip("evaluate")
        net, model = self.compiled()
        found = model.evaluate(self.loader(False), verbose=0, return_dict=True)
        assert found == pytest.approx(self.hand_evaluate(net), rel=1e-4, abs=1e-6)

    def test_validation_gives_the_numbers_of_evaluate(self):
        self.skip("validation")
        net, model = self.compiled()
        logs = model.fit(self.loader(True), validation_data=self.loader(False), verbose=0).history
        found = {name.removeprefix("val_"): values[-1] for name, values in logs.items() if name.startswith("val_")}
        assert found == pytest.approx(self.hand_evaluate(net), rel=1e-4, abs=1e-6)

    def test_predict_gives_the_outputs_of_the_module(self):
        self.skip("predict")
        net, model = self.compiled()
        assert_predicted(model.predict(self.loader(False), verbose=0), self.hand_predict(net))

    def test_predict_iter_gives_the_outputs_of_each_batch(self):
        self.skip("predict")
        net, model = self.compiled()
        found = list(model.predict_iter(self.loader(False)))
        for one, other in zip(found, self.hand_predict(net), strict=True):
            assert_close(one, other)

    def test_callbacks_stop_and_store_the_training(self, tmp_path):
        self.skip("callbacks")
        path = tmp_path / "last.safetensors"
        watching = [
            kt.callbacks.TerminateOnNaN(),
            kt.callbacks.ModelCheckpoint(path, self.monitor, save_weights_only=True),
            kt.callbacks.EarlyStopping(self.monitor, min_delta=1e9, patience=1, mode="min"),
        ]
        _, model, history = self.fit(watching, epochs=3)
        assert len(history[self.monitor]) == 2  # no epoch is better than the first one by that much
        other = self.model(self.seeded())
        other.load_weights(path)
        assert_same_state(other, model)

    def test_weights_go_into_a_new_module(self, tmp_path):
        self.skip("weights")
        net, model, _ = self.fit()
        model.save_weights(tmp_path / "trained.safetensors")
        fresh = self.seeded()
        self.model(fresh).load_weights(tmp_path / "trained.safetensors")
        assert_same_state(fresh, net)

    def test_a_saved_model_is_loaded_into_a_new_module(self, tmp_path):
        self.skip("save")
        net, model, _ = self.fit()
        path = tmp_path / "trained.kt"
        self.save(model, path)
        fresh = self.seeded()
        again = kt.load_model(path, module=fresh, compile=False)
        assert_same_state(fresh, net)
        if "predict" not in self.skips and not self.needs_compile_to_predict:
            expected = pytree.tree_leaves(model.predict(self.loader(False), verbose=0))
            found = pytree.tree_leaves(again.predict(self.loader(False), verbose=0))
            assert len(found) == len(expected)
            assert all(map(np.array_equal, found, expected))

    def save(self, model, path):
        warned = pytest.warns(UserWarning, match=self.save_warning) if self.save_warning else contextlib.nullcontext()
        with warned:
            model.save(path)

    def test_a_saved_model_is_trained_further_as_the_one_it_was_saved_from(self, tmp_path):
        self.skip("save")
        net, model, _ = self.fit()
        path = tmp_path / "trained.kt"
        self.save(model, path)
        fresh, again = self.compiled()
        kt.load_model(path, module=again)
        for one in (model, again):
            kt.utils.set_random_seed(3)
            one.fit(self.loader(True), verbose=0)
        assert_same_state(fresh, net)

    def test_a_fit_that_was_interrupted_within_an_epoch_ends_with_the_same_bits(self, tmp_path):
        self.skip("resume")
        whole, resumed = whole_and_resumed(self.fit, self.cut, tmp_path)
        assert_same_state(resumed[0], whole[0])
        assert resumed[2] == whole[2]

    def test_summary_counts_the_weights(self):
        self.skip("summary")
        net, model, _ = self.fit()
        lines = []
        model.summary(print_fn=lines.append, **self.inputs())
        total = sum(weight.numel() for weight in net.parameters())
        assert f"{total:,}" in "\n".join(lines)

    def test_plot_model_draws_the_modules(self, tmp_path):
        self.skip("plot")
        _, model, _ = self.fit()
        path = tmp_path / "model.dot"
        kt.utils.plot_model(model, path, **self.inputs())
        assert "->" in path.read_text()

    def test_the_exported_program_gives_the_outputs_of_the_module(self, tmp_path):
        self.skip("export")
        net, model, _ = self.fit()
        path = tmp_path / "model.pt2"
        batch = next(iter(self.loader(False)))
        if self.torch_refuses_export:
            self.check_refusal(net)
            with pytest.raises(kt.errors.ExportError):
                model.export(path, verbose=False)
            return
        model.export(path, verbose=False, input_signature=self.export_signature(batch))
        program = torch.export.load(path).module()
        arguments, named = self.export_call(batch)
        with evaluating(net):
            expected = pytree.tree_leaves(self.hand_outputs(net, batch))
            found = [leaf for leaf in pytree.tree_leaves(program(*arguments, **named)) if leaf is not None]
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)

    def check_refusal(self, net):
        """Check that `torch.export` itself fails if the batch size varies."""
        arguments, named = self.export_call(next(iter(self.loader(False))))
        sizes = pytree.tree_map(lambda one: {0: torch.export.Dim.DYNAMIC}, (arguments, named))
        shapes = sizes[0] or sizes[1]
        with evaluating(copy.deepcopy(net)) as module, pytest.raises(Exception, match=r"."):
            torch.export.export(module, arguments, named, dynamic_shapes=shapes)


class CompiledStepsCase(ForeignCase):
    """A case that is also trained with `jit_compile=True`, which takes long.

    Attributes:
        jit_tolerance: The largest difference of outputs after the training to those of the loop.
    """

    jit_tolerance = 1e-3

    @pytest.mark.slow
    @pytest.mark.timeout(600)
    def test_compiled_steps_train_as_the_loop_does(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # steps that cannot be compiled run as they are, with a warning
            net, _, history = self.fit(jit_compile=True)
        expected, losses = self.hand_fit()
        assert history["loss"] == pytest.approx(losses, rel=1e-3)
        for one, other in zip(self.hand_predict(net), self.hand_predict(expected), strict=True):
            assert_close(one, other, self.jit_tolerance)


@contextlib.contextmanager
def evaluating(net):
    """Evaluation mode without gradients; the mode of each module is restored."""
    modes = [(part, part.training) for part in net.modules()]
    net.eval()
    try:
        with torch.no_grad():
            yield net
    finally:
        for part, mode in modes:
            part.training = mode


def assert_same_state(one, other):
    """Assert that two modules have the same tensors, bit for bit."""
    mine, theirs = one.state_dict(), other.state_dict()
    assert list(mine) == list(theirs)
    for name, value in mine.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, theirs[name]), name


def assert_close(found, expected, tolerance=1e-5):
    """Assert that outputs of one batch have the same leaves, nearly."""
    found, expected = pytree.tree_leaves(found), pytree.tree_leaves(expected)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(np.asarray(one), other.float().numpy(), rtol=10 * tolerance, atol=tolerance)


def assert_predicted(predictions, batches):
    """Assert that predictions are the outputs of the batches.

    Each output is joined, or a list if its lengths differ. If no output can be joined, the batches are a list.

    Args:
        predictions: What `predict` returned.
        batches: The outputs of each batch by hand.
    """
    columns = list(zip(*map(pytree.tree_leaves, batches), strict=True))
    can_be_joined = [len({output.shape[1:] for output in column}) == 1 for column in columns]
    joined = [torch.cat(one) if can else list(one) for one, can in zip(columns, can_be_joined, strict=True)]
    assert_close(predictions, joined if any(can_be_joined) else batches)


def accuracy(scores, labels, ignored=-100):
    """Return the fraction of labels that are the largest scores, over all batches.

    Args:
        scores: Tensors of shape `(..., classes)`.
        labels: Class numbers of shape `(...)`, one tensor for each of `scores`.
        ignored: Places with this label do not count.
    """
    hits = count = 0
    for one, label in zip(scores, labels, strict=True):
        counted = label != ignored
        hits += ((one.argmax(-1) == label) & counted).sum().item()
        count += counted.sum().item()
    return hits / count if count else math.nan

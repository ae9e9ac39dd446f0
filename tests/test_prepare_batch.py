"""`compile(prepare_batch=function)`: batches in another order or form are read by a function of the user's."""

import functools

import numpy as np
import pytest
import torch
from support.resumption import StopAt, whole_and_resumed
from torch import nn
from torch.utils.data import DataLoader

import kerastorch as kt

X, Y = torch.randn(24, 5, generator=torch.Generator().manual_seed(0)), torch.arange(24) % 3
ROWS = [{"picture": x, "kind": y, "file": f"{n}.png"} for n, (x, y) in enumerate(zip(X, Y, strict=True))]


def by_key(batch):
    return batch["picture"], batch["kind"]


def make(prepare_batch=by_key, **options):
    torch.manual_seed(0)
    model = kt.Model(nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)))
    model.compile(
        torch.optim.Adam(model.parameters(), lr=0.01), "cross_entropy", prepare_batch=prepare_batch, **options
    )
    return model


def loader(shuffle=False):
    return DataLoader(ROWS, batch_size=8, shuffle=shuffle, generator=torch.Generator().manual_seed(3))


def hand_loop(epochs):
    model = make()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    data = loader(True)
    for _ in range(epochs):
        for batch in data:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(batch["picture"]), batch["kind"]).backward()
            optimizer.step()
    return model


def same_weights(model, other):
    return all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


def test_fit_ends_with_the_weights_of_a_loop_by_hand():
    model = make()
    model.fit(loader(True), epochs=3, verbose=0)
    assert same_weights(model, hand_loop(3))


def test_evaluation_and_validation_read_batches_by_the_function():
    model = make(metrics=["accuracy"])
    logs = model.fit(loader(), epochs=1, validation_data=loader(), verbose=0).history
    with torch.no_grad():
        outputs = model(X)
    expected = [nn.functional.cross_entropy(outputs, Y).item(), (outputs.argmax(1) == Y).float().mean().item()]
    assert model.evaluate(loader(), verbose=0) == pytest.approx(expected, rel=1e-5)
    assert [logs["val_loss"][0], logs["val_accuracy"][0]] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("prepare", [by_key, lambda batch: batch["picture"]])
def test_predictions_need_the_inputs_alone(prepare):
    model = make(prepare)
    expected = model(X).detach().numpy()
    np.testing.assert_allclose(model.predict(loader(), verbose=0), expected, rtol=1e-5)
    np.testing.assert_allclose(np.concatenate(list(model.predict_iter(loader()))), expected, rtol=1e-5)
    batch = next(iter(loader()))
    np.testing.assert_allclose(model.predict_on_batch(batch), expected[:8], rtol=1e-5)


def test_methods_of_one_batch_and_the_range_test_read_it_too():
    model = make()
    batch = next(iter(loader()))
    expected = nn.functional.cross_entropy(model(X[:8]), Y[:8]).item()
    assert model.test_on_batch(batch) == pytest.approx(expected, rel=1e-5)
    assert model.train_on_batch(batch) == pytest.approx(expected, rel=1e-5)
    curve = model.find_lr(lambda: [batch], verbose=0, steps=20, min_lr=1e-3, max_lr=0.1)
    assert curve.losses[0] == pytest.approx(model.test_on_batch(batch), rel=1e-5)


def test_arrays_do_not_go_through_the_function():
    seen = []
    model = make(lambda batch: seen.append(batch))
    model.fit(X, Y, verbose=0)
    model.evaluate(X, Y, verbose=0)
    model.predict(X, verbose=0)
    assert not seen


def test_datasets_generators_and_sequences_are_read_by_the_function():
    class Pictures(torch.utils.data.Dataset):
        def __len__(self):
            return len(ROWS)

        def __getitem__(self, index):
            return ROWS[index]

    class Batches(kt.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return list(loader())[index]

    whole = make().evaluate(loader(), verbose=0)
    for data in (Pictures(), Batches(), lambda: iter(loader()), iter(loader())):
        assert make().evaluate(data, verbose=0) == pytest.approx(whole, rel=1e-5)


def test_the_third_value_is_the_weight_of_each_sample():
    weight = torch.linspace(0.1, 2, 8)
    model = make(lambda batch: (batch["picture"], batch["kind"], weight))
    with torch.no_grad():
        losses = nn.functional.cross_entropy(model(X[:8]), Y[:8], reduction="none")
    found = model.evaluate(lambda: [next(iter(loader()))], verbose=0)
    assert found == pytest.approx(((losses * weight).sum() / 8).item(), rel=1e-5)


def test_a_training_resumed_within_an_epoch_ends_with_the_same_bits(tmp_path):
    def fit(callbacks):
        model = make()
        model.fit(loader(True), epochs=2, callbacks=callbacks, verbose=0)
        return model

    whole, resumed = whole_and_resumed(fit, (1, 0), tmp_path)
    assert same_weights(whole, resumed)


def test_a_resumed_script_with_another_function_is_warned(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        make().fit(
            loader(), epochs=2, verbose=0, callbacks=[StopAt((0, 1)), kt.callbacks.BackupAndRestore(tmp_path, 1)]
        )
    with pytest.warns(UserWarning, match=r"prepare_batch \(by_key there, other here"):
        make(_other).fit(loader(), epochs=3, verbose=0, callbacks=[kt.callbacks.BackupAndRestore(tmp_path)])


def _other(batch):
    return by_key(batch)


_other.__qualname__ = "other"


def test_a_saved_model_knows_the_function_by_name(tmp_path):
    model = make()
    model.fit(loader(), verbose=0)
    model.save(tmp_path / "model.kt")
    with pytest.raises(kt.errors.CheckpointError, match="by_key"):
        kt.load_model(tmp_path / "model.kt")
    again = kt.load_model(tmp_path / "model.kt", custom_objects={"by_key": by_key})
    assert again.evaluate(loader(), verbose=0) == pytest.approx(model.evaluate(loader(), verbose=0))


def test_summary_reads_a_batch_by_the_function():
    lines = []
    make().summary(input_data=next(iter(loader())), print_fn=lines.append)
    assert "(None, 3)" in lines[0]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda batch: batch["image"], r"<lambda> failed on a dict with the keys 'picture', 'kind', 'file': KeyError"),
        (lambda batch: None, r"returned None for a dict .*; return \(x, y\) or \(x, y, sample_weight\)"),
        (lambda batch: (1, 2, 3, 4), r"returned 4 items .* Several inputs are \(\(a, b\), y\)"),
    ],
)  # fmt: skip
def test_a_function_that_fails_is_named_with_what_it_got(function, message):
    with pytest.raises(ValueError, match=f"prepare_batch=.*{message}"):
        make(function).fit(loader(), verbose=0)


def test_a_function_without_targets_in_predict_is_told_to_return_the_inputs():
    rows = DataLoader([{"picture": x} for x in X], batch_size=8)
    with pytest.raises(ValueError, match=r"KeyError: 'kind'\. predict\(\) needs x alone"):
        make().predict(rows, verbose=0)


def test_compile_refuses_what_cannot_be_called_with_a_batch():
    with pytest.raises(ValueError, match=r"prepare_batch must be a function batch -> \(x, y\)"):
        make("picture")
    with pytest.raises(TypeError, match=r"one argument, the batch; <lambda>\(batch, device, non_blocking\) does not"):
        make(lambda batch, device, non_blocking: batch)
    make(functools.partial(lambda key, batch: batch, "a"))


def test_a_batch_of_four_items_names_the_function():
    with pytest.raises(ValueError, match=r"a batch has 4 items.*compile\(prepare_batch=lambda batch"):
        make(None).fit(lambda: [(X, Y, X, X)], verbose=0)

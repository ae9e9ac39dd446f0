"""Bad input gets a sentence where it enters: what was given, what was expected, what to do. No weight has changed."""

import functools

import numpy as np
import pytest
import torch
from support.optional import optional
from support.problems import classification, regression
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, SubsetRandomSampler, TensorDataset

import kerastorch as kt
from kerastorch import layers

pd = optional("pandas")

N = 40
X, LABELS = classification(N)
_, VALUES = regression(N)


def module(loss="mse", outputs=1, **given):
    torch.manual_seed(0)
    model = kt.Model(nn.Linear(6, outputs))
    model.compile("sgd", loss, **given)
    return model


def fit(x=X, y=VALUES, *, model=None, loss="mse", outputs=1, **given):
    model = model or module(loss, outputs)
    model.fit(x, y, verbose=0, **given)


def classify(y=LABELS, loss="cross_entropy", outputs=3, **given):
    fit(y=y, loss=loss, outputs=outputs, **given)


def with_nan(array, value=float("nan")):
    array = array.clone()
    array[17, 0] = value
    return array


def chain(*parts):
    def run(loss, y=LABELS, **given):
        model = kt.Sequential([make() for make in parts])
        model.compile("sgd", loss)
        model.fit(X, y, verbose=0, **given)

    return run


def changed_labels(value):
    y = LABELS.clone()
    y[4] = value
    return y


class Returns(kt.Model):
    def __init__(self, what, loss="mse"):
        super().__init__()
        self.layer = nn.Linear(6, 1)
        self.what = what
        self.compile("sgd", loss)

    def forward(self, x):
        return self.what(self.layer(x))


def frozen():
    model = module()
    model.requires_grad_(False)
    return model


def head_replaced():
    model = kt.Model(nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 1)))
    model.compile("sgd", "mse")
    fit(model=model)
    model.module_viewed[1] = nn.Linear(4, 1)
    return model


def batch_norm():
    model = kt.Model(nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)))
    model.compile("sgd", "mse")
    return model


class TensorRows(Dataset):
    def __len__(self):
        return N

    def __getitem__(self, index):
        return X[index], VALUES[index]


class NoReturn(Returns):
    def __init__(self):
        super().__init__(lambda out: out)

    def train_step(self, batch):
        pass


class Endless(IterableDataset):
    def __iter__(self):
        while True:
            yield torch.zeros(6), torch.zeros(1)


def ragged():
    return [[1.0] * 6] * 3 + [[1.0] * 7]


def frame():
    return pd.DataFrame(X.numpy(), columns=list("abcdef"))


def reordered():
    model = module()
    fit(frame(), model=model)
    model.predict(frame()[list("bacdef")], verbose=0)


def generator(n=2):
    return ((X, VALUES) for _ in range(n))


def one_batch_losses(reduction):
    return functools.partial(nn.functional.mse_loss, reduction=reduction)


def own_loss(y_pred, y):
    return (y_pred - y).square()


CASES = {
    # --- targets and losses (the numbers are those of the catalogue)
    2: (lambda: fit(outputs=3), ValueError, r"y has shape \(32, 1\) but the model outputs \(32, 3\)\. Shapes must match; kerastorch never broadcasts"),
    3: (lambda: fit(y=VALUES[:, 0], outputs=32, batch_size=32), ValueError, r"y has shape \(32,\) but the model outputs \(32, 32\)"),
    4: (lambda: classify(nn.functional.one_hot(LABELS)), ValueError, r"y looks one-hot .*Use y\.argmax\(1\) or loss='categorical_crossentropy'"),
    5: (lambda: chain(lambda: layers.Dense(3, "softmax"))("categorical_crossentropy"), ValueError, r"needs y of shape \(32, 3\), got \(32,\)\. Use 'sparse_categorical_crossentropy'"),
    7: (lambda: classify(changed_labels(0).float() + 0.7), ValueError, r"y must hold whole class numbers; y\[0\] = "),
    9: (lambda: classify(changed_labels(7)), ValueError, r"y\[4\] = 7, but the model has 3 outputs \(valid: 0\.\.2\)\."),
    9.1: (lambda: classify(LABELS + 1), ValueError, r"Labels starting at 1\? Use y - 1"),
    10: (lambda: classify(changed_labels(-1)), ValueError, r"y\[4\] = -1, but the model has 3 outputs"),
    11: (lambda: classify(changed_labels(-100)), ValueError, r"y\[4\] = -100"),
    13: (lambda: fit(y=VALUES.sign(), loss="binary_cross_entropy_with_logits"), ValueError, r"needs targets in \[0, 1\]; found -1 at y\["),
    14: (lambda: chain(lambda: layers.Dense(3), lambda: nn.Softmax(1))("cross_entropy"), ValueError, r"The model ends in Softmax but loss 'cross_entropy' expects logits\. Remove the Softmax"),
    14.1: (lambda: chain(lambda: layers.Dense(1, "sigmoid"))(kt.losses.BinaryCrossentropy(from_logits=True), y=(VALUES > 0)), ValueError, r"ends in Sigmoid .* use from_logits=False"),
    15: (lambda: chain(lambda: layers.Dense(3))("sparse_categorical_crossentropy"), ValueError, r"expects probabilities, the model output ranges -?[\d.]+\.\.[\d.]+\. .*from_logits=True"),
    16: (lambda: fit(with_nan(X)), ValueError, r"x has 1 NaN values, first at row 17, column 0\. .*check_finite=False"),
    16.1: (lambda: fit(y=with_nan(VALUES, float("inf"))), ValueError, r"y has 1 infinite values, first at row 17, column 0"),
    17: (lambda: classify(class_weight=[1, 1]), ValueError, r"class_weight is a list of 2 weights, which has no entry for class 2 \(classes in y: 0, 1, 2\)"),
    17.1: (lambda: classify(class_weight="equal"), TypeError, "class_weight must be a dict of class number -> weight, a list .* or 'balanced'"),
    18: (lambda: fit(sample_weight=-torch.ones(N)), ValueError, r"sample_weight\[0\] = -1\.0; weights must be finite and >= 0"),
    18.1: (lambda: fit(sample_weight=torch.zeros(N)), ValueError, "sample_weight is all 0"),
    19: (lambda: classify(class_weight={0: 2.0}, sample_weight=[torch.ones(N), torch.ones(N)]), ValueError, r"sample_weight must have the structure of y, with class_weight: 2 values in a list for one output"),
    20: (lambda: fit(y=None), ValueError, "loss 'mean_squared_error' needs y, got None"),
    21: (lambda: Returns(lambda out: {"a": out}, {"b": "mse"}).fit(X, VALUES, verbose=0), ValueError, "The model has outputs 'a', compile.. was given losses for 'b'. Write loss={'a': ...}"),
    # --- arrays
    25: (lambda: fit(X.to(torch.complex64)), TypeError, "x is torch.complex64; kerastorch takes real data"),
    26: (lambda: fit(frame().assign(city="Bern")), TypeError, "x column 'city' has dtype .*; encode it as numbers first"),
    26.1: (lambda: fit(np.array([["a"] * 6] * N)), TypeError, "x has dtype <U1; encode it as numbers first. layers.TextVectorization numbers the words of texts"),
    26.2: (lambda: fit(X, np.array(["a"] * N)), TypeError, "y has dtype <U1; encode it as numbers first. numpy.unique"),
    28: (lambda: fit(frame(), pd.Series(VALUES[:, 0].numpy(), index=range(N, 0, -1))), ValueError, r"x and y have different pandas indexes; use \.reset_index"),
    29: (reordered, ValueError, r"columns differ from training: expected \['a', 'b'"),
    30: (lambda: fit(X.to_sparse()), TypeError, r"x is a sparse tensor; call \.to_dense"),
    32: (lambda: fit(ragged(), VALUES[:4]), ValueError, r"x\[3\] has length 7, x\[0\] has length 6; pad first"),
    36: (lambda: fit(np.ma.masked_greater(X.numpy(), 1.0)), ValueError, r"x is a masked array with \d+ masked values; fill them"),
    37: (lambda: fit(torch.tensor(1.0)), ValueError, "x must have at least 1 dimension, got a scalar"),
    38: (lambda: fit(X[:, :5]), ValueError, r"Linear\(in_features=6.*It expects 6 features, its input has 5"),
    39: (lambda: kt.Model(nn.Sequential(nn.Conv2d(3, 4, 3))).predict(np.zeros((2, 28, 28, 3)), verbose=0), ValueError, r"Its input looks channels-last; use x\.transpose\(0, 3, 1, 2\)"),
    43: (lambda: fit(y=VALUES[:39]), ValueError, "x has 40 samples, y has 39"),
    43.1: (lambda: fit(sample_weight=torch.ones(39)), ValueError, "x has 40 samples, sample_weight has 39"),
    44: (lambda: fit((X, X[:9])), ValueError, r"x\[0\] has 40 samples, x\[1\] has 9"),
    45: (lambda: fit(X[:0], VALUES[:0]), ValueError, "x has 0 samples"),
    # --- sizes and splits
    46: (lambda: fit(batch_size=0), ValueError, "batch_size must be an integer >= 1, got 0"),
    47: (lambda: fit(batch_size=2.5), ValueError, "batch_size must be an integer >= 1, got 2.5"),
    47.1: (lambda: fit(batch_size="32"), ValueError, "got '32'"),
    47.2: (lambda: fit(batch_size=True), ValueError, "got True"),
    48: (lambda: fit(model=batch_norm(), batch_size=13), ValueError, "40 samples with batch_size=13 leaves a batch of 1, which BatchNorm1d cannot train on"),
    49: (lambda: fit(validation_split=-0.1), ValueError, r"validation_split must be in \[0, 1\), got -0\.1"),
    50: (lambda: fit(validation_split=20), ValueError, r"got 20\. Did you mean 0\.2\?"),
    51: (lambda: fit(validation_split=1.0), ValueError, r"validation_split must be in \[0, 1\)"),
    51.1: (lambda: fit(X[:3], VALUES[:3], validation_split=0.9), ValueError, "leaves 0 to train and 3 to validate"),
    52: (lambda: fit(DataLoader(TensorDataset(X, VALUES)), None, validation_split=0.2), ValueError, "validation_split needs arrays or a map-style Dataset, got a DataLoader; pass validation_data"),
    53: (lambda: fit(validation_split=0.2, validation_data=(X, VALUES)), ValueError, "pass one of validation_split and validation_data"),
    55: (lambda: fit(epochs=-1), ValueError, "epochs must be an integer >= 0, got -1"),
    55.1: (lambda: fit(epochs=1.5), ValueError, "epochs must be an integer >= 0"),
    56: (lambda: fit(initial_epoch=10, epochs=10), ValueError, "nothing to train: initial_epoch=10, epochs=10"),
    57: (lambda: fit(steps_per_epoch=0), ValueError, "steps_per_epoch must be an integer >= 1"),
    58: (lambda: fit(steps_per_epoch=100), ValueError, "steps_per_epoch=100, but the data has 2 batches"),
    58.1: (lambda: fit(generator(), None, steps_per_epoch=3), ValueError, r"data ended after 2 of 3 steps"),
    59: (lambda: fit(generator(), None, epochs=2), ValueError, "the data gave no batch in epoch 2. Pass a function that returns a new iterator"),
    60: (lambda: fit(validation_data=generator()), ValueError, "set validation_steps"),
    61: (lambda: fit(DataLoader(TensorDataset(X, VALUES))), ValueError, "y cannot be given with a DataLoader"),
    61.1: (lambda: fit(DataLoader(TensorDataset(X, VALUES)), None, batch_size=3), ValueError, "batch_size cannot be given with a DataLoader"),
    62: (lambda: fit(DataLoader(X[:2], batch_size=2), None), ValueError, "needs y, got None"),
    63: (lambda: fit(lambda: [(X, X, X, X)], None), ValueError, r"a batch has 4 items; expected \(x,\), \(x, y\) or \(x, y, sample_weight\)"),
    65: (lambda: module().predict(DataLoader(TensorDataset(X), shuffle=True)), ValueError, "the DataLoader shuffles, so rows would not match your data"),
    66: (lambda: module().predict(DataLoader(TensorDataset(X), 16, drop_last=True)), ValueError, "would drop 8 of 40 rows"),
    # --- compile and the model
    68: (lambda: kt.Model(nn.Linear(6, 1)).fit(X, VALUES), RuntimeError, r"call compile\(loss=\.\.\., optimizer=\.\.\.\) before fit"),
    69: (lambda: module("msee"), ValueError, "Unknown loss 'msee'. Did you mean 'mse'"),
    69.1: (lambda: module(metrics=["acuracy"]), ValueError, "Unknown metric 'acuracy'. Did you mean 'accuracy'"),
    70: (lambda: kt.Model(nn.Linear(1, 1)).compile("adamm", "mse"), ValueError, "Unknown optimizer 'adamm'. Did you mean 'adam'"),
    72: (lambda: kt.Model(nn.Linear(1, 1)).compile(torch.optim.SGD(nn.Linear(1, 1).parameters()), "mse"), ValueError, "the optimizer holds 2 parameters that are not in this model"),
    73: (lambda: fit(model=head_replaced()), ValueError, r"trainable parameters missing from the optimizer: 1\.weight, 1\.bias\. Call compile\(\) again"),
    75: (lambda: fit(model=frozen()), ValueError, r"no trainable parameters \(all 2 have requires_grad=False\)"),
    76: (lambda: kt.optimizers.SGD("1e-3"), ValueError, "learning_rate must be a finite number >= 0, got '1e-3'"),
    79: (lambda: Returns(lambda out: None).fit(X, VALUES, verbose=0), ValueError, r"forward\(\) returned None; is a return missing"),
    80: (lambda: Returns(lambda out: out.detach()).fit(X, VALUES, verbose=0), ValueError, "the loss has no gradient path to any parameter"),
    81: (lambda: fit(loss=own_loss), ValueError, r"own_loss must return a scalar tensor, got shape \(32, 1\)\. Use reduction='mean'"),
    81.1: (lambda: fit(loss=lambda output, target: 1.0), TypeError, "must return a tensor, got float"),
    "no loss": (lambda: fit(model=module(None)), ValueError, r"fit\(\) needs a loss"),
    "a metric of the wrong task": (lambda: fit(model=module("mse", metrics=["accuracy"])), ValueError, "metric 'accuracy' is for classification, the loss is for regression"),
    "a pattern that matches nothing": (lambda: module(regularizers={"weigth": "l2"}), ValueError, "'weigth' matches no parameter. Did you mean 'weight'"),
    "batch order of a dataset": (lambda: fit(TensorRows(), None, shuffle="batch"), ValueError, "shuffle='batch' is for arrays, got a Dataset"),
    "a subset sampler in predict": (lambda: module().predict(DataLoader(TensorDataset(X), sampler=SubsetRandomSampler(range(N)))), ValueError, "the DataLoader shuffles"),
    "evaluate that would drop rows": (lambda: module().evaluate(DataLoader(TensorDataset(X, VALUES), 16, drop_last=True)), ValueError, r"evaluate\(\): .* would drop 8 of 40 rows"),
    "negative weights of a loader": (lambda: fit(DataLoader(TensorDataset(X, VALUES, -torch.ones(N))), None), ValueError, r"sample_weight\[0\] = -1\.0"),
    "class weights of sequences": (lambda: fit(y=torch.randint(0, 2, (N, 6)), outputs=6, class_weight={0: 1.0, 1: 2.0}), ValueError, "class_weight needs one class for each row"),
    "class weights of broken classes": (lambda: classify(class_weight={0.5: 1.0}), ValueError, "class_weight: a class must be an integer, got 0.5"),
    "a dict for one output": (lambda: fit(y={"a": VALUES}), ValueError, "The model has one output, y is a dict with 'a'"),
    "a train_step without return": (lambda: NoReturn().fit(X, VALUES, verbose=0), TypeError, "train_step returned None; return a dict of numbers"),
    "batches of one": (lambda: fit(model=batch_norm(), batch_size=1), ValueError, "leaves a batch of 1"),
    "shuffle": (lambda: fit(shuffle="always"), ValueError, "shuffle must be True, False or 'batch'"),
    "validation_freq": (lambda: fit(validation_freq=0), ValueError, "validation_freq must be an integer >= 1"),
    "validation_data of one part": (lambda: fit(validation_data=(X,)), ValueError, r"validation_data must be \(x, y\) or"),
    "validation of another length": (lambda: fit(validation_data=(X, VALUES[:3])), ValueError, "validation x has 40 samples, validation y has 3"),
    "not data": (lambda: fit(object(), None), TypeError, "x must be arrays, a Dataset, a DataLoader, a generator"),
    "a layer class": (lambda: kt.Sequential([layers.Dense]), TypeError, r"got the class Dense; pass Dense\(\.\.\.\)"),
    "not a layer": (lambda: kt.Sequential(["relu"]), TypeError, "Sequential takes layers, got 'relu'"),
    "not a module": (lambda: kt.Model("net"), ValueError, "module must be a torch.nn.Module, got 'net'"),
    "units": (lambda: layers.Dense(0), ValueError, "units must be an integer >= 1, got 0"),
    "rate": (lambda: layers.Dropout(1.5), ValueError, "rate must be a finite number >= 0 and <= 1, got 1.5"),
    "activation": (lambda: layers.Dense(1, "rellu"), ValueError, "Unknown activation 'rellu'. Did you mean 'relu'"),
    "loss weights": (lambda: module({"a": "mse"}, loss_weights={"b": 1.0}), ValueError, "loss_weights are for 'b', losses for 'a'"),
    "metrics in the place of loss weights": (lambda: kt.Model(nn.Linear(1, 1)).compile("sgd", "mse", ["mae"]), ValueError, r"loss_weights must be a finite number, got 'mae'\. Metrics go to metrics="),
    "stratify": (lambda: fit(validation_split=0.2, validation_stratify=LABELS[:3]), ValueError, "x has 40 samples, validation_stratify has 3"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_refused_in_words(case):
    run, kind, message = CASES[case]
    with pytest.raises(kind, match=f"(?s){message}"):
        run()


@pytest.mark.parametrize("case", ["x", "y", "sample_weight", "labels"])
def test_refused_data_leaves_weights_and_optimizer_as_they_were(case):
    model = module("cross_entropy", 3)
    model.fit(X, LABELS, verbose=0)
    before = [p.clone() for p in model.parameters()]
    given = {"x": X, "y": LABELS, "sample_weight": torch.ones(N)}
    given |= {
        "x": {"x": with_nan(X)}, "y": {"y": LABELS[:3]}, "sample_weight": {"sample_weight": -torch.ones(N)},
        "labels": {"y": changed_labels(9)},
    }[case]  # fmt: skip
    with pytest.raises(ValueError):  # noqa: PT011  (the words are tested above)
        model.fit(**given, verbose=0)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_a_last_label_out_of_range_is_found_before_the_first_step():
    y = LABELS.clone()
    y[-1] = 3
    model = module("cross_entropy", 3)
    before = [p.clone() for p in model.parameters()]
    with pytest.raises(ValueError, match=r"y\[39\] = 3"):
        model.fit(X, y, batch_size=4, epochs=1, shuffle=False, verbose=0)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_a_label_out_of_range_in_a_later_batch_of_a_loader_is_told_in_words():
    y = LABELS.clone()
    y[20] = 3
    with pytest.raises(ValueError, match=r"y\[4\] = 3, but the model has 3 outputs"):
        fit(DataLoader(TensorDataset(X, y), batch_size=16), None, loss="cross_entropy", outputs=3)


def test_metrics_for_an_output_that_is_not_there_are_told():
    model = module("mse", metrics={"value": ["mae"]})
    with pytest.raises(ValueError, match="metrics are for output 'value'"):
        fit(model=model)


def test_what_is_fine_is_let_through():
    fit(batch_size=np.int64(8), epochs=np.int64(2))
    with pytest.warns(UserWarning, match="the loss is nan in epoch 1, batch 1"):
        fit(with_nan(X), check_finite=False)
    with pytest.warns(UserWarning, match="the loss is (inf|nan) in epoch 1, batch 1"):
        fit(model=module(), x=torch.full((N, 6), 3e38), y=VALUES)  # finite values whose sum is not
    classify(LABELS.float()[:, None])
    classify(changed_labels(-100), nn.CrossEntropyLoss())
    fit(y=VALUES[:, 0])
    fit(X, VALUES, validation_data=[X, VALUES])
    chain(lambda: layers.Dense(3), lambda: nn.LogSoftmax(1))("nll_loss")


def test_nan_in_evaluate_is_refused_unless_it_is_meant():
    model = module()
    with pytest.raises(ValueError, match="x has 1 NaN values"):
        model.evaluate(with_nan(X), VALUES, verbose=0)
    assert np.isnan(model.evaluate(with_nan(X), VALUES, verbose=0, check_finite=False))
    assert np.isnan(model.test_on_batch(with_nan(X), VALUES))


def test_freezing_after_compile_is_honoured_and_unfreezing_too():
    model = kt.Model(nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 1)))
    model.compile("sgd", "mse")
    first = model.get_submodule("0")
    first.requires_grad_(False)
    before = first.weight.clone()
    fit(model=model)
    assert torch.equal(before, first.weight)
    first.requires_grad_(True)
    fit(model=model)
    assert not torch.equal(before, first.weight)

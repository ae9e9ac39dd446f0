"""History.diagnose: evidence that tells similar causes apart, and remedies that fit the data and the optimizer."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.diagnosed import EPOCHS, FALLING, circles, fitted, history
from torch import nn

import kerastorch as kt
from kerastorch import layers
from kerastorch.diagnosis.input_kind import input_kind
from kerastorch.diagnosis.settings import FitSettings
from kerastorch.diagnosis.target_facts import TargetFacts

RISING = 0.5 + 0.001 * (EPOCHS - 12.0) ** 2


def finding(diagnosis, cause):
    return next(one for one in diagnosis.findings if one.cause == cause)


def text_of(remedies):
    return " ".join(f"{one.text} {one.code}" for one in remedies)


def dense(*widths):
    return [*(layers.Dense(width, "relu") for width in widths[:-1]), layers.Dense(widths[-1])]


def linear_values(rows=300, seed=0):
    x = np.random.default_rng(seed).normal(size=(rows, 4)).astype("float32")
    return x, x.sum(axis=1)


def test_overfitting_by_a_gap_begins_when_the_validation_loss_no_longer_falls():
    loss, flat = np.exp(-EPOCHS / 6), np.maximum(1 - EPOCHS / 20, 0.5)  # the lowest value from epoch 10 on
    found = history(loss=loss, val_loss=flat).diagnose().findings[0]
    assert found.cause == "overfitting"
    assert found.since == 10
    assert found.evidence[0].startswith("Since epoch 10 val_loss")


def test_a_single_low_value_is_not_the_epoch_since_which_the_network_overfits():
    jump = RISING.copy()
    jump[29] = 0.3
    found = history(loss=np.exp(-EPOCHS / 10), val_loss=jump).diagnose().findings[0]
    assert (found.cause, found.since) == ("overfitting", 13)
    assert "smoothed" in found.evidence[0]


def test_a_validation_as_bad_as_a_constant_prediction_is_not_healthy_although_its_rows_are_few():
    chance = np.log(2)  # of two classes of one size
    falling = 0.2 + (chance - 0.2) * np.exp(-EPOCHS / 8)
    made = history(loss=falling, val_loss=np.full(40, 0.7), accuracy=1 - falling / 2, val_accuracy=np.full(40, 0.6))
    targets = TargetFacts(75, {0: 0.5, 1: 0.5})
    settings = FitSettings("Adam", 0.003, loss="cross_entropy", task="multiclass", rows=75, validation_rows=25)
    made.record_settings(replace(settings, targets=targets))
    assert made.diagnose().causes == ("overfitting",)


@pytest.mark.parametrize("shift", [3, 100])
def test_a_loss_below_zero_overfits_since_the_same_epoch_whatever_its_zero_is(shift):
    diagnosis = history(loss=np.exp(-EPOCHS / 10) - shift, val_loss=RISING - shift).diagnose()
    assert (diagnosis.findings[0].cause, diagnosis.findings[0].since) == ("overfitting", 13)
    assert "below zero" in str(diagnosis)
    assert history(loss=FALLING - shift, val_loss=FALLING * 0.98 - shift).diagnose().causes == ("healthy",)
    jumps = np.random.default_rng(0).uniform(-0.6, 0.6, size=40)
    assert history(loss=FALLING - shift, val_loss=FALLING + jumps - shift).diagnose().causes == ("noise",)
    gap = history(loss=FALLING - shift, val_loss=np.maximum(FALLING, 0.6) - shift).diagnose()
    assert gap.causes == ("overfitting",)


def test_a_loss_below_zero_that_never_moves_is_a_plateau():
    assert history(loss=np.full(20, -3.0), val_loss=np.full(20, -3.0)).diagnose().causes == ("plateau",)


def test_nan_in_a_single_epoch_is_not_called_growing_weights():
    loss = FALLING.copy()
    loss[5] = np.nan
    single = history(loss=FALLING, val_loss=loss).diagnose().findings[0]
    assert single.since == 6
    assert "finite" in single.summary
    loss[5:] = np.nan
    assert "grew" in history(loss=FALLING, val_loss=loss).diagnose().findings[0].summary


def test_few_far_targets_are_named_from_the_settings_and_not_taken_for_a_plateau():
    x, y = linear_values()
    assert fitted(x, y, dense(32, 1), loss="mse", validation_split=0.2).diagnose().is_healthy
    y[::40] += 60
    found = fitted(x, y, dense(32, 1), loss="mse", validation_split=0.2).diagnose()
    assert found.causes == ("label problems",)
    assert "Huber" in text_of(found.findings[0].remedies)
    far = np.abs(y[:240] - np.median(y[:240])) > 30
    share = ((y[:240] - y[:240].mean()) ** 2)[far].sum() / ((y[:240] - y[:240].mean()) ** 2).sum()
    assert f"{far.mean():.1%}" in found.findings[0].evidence[0]
    assert f"{share:.0%}" in found.findings[0].evidence[0]


def test_a_rare_class_that_is_not_found_is_named_with_its_rows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1200, 6)).astype("float32")
    y = (x[:, 0] + x[:, 1] + 0.5 * rng.normal(size=1200) > 3.3).astype("int64")
    found = finding(fitted(x, y, dense(8, 2), rate=0.002, epochs=15, validation_split=0.25).diagnose(), "underfitting")
    assert found.kind == "rare"
    assert f"Class 1 has {y[:900].sum()} of 900 training rows" in " ".join(found.evidence)
    assert 'class_weight="balanced"' in found.remedies[0].code


def test_inputs_without_a_relation_to_the_targets_are_told_from_a_network_that_is_too_small():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(600, 5)).astype("float32"), rng.integers(0, 3, size=600)
    made = fitted(x, y, dense(2, 3), rate=0.003, validation_split=0.25)
    unread = finding(made.diagnose(), "underfitting")
    assert "too small" in unread.summary
    assert "features" in unread.summary
    read = made.diagnose(x, y)
    assert read.causes[0] == "label problems"
    assert read.findings[0].kind == "unrelated"
    assert "underfitting" not in read.causes
    x, y = circles(600)
    small = fitted(x, y, dense(1, 2), rate=0.003, validation_split=0.25).diagnose(x, y)
    assert "label problems" not in small.causes
    assert "forest" in " ".join(finding(small, "underfitting").evidence)


def test_values_without_a_relation_to_the_inputs_are_found_too():
    x, y = linear_values(400)
    made = fitted(x, np.random.default_rng(1).permutation(y), dense(4, 1), loss="mse", validation_split=0.25)
    shuffled = made.diagnose(x, np.random.default_rng(1).permutation(y))
    assert shuffled.findings[0].kind == "unrelated"


def test_each_output_is_judged_by_its_own_loss(tmp_path):
    x, y = linear_values()
    noise = np.random.default_rng(1).normal(size=300).astype("float32")
    kt.utils.set_random_seed(0)
    inputs = kt.Input(shape=(4,))
    hidden = layers.Dense(128, "relu")(layers.Dense(128, "relu")(inputs))
    model = kt.Model(inputs, {"rule": layers.Dense(1)(hidden), "noise": layers.Dense(1)(hidden)})
    model.compile(kt.optimizers.Adam(0.005), {"rule": "mse", "noise": "mse"})
    made = model.fit(x, {"rule": y, "noise": noise}, epochs=40, validation_split=0.3, verbose=0)
    diagnosis = made.diagnose()
    assert [(one.cause, one.output) for one in diagnosis.findings] == [("overfitting", "noise")]
    assert diagnosis.findings[0].title.startswith("overfitting (output 'noise') since epoch ")
    assert "val_noise_loss" in diagnosis.findings[0].evidence[0]
    facts = {one.name: one.targets.variance for one in made.settings.outputs}
    assert facts == pytest.approx({"rule": y[:210].var(), "noise": noise[:210].var()}, rel=1e-5)
    made.save(tmp_path / "run.json")
    assert kt.History.load(tmp_path / "run.json").diagnose() == diagnosis


def test_outputs_whose_losses_are_unknown_are_mentioned():
    made = history(loss=FALLING, val_loss=FALLING)
    made.record_settings(FitSettings(optimizer="Adam", loss="mse+cross_entropy"))
    assert "several outputs" in str(made.diagnose())


@pytest.mark.parametrize(
    ("network", "kind"),
    [
        ([nn.Linear(3, 2)], "table"),
        ([layers.Dense(3), layers.Dropout(0.1), layers.Dense(2)], "table"),
        ([nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2, 3)], "images"),
        ([layers.SeparableConv2D(3, 3)], "images"),
        ([layers.Conv1D(3, 3)], "sequences"),
        ([nn.LSTM(2, 3)], "sequences"),
        ([layers.Bidirectional(layers.GRU(3))], "sequences"),
        ([layers.Embedding(9, 4), layers.GlobalAveragePooling1D(), layers.Dense(2)], "text"),
        ([nn.Flatten(), nn.Linear(4, 2)], ""),
        ([nn.Embedding(9, 4), nn.Flatten(), nn.Linear(4, 2)], ""),
    ],
)
def test_layers_tell_the_kind_of_the_inputs(network, kind):
    assert input_kind([part for one in network for part in one.modules()]) == kind


def overfitted(x, network):
    y = np.random.default_rng(0).integers(0, 2, size=len(x))
    made = fitted(x, y, network, rate=0.005, validation_split=0.3, epochs=60)
    return text_of(finding(made.diagnose(), "overfitting").remedies)


def test_images_and_sequences_are_augmented_and_tables_are_not():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 1, 8, 8)).astype("float32")
    classifier = [layers.Flatten(), *dense(64, 2)]
    assert "kt.layers.RandomTranslation(0.1, 0.1)" in overfitted(x, [layers.Conv2D(8, 3), *classifier])
    assert "GaussianNoise" in overfitted(x[:, 0], [layers.Conv1D(8, 3), layers.Flatten(), *dense(64, 2)])
    assert "ugment" not in overfitted(x[:, 0, 0], dense(64, 64, 2))
    assert "If the inputs are images" in overfitted(x, [layers.Flatten(), *dense(64, 64, 2)])
    layer = layers.RandomTranslation(0.05, 0.05)  # the line of the remedy is one of the library
    assert layer(torch.zeros(1, 1, 8, 8)).shape == (1, 1, 8, 8)


def test_momentum_is_recorded_and_kept_in_the_line_of_code():
    x, y = circles(200)
    kt.utils.set_random_seed(0)
    model = kt.Sequential(dense(16, 2))
    model.compile(kt.optimizers.SGD(1e-6, momentum=0.8), "cross_entropy")
    made = model.fit(x, y, epochs=8, validation_split=0.25, verbose=0)
    assert made.settings.momentum == 0.8
    assert "momentum=0.8" in finding(made.diagnose(), "rate too low").remedies[0].code
    assert fitted(x, y, dense(4, 2), epochs=1).settings.momentum == 0


def test_the_targets_of_a_loader_are_read_when_it_is_given():
    x, y = circles(400)
    data = torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(y))
    loader = torch.utils.data.DataLoader(data, batch_size=32, shuffle=True)
    made = fitted(loader, None, dense(1, 2), validation_data=circles(100, 1))
    assert "constant prediction is unknown" in str(made.diagnose())
    read = made.diagnose(loader, validation_data=circles(100, 1))
    assert "underfitting" in read.causes
    assert "constant prediction is unknown" not in str(read)


def test_a_larger_validation_is_larger_than_the_present_one():
    x, y = circles(40)
    made = fitted(x, y, dense(8, 2), validation_split=0.3)
    share = float(finding(made.diagnose(), "noise").remedies[0].code.split("validation_split=")[1].rstrip(")"))
    assert 0.3 < share <= 0.5


def test_early_stopping_is_not_proposed_without_a_validation():
    x, y = circles(400)
    assert "EarlyStopping" not in str(fitted(x, y, dense(32, 2)).diagnose())
    assert "EarlyStopping" in str(fitted(x, y, dense(32, 2), validation_split=0.2).diagnose())


def test_the_plot_of_a_diagnosis_has_whole_epochs_and_shows_a_single_one():
    plt = pytest.importorskip("matplotlib.pyplot")
    axes = history(loss=[1.0], val_loss=[2.0]).diagnose().plot().axes[0]
    assert [line.get_marker() for line in axes.lines] == [".", "."]
    axes = history(loss=[3.0, 2.0], val_loss=[3.0, 2.0]).diagnose().plot().axes[0]
    assert all(tick == round(tick) for tick in axes.get_xticks())
    plt.close("all")

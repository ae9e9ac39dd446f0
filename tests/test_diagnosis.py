"""History.diagnose: causes from curves whose shape is known by a formula, from settings, and from data."""

import copy
import pickle

import numpy as np
import pytest
import torch
from support.diagnosed import EPOCHS, FALLING, circles, fitted, history

import kerastorch as kt


def test_overfitting_begins_in_the_epoch_after_the_lowest_validation_loss():
    found = history(loss=np.exp(-EPOCHS / 10), val_loss=0.5 + 0.001 * (EPOCHS - 12.0) ** 2).diagnose().findings[0]
    assert (found.cause, found.since) == ("overfitting", 13)
    assert "epoch 12" in found.evidence[0]


def test_overfitting_is_found_with_a_validation_in_every_fifth_epoch_only():
    made = kt.History()
    for epoch, loss in enumerate(np.exp(-EPOCHS / 10)):
        logs = {"loss": float(loss)}
        if (epoch + 1) % 5 == 0:
            logs["val_loss"] = 0.5 + 0.001 * (epoch + 1 - 15.0) ** 2
        made.on_epoch_end(epoch, logs)
    found = made.diagnose().findings[0]
    assert (found.cause, found.since) == ("overfitting", 20)


def test_two_curves_that_fall_to_the_same_low_level_are_healthy():
    diagnosis = history(loss=FALLING, val_loss=FALLING * 1.05).diagnose()
    assert diagnosis.is_healthy
    assert diagnosis.causes == ("healthy",)


def test_losses_that_become_nan_are_exploding_since_that_epoch():
    loss = np.where(EPOCHS < 7, 1.0 + EPOCHS, np.nan)
    found = history(loss=loss, val_loss=loss).diagnose().findings[0]
    assert (found.cause, found.since) == ("exploding", 7)


def test_a_loss_that_never_moves_is_a_plateau():
    found = history(loss=np.full(20, 0.69), val_loss=np.full(20, 0.7)).diagnose().findings[0]
    assert found.cause == "plateau"
    assert found.since == 1


def test_a_straight_line_that_hardly_falls_means_that_the_rate_is_too_low():
    line = 2.3 - 0.004 * EPOCHS
    assert history(loss=line, val_loss=line + 0.01).diagnose().findings[0].cause == "rate too low"


def test_a_training_loss_that_jumps_means_that_the_rate_is_too_high():
    jumps = 2 + np.where(EPOCHS % 2, 1.0, -1.0)
    assert history(loss=jumps, val_loss=jumps + 0.1).diagnose().findings[0].cause == "rate too high"


def test_a_validation_loss_that_jumps_around_a_smooth_training_loss_is_noise():
    jumps = np.random.default_rng(0).uniform(0.5, 1.5, size=40)
    assert history(loss=FALLING, val_loss=FALLING * 1.05 * jumps).diagnose().findings[0].cause == "noise"


def test_a_validation_loss_below_the_training_loss_is_found():
    causes = history(loss=FALLING, val_loss=FALLING * 0.8).diagnose().causes
    assert causes == ("validation better than training",)


def test_one_epoch_is_too_few_to_say_more():
    assert history(loss=[1.0], val_loss=[1.0]).diagnose().causes == ("too few epochs",)


def test_a_fit_without_validation_says_so():
    assert history(loss=FALLING).diagnose().causes == ("healthy", "no validation data")


def test_a_fit_without_epochs_or_without_a_loss_says_what_is_missing():
    assert "no epoch" in str(kt.History().diagnose())
    diagnosis = history(reward=[1.0, 2.0, 3.0, 4.0, 5.0]).diagnose()
    assert diagnosis.causes == ("no loss",)
    assert "reward" in str(diagnosis)


def test_an_untrained_linear_model_on_circles_underfits_and_the_remedy_is_a_larger_network():
    x, y = circles(400)
    found = fitted(x, y, [kt.layers.Dense(2)], validation_split=0.25, epochs=30).diagnose().findings[0]
    assert found.cause in ("underfitting", "plateau")
    assert fitted(x, y, [kt.layers.Dense(32, "relu"), kt.layers.Dense(2)], validation_split=0.25).diagnose().is_healthy


def test_a_strong_penalty_underfits_and_the_first_remedy_is_a_weaker_one():
    x, y = circles(400)
    penalty = kt.regularizers.L2(0.2)
    layers = [kt.layers.Dense(32, "relu", kernel_regularizer=penalty), kt.layers.Dense(2, kernel_regularizer=penalty)]
    found = fitted(x, y, layers, validation_split=0.25, epochs=30).diagnose()
    under = next(one for one in found.findings if one.cause == "underfitting")
    assert "penalty" in under.remedies[0].text
    assert "L2" in " ".join(under.evidence)


def test_the_settings_of_the_fit_tell_a_rate_that_is_too_low_from_too_few_epochs():
    x, y = circles(400)
    layers = [kt.layers.Dense(32, "relu"), kt.layers.Dense(2)]
    slow = fitted(x, y, layers, rate=1e-5, validation_split=0.25).diagnose().findings[0]
    assert slow.cause == "rate too low"
    assert "1e-05" in slow.evidence[0]
    assert "learning_rate=" in slow.remedies[0].code


def test_sorted_rows_without_shuffling_are_found_from_the_settings_alone():
    x, y = circles(400)
    order = np.argsort(y, kind="stable")
    layers = [kt.layers.Dense(16, "relu"), kt.layers.Dense(2)]
    sorted_rows = fitted(x[order], y[order], layers, shuffle=False, validation_data=circles(100, 1)).diagnose()
    assert sorted_rows.causes[0] == "data order"
    shuffled = fitted(x[order], y[order], layers, validation_data=circles(100, 1)).diagnose()
    assert "data order" not in shuffled.causes


@pytest.mark.filterwarnings("ignore:validation_split")
def test_a_validation_split_of_sorted_rows_is_found_for_classes_and_for_values():
    x, y = circles(400)
    order = np.argsort(y, kind="stable")
    layers = [kt.layers.Dense(8, "relu"), kt.layers.Dense(2)]
    assert fitted(x[order], y[order], layers, validation_split=0.25).diagnose().causes[0] == "data order"
    x = np.sort(np.random.default_rng(0).normal(size=(200, 1)).astype("float32"), axis=0)
    found = fitted(x, 2 * x[:, 0], [kt.layers.Dense(1)], loss="mse", validation_split=0.25).diagnose()
    assert found.causes[0] == "data order"


def test_validation_rows_of_a_class_that_the_training_lacks_are_found_before_overfitting():
    x, y = circles(200)
    layers = [kt.layers.Dense(8, "relu"), kt.layers.Dense(3)]
    moved = fitted(x, y, layers, validation_data=(x, y + 1)).diagnose()
    assert moved.causes[0] == "data order"
    share = (y == 1).mean()  # these become class 2
    assert f"{share:.0%} of the validation rows" in moved.findings[0].evidence[0]
    few = y.copy()
    few[:5] = 2
    layers = [kt.layers.Dense(8, "relu"), kt.layers.Dense(3)]
    assert "data order" not in fitted(x, y, layers, validation_data=(x, few)).diagnose().causes


def test_values_that_are_worse_than_a_constant_prediction_are_to_be_scaled():
    x = np.random.default_rng(0).normal(size=(200, 3)).astype("float32")
    layers = [kt.layers.Dense(16, "relu"), kt.layers.Dense(1)]
    found = fitted(x, 1000 + 50 * x[:, 0], layers, loss="mse", rate=0.003, validation_split=0.25).diagnose()
    under = next(one for one in found.findings if one.cause == "underfitting")
    assert under.remedies[0].text.startswith("Scale the targets")


def test_validation_rows_that_are_copies_are_leakage_and_natural_repetitions_are_not():
    x, y = circles(300)
    x_val, y_val = circles(100, 1)
    x_val[:20], y_val[:20] = x[:20], y[:20]
    layers = [kt.layers.Dense(16, "relu"), kt.layers.Dense(2)]
    made = fitted(x, y, layers, validation_data=(x_val, y_val))
    found = made.diagnose(x, y, (x_val, y_val))
    leak = next(one for one in found.findings if one.cause == "suspected leakage")
    assert leak.evidence[0].startswith("20 ")
    assert "np.delete" not in "".join(remedy.code for remedy in leak.remedies)
    assert "suspected leakage" not in made.diagnose(x, y, circles(100, 1)).causes
    coarse, coarse_val = x.round(), x_val.round()  # few different rows, so copies are to be expected
    assert "suspected leakage" not in made.diagnose(coarse, y, (coarse_val, y_val)).causes


def test_a_column_that_gives_the_target_away_is_named():
    x, y = circles(300)
    told = np.hstack([x, y[:, None] + 0.01 * x[:, :1]]).astype("float32")
    made = fitted(told, y, [kt.layers.Dense(2)], validation_split=0.25)
    leak = next(one for one in made.diagnose(told, y).findings if one.cause == "suspected leakage")
    assert "Column 2" in leak.evidence[0]


def test_wrong_labels_are_found_with_the_data_and_right_ones_are_not():
    x, y = circles(400)
    rng = np.random.default_rng(0)
    wrong = np.where(rng.random(400) < 0.35, 1 - y, y)
    made = fitted(x, wrong, [kt.layers.Dense(64, "relu"), kt.layers.Dense(2)], validation_data=circles(100, 1))
    assert "label problems" in made.diagnose(x, wrong, circles(100, 1)).causes
    assert "label problems" not in made.diagnose(x, y, circles(100, 1)).causes


def test_equal_rows_with_different_labels_are_label_problems():
    x, y = circles(200)
    x, y = np.concatenate([x, x[:40]]), np.concatenate([y, 1 - y[:40]])
    made = fitted(x, y, [kt.layers.Dense(8, "relu"), kt.layers.Dense(2)], validation_data=circles(100, 1))
    found = next(one for one in made.diagnose(x, y).findings if one.cause == "label problems")
    assert found.evidence[0].startswith("80 ")


def test_the_data_may_be_tensors_a_loader_or_a_frame():
    pd = pytest.importorskip("pandas")
    x, y = circles(120)
    made = fitted(x, y, [kt.layers.Dense(8, "relu"), kt.layers.Dense(2)], validation_data=circles(50, 1))
    expected = made.diagnose(x, y, (x[:50], y[:50]))
    assert "suspected leakage" in expected.causes
    tensors = torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(y))
    loader = torch.utils.data.DataLoader(tensors, batch_size=32)
    for data in ((pd.DataFrame(x), pd.Series(y)), (torch.tensor(x), torch.tensor(y)), (loader, None), (tensors, None)):
        assert made.diagnose(*data, (x[:50], y[:50])) == expected


def test_data_that_do_not_fit_each_other_are_refused():
    x, y = circles(50)
    made = history(loss=FALLING, val_loss=FALLING)
    with pytest.raises(ValueError, match="50 samples, y has 49"):
        made.diagnose(x, y[:49])
    with pytest.raises(ValueError, match="3 columns"):
        made.diagnose(x, y, (np.zeros((5, 3), "float32"), y[:5]))


def test_a_diagnosis_is_text_a_frame_and_a_pickle():
    pytest.importorskip("pandas")
    diagnosis = history(loss=np.exp(-EPOCHS / 10), val_loss=0.5 + 0.001 * (EPOCHS - 12.0) ** 2).diagnose()
    text = str(diagnosis)
    assert "overfitting since epoch 13" in text
    assert "EarlyStopping(" in text
    assert repr(diagnosis) == text
    assert list(diagnosis.frame()["since"]) == [13]
    assert pickle.loads(pickle.dumps(diagnosis)) == diagnosis
    assert copy.deepcopy(diagnosis) == diagnosis


def test_a_saved_history_has_the_same_diagnosis(tmp_path):
    x, y = circles(200)
    made = fitted(x, y, [kt.layers.Dense(8, "relu"), kt.layers.Dense(2)], rate=1e-5, validation_split=0.25)
    made.save(tmp_path / "run.json")
    assert kt.History.load(tmp_path / "run.json").diagnose() == made.diagnose()


def test_the_plot_shades_the_epochs_of_overfitting_in_each_panel_and_has_the_text(tmp_path):
    plt = pytest.importorskip("matplotlib.pyplot")
    made = history(loss=np.exp(-EPOCHS / 10), val_loss=0.5 + 0.001 * (EPOCHS - 12.0) ** 2, accuracy=1 - FALLING / 2)
    figure = made.plot(tmp_path / "plot.png", diagnose=True)
    assert "overfitting since epoch 13" in figure.axes[0].get_title()
    for axes in figure.axes:
        (span,) = axes.patches
        assert span.get_x() == 12.5
    assert "Try first" in figure.get_supxlabel()
    assert (tmp_path / "plot.png").exists()
    assert not any(axes.patches for axes in made.plot().axes)
    single = made.diagnose().plot()
    assert single.axes[0].get_xlabel() == "epoch"
    plt.close("all")

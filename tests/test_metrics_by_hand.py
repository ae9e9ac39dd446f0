"""Metric objects in the hands of their users: calls, states, devices, configs, and subclasses."""

import copy

import numpy as np
import pytest
import torch

import kerastorch as kt


class Largest(kt.metrics.Metric):
    def __init__(self, factor=1.0, name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        self.factor = factor
        self.largest = self.add_weight(shape=(), initializer="zeros", name="largest")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.largest.assign(
            torch.maximum(self.largest, (torch.as_tensor(y_true) - torch.as_tensor(y_pred)).abs().max())
        )

    def result(self):
        return self.factor * self.largest


def test_a_call_updates_and_returns_the_result():
    metric = kt.metrics.MeanSquaredError()
    assert float(metric([[1.0]], [[3.0]])) == 4
    assert float(metric([[1.0]], [[1.0]])) == 2
    assert metric.result().dtype == torch.float32
    assert metric.result().shape == ()


@pytest.mark.parametrize("make", [list, np.asarray, torch.as_tensor])
def test_lists_arrays_and_tensors_are_taken(make):
    metric = kt.metrics.Precision()
    metric.update_state(make([0, 1, 1]), make([0.9, 0.1, 0.8]), sample_weight=make([1.0, 1.0, 3.0]))
    assert float(metric.result()) == 0.75


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_outputs_of_other_dtypes_give_float32(dtype):
    metric = kt.metrics.MeanAbsoluteError()
    metric.update_state(torch.zeros(4, 1), torch.full((4, 1), 0.5, dtype=dtype))
    assert metric.result().dtype == torch.float32
    assert float(metric.result()) == 0.5


def test_no_gradient_is_recorded():
    p = torch.full((4, 1), 0.5, requires_grad=True)
    for metric in (kt.metrics.AUC(), kt.metrics.MeanSquaredError(), kt.metrics.F1Score(), kt.metrics.R2Score()):
        metric.update_state(torch.ones(4, 1), p)
        assert not metric.result().requires_grad
        assert not any(one.requires_grad for one in metric.variables)


def test_a_result_is_not_changed_by_later_batches():
    metric = kt.metrics.TruePositives()
    first = metric([1], [0.9])
    metric.update_state([1], [0.9])
    assert (float(first), float(metric.result())) == (1, 2)
    own = Largest()
    own.update_state([0.0], [1.0])
    before = own.result()
    own.update_state([0.0], [2.0])
    assert (float(before), float(own.result())) == (1, 2)


def test_sums_are_exact_where_float32_is_not():
    metric = kt.metrics.Mean()
    metric.update_state(torch.full((1,), 2.0**24))
    for _ in range(10):
        metric.update_state(torch.ones(1))
    assert float(metric.total) == 2.0**24 + 10


def test_variables_are_the_state():
    metric = kt.metrics.Precision(thresholds=[0.2, 0.7])
    assert [one.shape for one in metric.variables] == [(2,), (2,)]
    metric.update_state([1, 0], [0.5, 0.8])
    assert metric.true_positives.tolist() == [1, 0]
    assert metric.false_positives.numpy().tolist() == [1, 1]
    assert metric.true_positives.value.sum() == 1


def test_a_variable_keeps_its_shape_and_dtype():
    variable = kt.metrics.Mean().add_variable((2,), "ones", dtype="int64")
    variable.assign(np.array([3, 4]))
    variable.assign_add(torch.tensor([1, 1]))
    variable.assign_sub(2)
    assert variable.tolist() == [2, 3]
    assert variable.dtype == torch.int64
    assert type(variable * 2) is torch.Tensor
    with pytest.raises(ValueError, match=r"a state of shape \(2,\) was assigned a value of \(3,\)"):
        variable.assign([1, 2, 3])


def test_metrics_in_a_metric_belong_to_its_state():
    class Two(kt.metrics.Metric):
        def __init__(self):
            super().__init__(name="two")
            self.parts = [kt.metrics.Precision(), kt.metrics.Recall()]
            self.loss = kt.metrics.Mean()

        def update_state(self, y_true, y_pred, sample_weight=None):
            for part in self.parts:
                part.update_state(y_true, y_pred, sample_weight)

        def result(self):
            return {part.name: part.result() for part in self.parts}

    metric = Two()
    assert {name: float(value) for name, value in metric([1, 1], [0.9, 0.1]).items()} == {"precision": 1, "recall": 0.5}
    assert len(metric.variables) == 6
    metric.reset_state()
    assert not any(float(value) for value in metric.result().values())


def test_a_copy_has_a_state_of_its_own():
    metric = kt.metrics.AUC()
    metric.update_state([0, 1], [0.2, 0.9])
    copied = copy.deepcopy(metric)
    copied.update_state([0, 1], [0.9, 0.2])
    assert float(metric.result()) == 1
    assert float(copied.result()) == 0.5
    assert copied.variables[0] is copied.true_positives


@pytest.mark.skipif(not torch.accelerator.is_available(), reason="there is one device")
def test_a_metric_moves_to_the_device_of_the_outputs():
    device = torch.accelerator.current_accelerator()
    for metric in (kt.metrics.AUC(), kt.metrics.F1Score(), Largest()):
        metric.to(device)
        y, p = torch.ones(4, 1, device=device), torch.rand(4, 1, device=device)
        metric.update_state(y, p)
        assert {one.device.type for one in (*metric.variables, metric.result())} == {device.type}
        metric.update_state(y.cpu(), p.cpu())
        assert metric.result().device.type == "cpu"


def test_the_config_of_a_subclass_makes_an_equal_metric():
    metric = Largest(factor=3.0, name="top")
    config = metric.get_config()
    assert config == {"factor": 3.0, "name": "top", "dtype": "float32"}
    again = Largest.from_config(config)
    again.update_state([0.0], [2.0])
    assert (again.name, float(again.result())) == ("top", 6)


def test_a_get_config_of_ones_own_may_start_with_that_of_the_base():
    class Own(kt.metrics.Metric):
        def __init__(self, n, name="own", dtype=None):
            super().__init__(dtype, name)
            self.number = n

        def get_config(self):
            return {**super().get_config(), "n": self.number}

    assert Own.from_config(Own(4).get_config()).number == 4


def test_an_unfinished_subclass_says_what_it_lacks():
    class Nothing(kt.metrics.Metric):
        pass

    with pytest.raises(
        NotImplementedError, match=r"Nothing must define update_state\(y_true, y_pred, sample_weight=None\)"
    ):
        Nothing().update_state([1], [1])
    with pytest.raises(NotImplementedError, match=r"Nothing must define result\(\)"):
        Nothing().result()

    class Forgets(kt.metrics.Metric):
        def __init__(self):
            self.total = self.add_weight()

    with pytest.raises(RuntimeError, match=r"Forgets.__init__ must call super\(\).__init__\(\)"):
        Forgets()


BAD = [
    (lambda: kt.metrics.Precision(thresholds=1.5), "thresholds must be a finite number >= 0 and <= 1, got 1.5"),
    (lambda: kt.metrics.Precision(thresholds=[]), "got an empty list"),
    (lambda: kt.metrics.AUC(curve="ROCK"), "curve must be one of 'ROC', 'PR', 'PRGAIN', got 'ROCK'"),
    (lambda: kt.metrics.AUC(summation_method="left"), "summation_method must be one of 'interpolation'"),
    (lambda: kt.metrics.AUC(num_thresholds=1), "num_thresholds must be an integer >= 2"),
    (lambda: kt.metrics.AUC(num_labels=3), "num_labels is for multi_label=True"),
    (lambda: kt.metrics.FBetaScore(beta=0), "beta must be a finite number > 0"),
    (lambda: kt.metrics.F1Score(average="mean"), "average must be one of None, 'micro'"),
    (lambda: kt.metrics.F1Score(threshold=0), "threshold must be a finite number"),
    (lambda: kt.metrics.PrecisionAtRecall(2), "recall must be a finite number >= 0 and <= 1, got 2"),
    (lambda: kt.metrics.IoU(2, [2]), "target_class_ids must be class numbers below num_classes=2"),
    (lambda: kt.metrics.R2Score("mean"), "class_aggregation must be 'uniform_average'"),
    (lambda: kt.metrics.TopKCategoricalAccuracy(0), "k must be an integer >= 1"),
    (lambda: kt.metrics.Mean(dtype="float33"), "dtype must be a dtype of torch or its name"),
    (lambda: kt.metrics.TopKCategoricalAccuracy()([[0, 1]], [[0.1, 0.9]]), "k=5, but there are 2 outputs"),
    (lambda: kt.metrics.Precision(class_id=2)([[0, 1]], [[0.1, 0.9]]), "class_id=2, but the outputs have shape"),
    (lambda: kt.metrics.Precision(top_k=3)([[0, 1]], [[0.1, 0.9]]), "top_k=3, but there are 2 outputs"),
    (lambda: kt.metrics.Precision()([0, 1, 1], [[0.1, 0.9]]), "the shapes must match"),
    (lambda: kt.metrics.BinaryAccuracy()([0, 1], [[0.1, 0.9], [0.1, 0.9]]), "If y_true holds class numbers"),
    (lambda: kt.metrics.SparseCategoricalAccuracy()([[0, 1]], [[0.1, 0.9]]), "They look one-hot"),
    (lambda: kt.metrics.MeanSquaredError()([[1.0]], [[1.0]], [1.0, 2.0]), "sample_weight has shape"),
    (lambda: kt.metrics.Recall()([1, 1], [1.0, 1.0], [1.0, 2.0, 3.0]), "sample_weight has shape"),
    (lambda: kt.metrics.MeanIoU(2)([0, 1], [[0.1, 0.9], [0.8, 0.2]]), "sparse_y_pred=False takes scores"),
    (lambda: kt.metrics.PearsonCorrelation()([[1.0]], [[1.0]]), "needs several values along axis -1"),
    (lambda: kt.metrics.Precision(treshold=0.5), "has no argument 'treshold'. Did you mean 'thresholds'"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message[:40] for _, message in BAD])
def test_bad_input_is_answered_where_it_enters(call, message):
    with pytest.raises((ValueError, TypeError)) as found:
        call()
    assert message in str(found.value)


def test_an_adjusted_score_of_too_few_samples_warns():
    metric = kt.metrics.R2Score(num_regressors=5)
    metric.update_state([[1.0], [2.0], [4.0]], [[1.0], [2.5], [4.0]])
    with pytest.warns(UserWarning, match="needs more than 6 values, there are 3"):
        value = metric.result()
    plain = kt.metrics.R2Score()
    assert value == plain([[1.0], [2.0], [4.0]], [[1.0], [2.5], [4.0]])


@pytest.mark.parametrize(
    "name", ["binary_accuracy", "categorical_accuracy", "pearson_correlation", "mean_squared_error"]
)
def test_functions_give_numpy_for_numpy_and_tensors_for_tensors(name):
    function, y, p = getattr(kt.metrics, name), np.eye(3, dtype="float32"), np.eye(3, dtype="float32") * 0.9
    found = function(y, p)
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(function(torch.as_tensor(y), torch.as_tensor(p)).numpy(), found)
    assert found.shape == ((3, 3) if name == "binary_accuracy" else (3,))


def test_labels_minus_one_are_no():
    metric = kt.metrics.Precision()
    assert float(metric([-1, 1], [0.9, 0.9])) == 0.5


def test_nan_is_above_no_threshold():
    metric = kt.metrics.FalseNegatives()
    assert float(metric([1, 1], [float("nan"), 0.9])) == 1

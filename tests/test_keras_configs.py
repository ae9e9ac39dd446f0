"""What Keras' scripts pass as configs and arrays: `get` of a dict, penalties of arrays, and rates of optimizers."""

import pickle

import numpy as np
import pytest
import torch

import kerastorch as kt
import kerastorch.keras as keras

CONFIGS = {
    "optimizers": {"class_name": "Adam", "config": {"learning_rate": 0.5}},
    "losses": {"class_name": "Huber", "config": {"delta": 2.0}},
    "metrics": {"class_name": "Mean", "config": {"name": "q"}},
    "initializers": {"class_name": "Constant", "config": {"value": 3.0}},
    "regularizers": {"class_name": "L2", "config": {"l2": 3.0}},
    "constraints": {"class_name": "MaxNorm", "config": {"max_value": 3.0}},
}


@pytest.mark.parametrize("function", ["get", "deserialize"])
@pytest.mark.parametrize("room", CONFIGS)
def test_a_config_names_a_class_without_its_module(room, function):
    config = CONFIGS[room]
    module = getattr(keras, room)
    made = getattr(module, function)(config)
    assert type(made) is getattr(getattr(kt, room), config["class_name"])
    ((name, value),) = config["config"].items()
    assert getattr(made, name) == value


def test_get_takes_what_it_took():
    assert keras.losses.get("mse") == kt.losses.get("mse") or callable(keras.losses.get("mse"))
    optimizer = keras.optimizers.Adam(0.5)
    assert keras.optimizers.get(optimizer) is optimizer
    assert keras.regularizers.get(None) is None
    with pytest.raises(ValueError, match="Unknown optimizer 'adamm'"):
        keras.optimizers.get("adamm")
    with pytest.raises(ValueError, match="Unknown class or function 'Nothing'"):
        keras.losses.get({"class_name": "Nothing", "config": {}})


def test_layers_are_deserialized_by_their_names():
    made = keras.layers.deserialize({"class_name": "Dense", "config": {"units": 3}})
    assert made.units == 3


def test_penalties_of_arrays():
    weight = np.array([[3.0, 4.0], [0.0, 1.0]])
    assert float(keras.regularizers.l1_l2(l1=0.5, l2=2.0)(weight)) == pytest.approx(0.5 * 8 + 2 * 26)
    assert float(keras.regularizers.L2(2.0)(weight.tolist())) == pytest.approx(52)
    assert float(keras.regularizers.OrthogonalRegularizer(1.0)(weight)) == pytest.approx(4 / 5)


def test_masks_of_arrays():
    given = np.array([[1, 0, 2]])
    assert keras.layers.Embedding(3, 2, mask_zero=True).compute_mask(given).tolist() == [[True, False, True]]
    assert keras.layers.Masking().compute_mask([[[1.0, 0.0], [0.0, 0.0]]]).tolist() == [[True, False]]


def fitted(optimizer):
    model = kt.Sequential([kt.layers.Dense(1)])
    model.compile(optimizer, "mse")
    model.fit(np.ones((6, 2)), np.ones((6, 1)), batch_size=2, epochs=2, verbose=0)
    return model


def test_an_optimizer_counts_its_steps():
    assert fitted(kt.optimizers.Adam()).optimizer.iterations == 6
    schedule = kt.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
    assert fitted(kt.optimizers.SGD(schedule)).optimizer.iterations == 6
    with pytest.raises(AttributeError, match="SGD of torch counts no steps"):
        _ = fitted(kt.optimizers.SGD(0.1)).optimizer.iterations
    built = kt.Sequential([kt.Input((2,)), kt.layers.Dense(1)])
    built.compile("rmsprop", "mse")
    assert built.optimizer.iterations == 0


def test_a_rate_is_assigned():
    model = fitted(kt.optimizers.Adam(0.5))
    rate = model.optimizer.learning_rate
    assert rate == 0.5
    assert rate.numpy() == 0.5
    assert repr(rate) == "0.5"
    rate.assign(torch.tensor(0.25))
    assert model.optimizer.learning_rate == model.optimizer.param_groups[0]["lr"] == 0.25
    assert type(pickle.loads(pickle.dumps(rate))) is float

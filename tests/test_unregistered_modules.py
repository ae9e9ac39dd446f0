"""Layers and parameters in plain lists, tuples and dicts: nothing leaves them out without a word."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as kt
from kerastorch.layers import Dense, Dropout, Layer

X, Y = np.random.default_rng(0).normal(size=(8, 3)).astype("float32"), np.zeros((8, 1), "float32")


def through(things, x):
    for one in things:
        x = one(x)
    return x


class Tower(kt.Model):
    """Its layers are in `tower`, made by `make`."""

    def __init__(self, make):
        super().__init__()
        self.tower = make()
        self.head = Dense(1)

    def forward(self, x):
        values = self.tower.values() if isinstance(self.tower, dict) else self.tower
        flat = [leaf for one in values for leaf in (one if isinstance(one, list) else [one])]
        return self.head(through(flat, x))


class Appended(Tower):
    def __init__(self, _=None):
        super().__init__(list)
        for _ in range(2):
            self.tower.append(Dense(3))


class OnlyAList(kt.Model):
    def __init__(self, _=None):
        super().__init__()
        self.tower = [nn.Linear(3, 1)]

    def forward(self, x):
        return self.tower[0](x)


class InALayer(Layer):
    def __init__(self):
        super().__init__()
        self.tower = [Dense(3), Dense(3)]

    def forward(self, x):
        return through(self.tower, x)


class WeightsInALayer(Layer):
    def build(self, input_shape):
        self.tower = [self.add_weight(input_shape[-1:], "ones") for _ in range(2)]

    def forward(self, x):
        return x * self.tower[0] * self.tower[1]


class ParametersOfAModel(kt.Model):
    def __init__(self, _=None):
        super().__init__()
        self.tower = {"w": nn.Parameter(torch.ones(3, 1))}

    def forward(self, x):
        return x @ self.tower["w"]


HIDDEN = {
    "a list": (lambda: Tower(lambda: [Dense(3), Dense(3)]), "nn.ModuleList"),
    "a list of torch's": (lambda: Tower(lambda: [nn.Linear(3, 3)]), "nn.ModuleList"),
    "a tuple": (lambda: Tower(lambda: (Dense(3),)), "nn.ModuleList"),
    "a dict": (lambda: Tower(lambda: {"a": Dense(3)}), "nn.ModuleDict"),
    "lists in a list": (lambda: Tower(lambda: [[Dense(3)], [Dense(3)]]), "nn.ModuleList"),
    "a list of chains": (lambda: Tower(lambda: [kt.Sequential([Dense(3)])]), "nn.ModuleList"),
    "appended to": (Appended, "nn.ModuleList"),
    "nothing but a list": (OnlyAList, "nn.ModuleList"),
    "within a layer": (lambda: kt.Sequential([InALayer(), Dense(1)]), "nn.ModuleList"),
    "a parameter": (ParametersOfAModel, "nn.ParameterDict"),
}


@pytest.mark.parametrize(("make", "cure"), HIDDEN.values(), ids=list(HIDDEN))
def test_training_counting_and_saving_are_refused_with_the_cure(make, cure, tmp_path):
    verbs = {
        "compile": lambda m: m.compile("adam", "mse"),
        "predict": lambda m: m.predict(X, verbose=0),
        "parameters": lambda m: list(m.parameters()),
        "trainable_weights": lambda m: m.trainable_weights,
        "count_params": lambda m: m(torch.from_numpy(X)).sum() * 0 + m.count_params(),
        "get_weights": lambda m: m.get_weights(),
        "state_dict": lambda m: m.state_dict(),
        "load_state_dict": lambda m: m.load_state_dict({}),
        "eval": lambda m: m.eval(),
        "summary": lambda m: m.summary(input_shape=(None, 3), print_fn=str),
        "save": lambda m: m.save(tmp_path / "m.kt"),
        "save_weights": lambda m: m.save_weights(tmp_path / "m.safetensors"),
        "copy": lambda m: list(copy.deepcopy(m).parameters()),
    }
    for verb in verbs.values():
        model = make()
        model(torch.from_numpy(X))
        with pytest.raises((ValueError, TypeError), match=rf"\.tower is a plain .*{cure}"):
            verb(model)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", ["fit", "evaluate", "train_on_batch"])
def test_what_is_put_into_a_list_after_compile_is_found_when_it_trains(verb):
    model = Tower(list)
    model.compile("adam", "mse")
    model.tower.append(Dense(3))
    with pytest.raises(ValueError, match=r"torch\.nn\.ModuleList"):
        getattr(model, verb)(X, Y)


def test_weights_that_a_layer_adds_to_a_list_are_registered_when_it_is_built():
    model = kt.Sequential([WeightsInALayer(), Dense(1)])
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    assert [*model.state_dict()][:2] == ["0.weight", "0.weight_1"]
    assert not torch.equal(model[0].tower[0], torch.ones(3))


def test_the_cure_trains_counts_and_saves_all_of_it(tmp_path):
    class Cured(kt.Model):
        def __init__(self):
            super().__init__()
            self.tower = nn.ModuleList()
            for _ in range(2):
                self.tower.append(Dense(3))
            self.head = Dense(1)

        def forward(self, x):
            return self.head(through(self.tower, x))

    model = Cured()
    model.compile(kt.optimizers.SGD(0.1), "mse")
    model(torch.from_numpy(X))
    before = copy.deepcopy(model.state_dict())
    model.fit(X, Y + 1, verbose=0)
    assert model.count_params() == 2 * 12 + 4
    assert next(iter(before)) == "tower.0.weight"
    assert not any(torch.equal(before[name], weight) for name, weight in model.state_dict().items())


def test_a_list_of_what_is_registered_elsewhere_is_fine():
    class Ordered(kt.Model):
        def __init__(self):
            super().__init__()
            self.in_order = []
            self.a, self.b, self.drop = Dense(3), Dense(1), Dropout(0.5)
            self.in_order += [self.a, self.drop, self.b]
            self.names, self.sizes, self.functions = ["a", "b"], {"a": (3,)}, [torch.relu, nn.ReLU(), nn.MSELoss()]
            self.pairs = [(self.a, [self.b])]

        def forward(self, x):
            return through(self.in_order, x)

    model = Ordered()
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    assert model.count_params() == 12 + 4

    class Tied(Layer):
        """Uses a layer of the model that it is a part of."""

        def __init__(self, others):
            super().__init__()
            self.others = [others]

        def forward(self, x):
            return self.others[0](x)

    shared = Dense(3)
    whole = kt.Sequential([shared, Tied(shared), Dense(1)])
    whole.compile("sgd", "mse")
    whole.fit(X, Y, verbose=0)
    whole.summary(print_fn=str)
    assert whole.count_params() == 12 + 4


def test_a_dropout_in_a_list_would_stay_in_training_mode():
    class Dropping(kt.Model):
        def __init__(self):
            super().__init__()
            self.drops = [nn.Dropout(0.5)]
            self.head = nn.Linear(3, 1)

        def forward(self, x):
            return self.head(self.drops[0](x))

    with pytest.raises(ValueError, match=r"Dropping\.drops is a plain list with a Dropout"):
        Dropping().predict(X)


def test_a_module_of_torch_that_hides_some_is_warned_of_once_and_trained_as_it_is():
    class Distilled(nn.Module):
        def __init__(self):
            super().__init__()
            self.student, self.teacher = nn.Linear(3, 1), [nn.Linear(3, 1)]

        def forward(self, x):
            return self.student(x) + self.teacher[0](x).detach()

    model = kt.Model(Distilled())
    with pytest.warns(UserWarning, match=r"Distilled\.teacher is a plain list with a Linear") as caught:
        model.compile("sgd", "mse")
    assert len(caught) == 1
    assert caught[0].filename == __file__
    teacher = model.module_viewed.teacher[0].weight.clone()
    model.fit(X, Y, verbose=0)
    assert torch.equal(teacher, model.module_viewed.teacher[0].weight)
    assert model.count_params() == 4


def test_a_frozen_teacher_is_hidden_on_purpose_as_the_error_says():
    class Student(kt.Model):
        def __init__(self, teacher):
            super().__init__()
            self.__dict__["teacher"] = teacher
            self.head = Dense(1)

        def forward(self, x):
            return self.head(x) + self.teacher(x).detach()

    model = Student(nn.Linear(3, 1))
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    assert model.count_params() == 4


def test_a_model_without_parameters_says_that_there_is_nothing_to_train():
    model = kt.Sequential([kt.layers.Flatten()])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="the model has no parameters, so there is nothing to train"):
        model.fit(X, np.zeros((8, 3)), verbose=0)

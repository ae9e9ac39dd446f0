"""Channels-last memory format: for images on their way in, where it helps; nothing else is different."""

import random

import numpy as np
import pytest
import torch
from support.problems import hand_loop
from torch import nn
from torch.nn import functional as F

import kerastorch as kt


class Probe(nn.Module):
    """Keeps the strides of what goes through it."""

    def __init__(self):
        super().__init__()
        self.strides = []

    def forward(self, x):
        self.strides.append(x.stride())
        return x


class Viewing(nn.Module):
    """As in many a tutorial: `view`, which works on contiguous images only."""

    def __init__(self):
        super().__init__()
        self.probe, self.conv, self.out = Probe(), nn.Conv2d(3, 4, 3), nn.Linear(36, 3)

    def forward(self, x):
        x = F.max_pool2d(self.conv(self.probe(x)), 2)
        return self.out(x.view(x.size(0), -1))


class Folding(Viewing):
    """Its view works on one image, not on several."""

    def forward(self, x):
        x = F.max_pool2d(self.conv(self.probe(x)), 2)
        return self.out(x.view(-1, 3, 3).reshape(x.size(0), -1))


class Flattening(Viewing):
    def forward(self, x):
        return self.out(torch.flatten(F.max_pool2d(self.conv(self.probe(x)), 2), 1))


class ViewingInTraining(Viewing):
    def forward(self, x):
        x = F.max_pool2d(self.conv(self.probe(x)), 2)
        return self.out(x.view(x.size(0), -1) if self.training else x.flatten(1))


def gray():
    layers = [Probe(), nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)]
    return nn.Sequential(*layers)


def colour():
    start = [Probe(), nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=4)]
    return nn.Sequential(*start, nn.AvgPool2d(2), nn.Flatten(), nn.Dropout(0.3), nn.Linear(16, 3))


def volume():
    return nn.Sequential(Probe(), nn.Conv3d(1, 4, 3), nn.ReLU(), nn.MaxPool3d(2), nn.Flatten(), nn.Linear(108, 3))


def images(*shape, n=40):
    generator = torch.Generator().manual_seed(3)
    return torch.randn(n, *shape, generator=generator), torch.randint(0, 3, (n,), generator=generator)


def seen(module):
    """The strides that reached the first layer."""
    return next(child for child in module.modules() if isinstance(child, Probe)).strides


def compiled(module, memory_format="auto", **arguments):
    model = kt.Model(module)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01, fused=True)
    model.compile(optimizer, nn.CrossEntropyLoss(), memory_format=memory_format, **arguments)
    return model


TASKS = {"gray": (gray, (1, 8, 8)), "colour": (colour, (3, 8, 8)), "volume": (volume, (1, 8, 8, 8))}


@pytest.mark.parametrize("task", TASKS)
def test_training_is_that_of_a_contiguous_loop_up_to_rounding(task):
    make, shape = TASKS[task]
    x, y = images(*shape)
    torch.manual_seed(5)
    module = make()
    reference = make()
    reference.load_state_dict(module.state_dict())
    torch.manual_seed(7)
    history = compiled(module).fit(x, y, batch_size=16, epochs=3, verbose=0)
    torch.manual_seed(7)
    optimizer = torch.optim.Adam(reference.parameters(), lr=0.01, fused=True)
    losses = hand_loop(reference, optimizer, nn.CrossEntropyLoss(), x, y, epochs=3, batch_size=16, seed=7)
    np.testing.assert_allclose(history.history["loss"], losses, rtol=1e-4)
    for ours, theirs in zip(module.state_dict().values(), reference.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=1e-4)
    assert all(strides[1] == 1 and strides[-1] == shape[0] for strides in seen(module))  # the format was used


@pytest.mark.parametrize("task", TASKS)
def test_weights_gradients_optimizer_state_and_the_users_array_keep_their_strides(task):
    make, shape = TASKS[task]
    x, y = images(*shape)
    before, strides = x.clone(), x.stride()
    model = compiled(make())
    model.fit(x, y, batch_size=16, verbose=0)
    kept = [state for weight in model.optimizer.state.values() for state in weight.values() if state.ndim]
    assert len(kept) == 2 * len(list(model.parameters()))
    assert all(tensor.is_contiguous() for tensor in (*model.parameters(), *model.buffers(), *kept))
    assert all(parameter.grad.is_contiguous() for parameter in model.parameters())
    assert all(value.is_contiguous() for value in model.state_dict().values())
    assert x.stride() == strides
    assert torch.equal(x, before)


def test_evaluate_predict_and_single_batches_use_it_and_agree_with_the_contiguous_format():
    x, y = images(3, 8, 8)
    module = Flattening()
    automatic, plain = compiled(module), compiled(module, "contiguous")
    for run in (
        lambda model: model.evaluate(x, y, verbose=0),
        lambda model: model.predict(x, verbose=0),
        lambda model: model.predict(x.numpy()[:1], verbose=0),
        lambda model: model.test_on_batch(x[:8], y[:8]),
        lambda model: model.fit(x, y, validation_split=0.25, verbose=0) and model.predict(x, verbose=0),
        lambda model: model.train_on_batch(x[:8], y[:8]) and 0,
        lambda model: model.evaluate(torch.utils.data.DataLoader(list(zip(x, y, strict=True)), 8), verbose=0),
    ):
        weights = {name: value.clone() for name, value in module.state_dict().items()}
        module.probe.strides.clear()
        first = run(automatic)
        assert {strides[1] for strides in seen(module)} == {1}
        module.load_state_dict(weights)
        module.probe.strides.clear()
        second = run(plain)
        assert {strides[1] for strides in seen(module)} == {64}
        module.load_state_dict(weights)
        np.testing.assert_allclose(first, second, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("make", [Viewing, Folding, ViewingInTraining])
def test_a_model_whose_views_need_contiguous_images_is_left_alone(make):
    x, y = images(3, 8, 8)
    torch.manual_seed(1)
    module = make()
    reference = make()
    reference.load_state_dict(module.state_dict())
    model = compiled(module)
    model.predict(x, verbose=0)
    torch.manual_seed(2)
    model.fit(x, y, batch_size=16, epochs=2, verbose=0)
    optimizer = torch.optim.Adam(reference.parameters(), lr=0.01, fused=True)
    hand_loop(reference, optimizer, nn.CrossEntropyLoss(), x, y, epochs=2, batch_size=16, seed=2)
    assert all(map(torch.equal, module.state_dict().values(), reference.state_dict().values()))


def test_dropout_among_images_drops_what_it_always_did():
    # it draws in the order of memory: in another format other elements would be dropped
    x, y = images(3, 8, 8)
    module = nn.Sequential(Probe(), nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.Dropout(), nn.Flatten(), nn.Linear(36, 3))
    compiled(module).fit(x, y, verbose=0)
    assert {strides[1] for strides in seen(module)} == {64}


def test_outputs_that_are_images_lie_in_memory_as_a_loss_of_the_users_own_expects():
    x, _ = images(3, 8, 8)
    y = torch.rand(40, 2, 6, 6)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))
    model = kt.Model(module)
    model.compile("adam", lambda y_true, y_pred: (y_true.view(-1) - y_pred.view(-1)).square().mean())
    model.fit(x, y, verbose=0)
    model.compile("adam", "mse", memory_format="channels_last")
    whole, parts = model.predict(x, verbose=0), model.predict(iter(x.split(8)), verbose=0)
    assert whole.flags["C_CONTIGUOUS"]
    assert parts.flags["C_CONTIGUOUS"]
    with torch.no_grad():
        np.testing.assert_allclose(whole, module.eval()(x).numpy(), rtol=1e-3, atol=1e-5)


def test_finding_out_leaves_no_trace():
    x, _ = images(3, 8, 8)

    class Counting(Flattening):
        calls = 0

        def forward(self, x):
            self.calls += 1
            self.noise = random.random(), np.random.rand(), torch.rand(())
            return super().forward(x)

    module = Counting()
    model = compiled(module)
    kt.utils.set_random_seed(0)
    expected = random.random(), np.random.rand(), torch.rand(())
    kt.utils.set_random_seed(0)
    modes = [child.training for child in module.modules()]
    weights = {name: value.clone() for name, value in module.state_dict().items()}
    model.predict(x, batch_size=40, verbose=0)
    assert module.calls == 1
    assert module.noise == expected
    assert [child.training for child in module.modules()] == modes
    assert all(map(torch.equal, module.state_dict().values(), weights.values()))
    assert all(parameter.grad is None for parameter in module.parameters())
    assert seen(module)[0][1] == 1


def test_what_was_asked_for_is_done():
    x, y = images(3, 8, 8)
    for wanted in ("channels_last", torch.channels_last):
        module = nn.Sequential(Probe(), nn.Dropout(0.1), nn.Flatten(), nn.Linear(192, 3))
        compiled(module, wanted).fit(x, y, verbose=0)
        assert {strides[1] for strides in seen(module)} == {1}
    with pytest.raises(ValueError, match="view"):
        compiled(Viewing(), "channels_last").fit(x, y, verbose=0)
    for wanted in ("contiguous", torch.contiguous_format):
        module = colour()
        compiled(module, wanted).fit(x.contiguous(memory_format=torch.channels_last), y, verbose=0)
        assert {strides[1] for strides in seen(module)} == {64}


def with_shortcut(channels, stride=2, groups=1, kernel=1):
    """A network that channels-last makes faster, with a convolution beside as in residual units."""
    first = [Probe(), nn.Conv2d(3, channels, 3), nn.BatchNorm2d(channels), nn.MaxPool2d(2)]
    shortcut = nn.Conv2d(channels, 16, kernel, stride, groups=groups)
    return nn.Sequential(*first, shortcut, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 3))


@pytest.mark.parametrize(
    ("net", "converted"),
    [
        (with_shortcut(4), False),
        (with_shortcut(32, groups=4), False),
        (with_shortcut(4, stride=1), True),
        (with_shortcut(4, kernel=3), True),
        (with_shortcut(16), True),
    ],
)
def test_strided_pointwise_convolutions_of_few_channels_get_contiguous_images(net, converted):
    # oneDNN writes past its memory in the gradient of their weights, if images are channels-last
    x, y = images(3, 18, 18)
    compiled(net).fit(x, y, verbose=0)
    assert {strides[1] == 1 for strides in seen(net)} == {converted}


@pytest.mark.slow
def test_compiled_steps_of_such_convolutions_train_as_eager_steps_do():
    x, y = images(3, 18, 18)
    losses = []
    for jit_compile in (False, True):
        torch.manual_seed(0)
        model = compiled(with_shortcut(4)[1:], "contiguous", jit_compile=jit_compile)  # the probe has a side effect
        losses.append(model.fit(x, y, epochs=10, batch_size=5, shuffle=False, verbose=0).history["loss"])
    assert losses[1] == pytest.approx(losses[0], rel=1e-2)


def test_channels_last_is_not_used_where_torch_would_crash():
    x, y = images(3, 18, 18)
    net = with_shortcut(4)
    with pytest.warns(UserWarning, match="layer '4' is a 1x1 convolution with strides and fewer than 16 input"):
        compiled(net, "channels_last").fit(x, y, verbose=0)
    assert {strides[1] for strides in seen(net)} == {324}


@pytest.mark.parametrize("wanted", ["chanels_last", torch.preserve_format, 3, None, ["auto"]])
def test_another_memory_format_is_refused_by_compile(wanted):
    with pytest.raises(ValueError, match="memory_format must be 'auto', 'channels_last' or 'contiguous', got"):
        kt.Model(colour()).compile("adam", "mse", memory_format=wanted)


def test_models_without_convolutions_or_with_hooks_or_steps_of_their_own_are_left_alone():
    x, y = images(3, 8, 8)
    dense = nn.Sequential(Probe(), nn.Flatten(), nn.Linear(192, 3))
    compiled(dense).fit(x, y, verbose=0)
    hooked = colour()
    outputs = []
    hooked[1].register_forward_hook(lambda module, args, output: outputs.append(output.view(-1)))
    compiled(hooked).fit(x, y, batch_size=40, verbose=0)
    assert len(outputs) == 1

    class Own(kt.Model):
        def train_step(self, batch):
            batch.x.view(-1)
            return super().train_step(batch)

    own = Own(colour())
    own.compile("adam", "cross_entropy")
    own.fit(x, y, verbose=0)
    for module in (dense, hooked, own):
        assert {strides[1] for strides in seen(module)} == {64}


@pytest.mark.parametrize("in_place", [True, False])
def test_a_model_that_torch_compiles_is_left_alone(in_place):
    x, _ = images(3, 8, 8)
    module = colour()
    calls = []

    def backend(graph, inputs):
        calls.append(len(inputs))
        return graph.forward

    if in_place:
        module[2].compile(backend=backend)
    else:
        module[2] = torch.compile(module[2], backend=backend)
    compiled(module).predict(x, batch_size=40, verbose=0)
    assert {strides[1] for strides in seen(module)} == {64}
    assert len(calls) <= 1  # not once more, for a rehearsal


def test_a_sequence_model_with_images_in_steps_of_time_is_left_alone():
    class Reading(nn.Module):
        def __init__(self):
            super().__init__()
            self.probe, self.conv = Probe(), nn.Conv2d(3, 4, 3)
            self.lstm, self.out = nn.LSTM(36, 5, batch_first=True), nn.Linear(5, 3)

        def forward(self, x):  # (batch, time, channels, height, width)
            each = F.max_pool2d(self.conv(self.probe(x).flatten(0, 1)), 2)
            return self.out(self.lstm(each.view(x.size(0), x.size(1), -1))[0][:, -1])

    x, y = images(5, 3, 8, 8)
    module = Reading()
    compiled(module).fit(x, y, verbose=0)
    assert {strides[2] for strides in seen(module)} == {64}


def test_of_several_inputs_the_images_are_put_in_the_format():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.probe, self.out = Flattening(), Probe(), nn.Linear(9, 3)

        def forward(self, image, table):
            return self.out(torch.cat([self.inner(image), self.probe(table)], 1))

    x, y = images(3, 8, 8)
    module = Both()
    model = compiled(module)
    data = {"image": x, "table": torch.randn(40, 6)}
    model.fit(data, y, verbose=0)
    assert {strides[1] for strides in module.inner.probe.strides} == {1}
    assert set(module.probe.strides) == {(6, 1)}
    with torch.no_grad():
        np.testing.assert_allclose(model.predict(data, verbose=0), module.eval()(**data).numpy(), rtol=1e-4, atol=1e-5)


def test_keras_layers_around_convolutions_and_lazy_ones_take_it_too():
    x, y = images(3, 8, 8)
    layers = [Probe(), nn.LazyConv2d(4, 3), nn.ReLU(), nn.MaxPool2d(2), kt.layers.Flatten()]
    model = kt.Sequential([*layers, kt.layers.Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=40, epochs=2, validation_split=0.5, verbose=0)
    assert {strides[1] for strides in seen(model)[1:]} == {1}  # the first one made the weights
    assert not any(child._forward_hooks for child in model.modules())  # nothing is left on the model

"""Layers whose activations are computed again: the same bits, less memory, and nothing else changed."""

import copy
import pickle

import pytest
import torch
from support.problems import regression, same_weights
from torch import nn

import kerastorch as kt


class Block(nn.Module):
    """A residual block with dropout, batch normalization and a buffer that its forward changes."""

    def __init__(self, size=16):
        super().__init__()
        self.one, self.norm, self.drop, self.two = (
            nn.Linear(size, size), nn.BatchNorm1d(size), nn.Dropout(0.3), nn.Linear(size, size),
        )  # fmt: skip
        self.register_buffer("scale", torch.ones(size, size))

    def forward(self, x, *, factor=1.0):
        if self.training:
            self.scale += 0.01  # changes the output, so that a second pass must begin with the first value
        return x + factor * self.two(self.drop(self.norm(self.one(x).relu())) @ self.scale)


class Net(nn.Module):
    def __init__(self, n=3):
        super().__init__()
        self.first, self.last = nn.Linear(6, 16), nn.Linear(16, 1)
        self.blocks = nn.ModuleList(Block() for _ in range(n))

    def forward(self, x):
        x = self.first(x)
        for block in self.blocks:
            x = block(x, factor=0.5)
        return self.last(x)


def view():
    return kt.Model(Net())


def sequential():
    blocks = [
        kt.Sequential([
            kt.layers.Dense(16, "relu"), kt.layers.BatchNormalization(), kt.layers.Dropout(0.3, seed=5),
            kt.layers.GaussianNoise(0.1), kt.layers.Dense(16),
        ])
        for _ in range(2)
    ]  # fmt: skip
    return kt.Sequential([kt.Input((6,)), *blocks, kt.layers.Dense(1)])


def functional():
    x = kt.Input((6,))
    hidden = kt.layers.Dropout(0.5)(kt.layers.Dense(16, "tanh", name="hidden")(x))
    return kt.Model(x, kt.layers.Dense(1)(hidden))


def subclass():
    class Own(kt.Model):
        def __init__(self):
            super().__init__()
            self.net = Net()

        def forward(self, x):
            return self.net(x)

    return Own()


MODELS = {
    "view": (view, "blocks.*"), "sequential": (sequential, ["0", "1"]), "functional": (functional, "*"),
    "subclass": (subclass, "net.blocks.?"), "all of a subclass": (subclass, "net"),
}  # fmt: skip


def make(name):
    torch.manual_seed(0)
    model = MODELS[name][0]()
    model.compile("adam", "mse")
    return model


def fit(model, **given):
    x, y = regression(64)
    torch.manual_seed(1)
    return model.fit(x, y, batch_size=16, epochs=2, verbose=0, **given)


@pytest.mark.parametrize("name", MODELS)
def test_training_gives_the_same_bits(name):
    plain, checkpointed = make(name), make(name)
    assert checkpointed.checkpoint_activations(MODELS[name][1])
    first, second = fit(plain).history, fit(checkpointed).history
    assert first["loss"] == second["loss"]
    assert same_weights(plain, checkpointed)  # running statistics included


def test_training_gives_the_bits_of_a_loop_over_torchs_own_function():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(6, 16), nn.Sequential(nn.Linear(16, 16), nn.Dropout(0.5), nn.ReLU()), nn.Linear(16, 1)
    )
    model = kt.Model(copy.deepcopy(net))
    model.compile(torch.optim.SGD(model.parameters(), 0.1), "mse")
    model.checkpoint_activations("1")
    x, y = regression(16)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    torch.manual_seed(3)
    for _ in range(3):
        optimizer.zero_grad()
        hidden = torch.utils.checkpoint.checkpoint(net[1], net[0](x), use_reentrant=False)
        nn.functional.mse_loss(net[2](hidden), y).backward()
        optimizer.step()
    torch.manual_seed(3)
    model.fit(x, y, batch_size=16, epochs=3, shuffle=False, verbose=0)
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), model.state_dict().values(), strict=True))


def saved_bytes(model):
    """Bytes that autograd holds after a forward pass, without weights and buffers."""
    x, _ = regression(64)
    known = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    storages = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = model(x)
    held = sum(storages.values())
    output.sum().backward()
    return held


@pytest.mark.parametrize("name", ["view", "sequential", "subclass"])
def test_fewer_bytes_are_saved_for_the_backward_pass_and_all_after_the_second_call(name):
    model = make(name).train()
    whole = saved_bytes(model)
    model.checkpoint_activations(MODELS[name][1])
    assert saved_bytes(model) < whole / 2
    assert model.checkpoint_activations(None) == []
    assert saved_bytes(model) == whole
    assert not any("forward" in vars(part) for part in model.modules())


def test_a_second_call_replaces_the_layers_of_the_first():
    model = view()
    assert model.checkpoint_activations("blocks.*") == ["blocks.0", "blocks.1", "blocks.2"]
    assert model.checkpoint_activations(["blocks.1", "first"]) == ["first", "blocks.1"]
    assert sorted(name for name, part in model.named_modules() if "forward" in vars(part)) == ["blocks.1", "first"]


@pytest.mark.parametrize(
    ("patterns", "error", "words"),
    [
        ("block.*", ValueError, "no layer matches 'block.*'"),
        (["blocks.*", "Blocks.0"], ValueError, "Did you mean 'blocks.0'"),
        ("blocks", ValueError, "'blocks' is a ModuleList, which has no forward; write 'blocks.*'"),
        (3, TypeError, "patterns must be text"),
        ([3], TypeError, "patterns must be text"),
    ],
)
def test_patterns_that_match_nothing_are_refused_and_change_nothing(patterns, error, words):
    model = view()
    model.checkpoint_activations("first")
    with pytest.raises(error, match=words.replace("*", r"\*")):
        model.checkpoint_activations(patterns)
    assert "forward" in vars(model.get_submodule("first"))


def test_a_forward_of_the_users_own_on_the_object_is_refused():
    model = view()
    model.get_submodule("first").forward = lambda x: x
    with pytest.raises(ValueError, match="the forward of 'first' was replaced"):
        model.checkpoint_activations("first")


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_are_checkpointed_with_their_own_weights(duplicate):
    model = view()
    model.checkpoint_activations("blocks.*")
    other = duplicate(model)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    other.train()
    x, _ = regression(16)
    assert other(x).abs().sum() > 0
    assert saved_bytes(other) < saved_bytes(view().train()) / 2


def test_saved_models_have_the_same_weights_and_outputs(tmp_path):
    model = make("sequential")
    names = list(model.state_dict())
    model.checkpoint_activations(["0", "1"])
    fit(model)
    assert list(model.state_dict()) == names
    x, _ = regression(8)
    model.save(tmp_path / "model.kt")
    model.save_weights(tmp_path / "model.weights.safetensors")
    loaded = kt.load_model(tmp_path / "model.kt")
    assert (loaded.predict(x, verbose=0) == model.predict(x, verbose=0)).all()
    assert not any("forward" in vars(part) for part in loaded.modules())


def test_summary_and_predictions_are_the_same(capsys):
    model = make("sequential")
    x, _ = regression(8)
    before = model.predict(x, verbose=0)
    model.summary()
    first = capsys.readouterr().out
    model.checkpoint_activations(["0", "1"])
    model.summary()
    second = capsys.readouterr().out
    assert first.splitlines()[:8] == second.splitlines()[:8]
    assert (model.predict(x, verbose=0) == before).all()


def test_compiled_training_continues_uncompiled():
    model = make("view")
    model.compile("adam", "mse", jit_compile=True)
    model.checkpoint_activations("blocks.*")
    with pytest.warns(UserWarning, match="uncompiled: the activations of Block are checkpointed"):
        fit(model)


def test_a_training_resumes_bit_for_bit(tmp_path):
    class Stop(kt.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    whole = make("sequential")
    whole.checkpoint_activations(["0", "1"])
    fit(whole)
    cut = make("sequential")
    cut.checkpoint_activations(["0", "1"])
    with pytest.raises(KeyboardInterrupt):
        fit(cut, callbacks=[Stop()], resume=tmp_path)
    again = make("sequential")
    again.checkpoint_activations(["0", "1"])
    fit(again, resume=tmp_path)
    assert same_weights(whole, again)


def test_a_generator_of_a_layer_draws_the_same_numbers_again():
    class Noise(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.generator = nn.Linear(6, 6), torch.Generator().manual_seed(1)

        def forward(self, x):
            return self.linear(x) * torch.rand(x.shape, generator=self.generator)

    x = torch.ones(4, 6)
    results = []
    for patterns in (None, "0"):
        torch.manual_seed(0)
        model = kt.Model(nn.Sequential(Noise(), nn.Linear(6, 1)))
        model.checkpoint_activations(patterns)
        for _ in range(2):
            model(x).sum().backward()
        results.append([weight.grad for weight in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_penalties_on_outputs_count_once():
    def run(patterns):
        torch.manual_seed(0)
        model = kt.Sequential([
            kt.Input((6,)), kt.layers.Dense(8, "relu", activity_regularizer="l2"), kt.layers.Dense(1),
        ])  # fmt: skip
        model.compile("sgd", "mse")
        model.checkpoint_activations(patterns)
        return fit(model).history["loss"], model

    (first, plain), (second, checkpointed) = run(None), run("0")
    assert first == second
    assert same_weights(plain, checkpointed)

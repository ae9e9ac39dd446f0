"""Layers of kerastorch in libraries that look for torch's classes: adapters, quantization, tensor parallelism."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from support.resumption import whole_and_resumed
from torch import nn

import kerastorch as kt
from kerastorch import layers

WORDS, LABELS = torch.randint(0, 10, (24, 6), generator=torch.Generator().manual_seed(0)), torch.arange(24) % 3
IMAGES = torch.randn(24, 2, 6, 6, generator=torch.Generator().manual_seed(1))


def text_net():
    """Return a model of texts, and the same network of torch's modules with the same weights."""
    model = kt.Sequential(
        [
            kt.Input((6,), dtype=torch.int64),
            layers.Embedding(10, 4),
            layers.LayerNormalization(),
            layers.Flatten(),
            layers.Dense(8),
            layers.ReLU(),
            layers.Dense(3),
        ]
    )
    module = nn.Sequential(
        nn.Embedding(10, 4), nn.LayerNorm(4, 1e-3), nn.Flatten(), nn.Linear(24, 8), nn.ReLU(), nn.Linear(8, 3)
    )
    module.load_state_dict(model.state_dict())
    return model, module


def image_net():
    """Return a model of images, and the same network of torch's modules with the same weights."""
    model = kt.Sequential(
        [
            kt.Input((2, 6, 6)),
            layers.Conv2D(4, 3, padding="same"),
            layers.ReLU(),
            layers.DepthwiseConv2D(3),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    module = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding="same"),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, groups=4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64, 3),
    )
    module.load_state_dict(model.state_dict())
    return model, module


CASES = {"text": (text_net, WORDS, ["0", "3", "5"]), "images": (image_net, IMAGES, ["0", "5"])}
each = pytest.mark.parametrize(("make", "x", "targets"), CASES.values(), ids=CASES)


def adapted(network, targets, **options):
    peft = pytest.importorskip("peft")
    torch.manual_seed(2)
    return peft.get_peft_model(network, peft.LoraConfig(r=4, target_modules=targets, **options))


def trainable(network):
    return [weight for weight in network.parameters() if weight.requires_grad]


def compiled(network):
    model = kt.Model(network)
    model.compile(torch.optim.SGD(trainable(network), lr=0.1), nn.CrossEntropyLoss(), metrics=["accuracy"])
    return model


def trained_by_hand(network, x):
    optimizer = torch.optim.SGD(trainable(network), lr=0.1)
    network.train()
    for _ in range(2):
        for rows in (slice(12), slice(12, 24)):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x[rows]), LABELS[rows]).backward()
            optimizer.step()
    return network.eval()


def assert_same_state(found, expected):
    mine, theirs = found.state_dict(), expected.state_dict()
    assert list(mine) == list(theirs)
    assert [name for name in mine if not torch.equal(mine[name], theirs[name])] == []


@each
@pytest.mark.parametrize("dora", [False, True])
def test_adapters_train_as_on_modules_of_torch(make, x, targets, dora):
    network, module = (adapted(one, targets, use_dora=dora) for one in make())
    before = {name: weight.clone() for name, weight in network.named_parameters()}
    model = compiled(network)
    model.fit(x, LABELS, batch_size=12, epochs=2, shuffle=False, verbose=0)
    trained_by_hand(module, x)
    assert_same_state(network, module)
    changed = {name for name, weight in network.named_parameters() if not torch.equal(weight, before[name])}
    assert len(changed) >= 2 * len(targets)
    assert all("lora" in name for name in changed)
    with torch.no_grad():
        expected = module(x)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected.numpy(), rtol=1e-4, atol=1e-6)
    logs = model.evaluate(x, LABELS, verbose=0, return_dict=True)
    assert logs["accuracy"] == pytest.approx((expected.argmax(1) == LABELS).float().mean().item())


@each
def test_adapters_are_saved_loaded_and_merged(make, x, targets, tmp_path):
    peft = pytest.importorskip("peft")
    network = adapted(make()[0], targets)
    compiled(network).fit(x, LABELS, epochs=2, verbose=0)
    network.save_pretrained(tmp_path / "adapter")
    loaded = peft.PeftModel.from_pretrained(make()[0], tmp_path / "adapter")
    mine = {name: value for name, value in network.state_dict().items() if "lora" in name}
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in mine.items())
    network.eval()
    expected = network(x)
    merged = network.merge_and_unload()
    assert isinstance(merged, kt.Sequential)
    assert isinstance(merged[0], (layers.Embedding, layers.Conv2D))
    torch.testing.assert_close(merged(x), expected, rtol=1e-4, atol=1e-5)
    merged.trainable = True  # peft has frozen the weights
    merged.compile("sgd", "cross_entropy")
    merged.fit(x, LABELS, verbose=0)
    merged.save(tmp_path / "merged.kt")
    again = kt.load_model(tmp_path / "merged.kt")
    torch.testing.assert_close(again(x), merged(x))


@each
def test_adapters_in_place_work_with_all_methods_of_the_model(make, x, targets, tmp_path):
    peft = pytest.importorskip("peft")

    def fit(callbacks):
        kt.utils.set_random_seed(3)
        model, _ = make()
        peft.inject_adapter_in_model(peft.LoraConfig(r=2, target_modules=targets, lora_dropout=0.1), model)
        model.compile(torch.optim.AdamW(trainable(model), lr=0.01), nn.CrossEntropyLoss(), metrics=["accuracy"])
        history = model.fit(x, LABELS, batch_size=8, epochs=2, callbacks=callbacks, verbose=0)
        return model, history.history

    (whole, logs), (resumed, again) = whole_and_resumed(fit, (1, 0), tmp_path)
    assert_same_state(resumed, whole)
    assert again == logs
    whole.save_weights(tmp_path / "w.safetensors")
    with torch.no_grad():
        for weight in whole.parameters():
            weight.zero_()
    whole.load_weights(tmp_path / "w.safetensors")
    assert_same_state(whole, resumed)
    lines = []
    whole.summary(print_fn=lines.append)
    assert f"{sum(weight.numel() for weight in whole.parameters()):,}" in "\n".join(lines)
    kt.utils.plot_model(whole, tmp_path / "model.dot")
    assert "->" in (tmp_path / "model.dot").read_text()
    whole.export(tmp_path / "model.pt2", verbose=False)
    with torch.no_grad():
        expected = whole.eval()(x)
    torch.testing.assert_close(torch.export.load(tmp_path / "model.pt2").module()(x), expected, rtol=1e-4, atol=1e-5)


def test_all_linear_layers_but_the_last_get_adapters():
    network = adapted(text_net()[0], "all-linear")
    assert {name.split(".")[2] for name, _ in network.named_parameters() if "lora" in name} == {"3", "5"}


def test_projections_of_attention_in_a_functional_model_get_adapters():
    peft = pytest.importorskip("peft")
    inputs = kt.Input((5, 6))
    attended = layers.MultiHeadAttention(2, 3)(inputs, inputs)
    model = kt.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(attended)))
    peft.inject_adapter_in_model(peft.LoraConfig(r=2, target_modules=["query", "value"]), model)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    x = torch.randn(24, 5, 6)
    expected = model(x).detach()
    model.compile(torch.optim.Adam(trainable(model), lr=0.01), nn.CrossEntropyLoss())
    losses = model.fit(x, LABELS, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    changed = {name for name, weight in model.named_parameters() if not torch.equal(weight, before[name])}
    assert len(changed) == 4
    assert all("lora" in name for name in changed)
    assert not torch.equal(model(x), expected)


def test_a_layer_with_an_activation_is_refused_by_peft():
    model = kt.Sequential([kt.Input((4,)), layers.Dense(3, "relu")])
    with pytest.raises(ValueError, match=r"Dense\(4 -> 3, activation=relu\) is not supported"):
        adapted(model, ["0"])


def quantized(network):
    quantization = pytest.importorskip("torchao.quantization")
    quantization.quantize_(network.eval(), quantization.Int8WeightOnlyConfig())
    return network


def test_dense_layers_are_quantized_as_modules_of_torch():
    model, module = map(quantized, text_net())
    kinds = [type(layer.weight).__name__ for layer in (module[3], module[5])]
    assert [type(layer.weight).__name__ for layer in (model[3], model[5])] == kinds
    assert "Parameter" not in kinds
    with torch.no_grad():
        expected = module(WORDS)
    np.testing.assert_array_equal(model.predict(WORDS, verbose=0), expected.numpy())
    model.compile("sgd", nn.CrossEntropyLoss(), metrics=["accuracy"])
    found = model.evaluate(WORDS, LABELS, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(nn.functional.cross_entropy(expected, LABELS).item(), rel=1e-4)
    model.fit(WORDS, LABELS, verbose=0)  # trains the weights that are not quantized
    assert not torch.equal(model[0].weight, module[0].weight)
    lines = []
    model.summary(print_fn=lines.append)
    assert f"{sum(weight.numel() for weight in module.parameters()):,}" in "\n".join(lines)


def test_quantized_weights_are_refused_by_name_when_they_are_saved(tmp_path):
    model = quantized(text_net()[0])
    with pytest.raises(TypeError, match=r"3\.weight has the class \w+ of torchao"):
        model.save_weights(tmp_path / "w.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor", "ignore::DeprecationWarning")
@pytest.mark.skipif("onednn" not in torch.backends.quantized.supported_engines, reason="torch has no engine for it")
def test_a_tool_that_compares_classes_exactly_finds_modules_that_share_the_weights():
    model, module = text_net()
    for name, layer in list(model.named_modules()):
        if isinstance(layer, nn.Linear):
            linear = nn.Linear(layer.in_features, layer.out_features)
            linear.weight, linear.bias = layer.weight, layer.bias
            model.set_submodule(name, linear)
    found, expected = (torch.ao.quantization.quantize_dynamic(one.eval(), {nn.Linear}) for one in (model, module))
    assert type(found[3]) is type(expected[3]) is not nn.Linear
    assert torch.equal(found(WORDS), expected(WORDS))
    np.testing.assert_array_equal(found.predict(WORDS, verbose=0), expected(WORDS).detach().numpy())


PARALLEL = """
    import sys, warnings
    import torch
    import torch.distributed as dist
    from torch import nn
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    import kerastorch as kt

    rank, store = int(sys.argv[1]), sys.argv[2]
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)

    def net():
        kt.utils.set_random_seed(0)
        return kt.Sequential([kt.Input((6,)), kt.layers.Dense(8), kt.layers.ReLU(), kt.layers.Dense(3)])

    x, y = torch.randn(16, 6, generator=torch.Generator().manual_seed(1)), torch.arange(16) % 3
    model = parallelize_module(net(), init_device_mesh("cpu", (2,)), {"0": ColwiseParallel(), "2": RowwiseParallel()})
    assert model[0].weight.to_local().shape == (4, 6) and model[2].weight.to_local().shape == (3, 4)
    model.compile(torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss(), metrics=["accuracy"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of several processes that train on all rows, as they must here
        model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
        loss, _ = model.evaluate(x, y, verbose=0)
        outputs = model.predict(x, verbose=0)

    module = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    module.load_state_dict(net().state_dict())
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    for _ in range(2):
        for rows in (slice(8), slice(8, 16)):
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(x[rows]), y[rows]).backward()
            optimizer.step()
    for one, other in zip(model.parameters(), module.parameters()):
        torch.testing.assert_close(one.full_tensor(), other)
    torch.testing.assert_close(torch.as_tensor(outputs), module(x).detach())
    assert abs(loss - nn.functional.cross_entropy(module(x), y).item()) < 1e-5
    dist.destroy_process_group()
    print("equal")
"""


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch was built without distributed")
@pytest.mark.timeout(300)
def test_dense_layers_are_split_over_processes(tmp_path):
    script = tmp_path / "parallel.py"
    script.write_text(textwrap.dedent(PARALLEL))
    ranks = [
        subprocess.Popen(
            [sys.executable, script, str(rank), tmp_path / "store"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        found = [rank.communicate(timeout=250)[0] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [text.splitlines()[-1] for text in found] == ["equal", "equal"], found

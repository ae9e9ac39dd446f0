"""TensorBoard: what its own reader finds in the files."""

import json
import pathlib

import numpy as np
import pytest
import torch
from support.problems import classification, regression, same_weights
from support.tensorboard_files import curves, reader
from torch import nn

import kerastorch as kt
from kerastorch.callbacks import LambdaCallback, TensorBoard

pytest.importorskip("tensorboard")


def compiled(net=None, **options):
    model = kt.Model(nn.Linear(6, 1)) if net is None else net
    model.compile(kt.optimizers.SGD(0.01), "mse", **options)
    return model


def trained(board, model=None, epochs=2, before=(), **options):
    x, y = regression(40)
    model = compiled() if model is None else model
    model.fit(x, y, batch_size=10, epochs=epochs, verbose=0, callbacks=[*before, board], **options)
    return model


def validation():
    x, y = regression(20)
    return {"validation_data": (x, y)}


def near(values):
    return pytest.approx(values, rel=1e-6)  # they are kept in float32


def test_curves_lie_where_keras_puts_them(tmp_path):
    model = trained(TensorBoard(tmp_path), compiled(metrics=["mae"]), **validation())
    history = model.history.history
    train, val = curves(tmp_path / "train"), curves(tmp_path / "validation")
    assert set(train) == {"epoch_loss", "epoch_mae", "epoch_learning_rate"}
    assert [value for _, value in train["epoch_mae"]] == near(history["mae"])
    assert [step for step, _ in train["epoch_loss"]] == [0, 1]
    assert train["epoch_learning_rate"] == [(0, near(0.01)), (1, near(0.01))]
    assert [value for _, value in val["epoch_loss"]] == near(history["val_loss"])
    assert val["evaluation_loss_vs_iterations"] == [
        (4, near(history["val_loss"][0])),
        (8, near(history["val_loss"][1])),
    ]


def test_nothing_is_written_before_training(tmp_path):
    TensorBoard(tmp_path / "logs")
    assert list(tmp_path.iterdir()) == []


def test_groups_of_the_optimizer_have_their_learning_rates(tmp_path):
    net = nn.Linear(6, 1)
    model = kt.Model(net)
    groups = [{"params": [net.weight], "lr": 0.5}, {"params": [net.bias], "lr": 0.25}]
    model.compile(torch.optim.SGD(groups), "mse")
    trained(TensorBoard(tmp_path), model, epochs=1)
    train = curves(tmp_path / "train")
    assert train["epoch_learning_rate_0"] == [(0, 0.5)]
    assert train["epoch_learning_rate_1"] == [(0, 0.25)]


@pytest.mark.parametrize(("update_freq", "steps"), [("batch", range(1, 9)), (3, [3, 6])])
def test_batches_are_written_as_often_as_asked_for(tmp_path, update_freq, steps):
    running = {}
    note = LambdaCallback(on_train_batch_end=lambda batch, logs: running.setdefault(len(running) + 1, logs["loss"]))
    trained(TensorBoard(tmp_path, update_freq=update_freq), before=[note])
    assert curves(tmp_path / "train")["batch_loss"] == [(step, near(running[step])) for step in steps]


def test_steps_that_run_together_are_counted_one_by_one(tmp_path):
    trained(TensorBoard(tmp_path, update_freq=1), compiled(steps_per_execution=2))
    assert [step for step, _ in curves(tmp_path / "train")["batch_loss"]] == [2, 4, 6, 8]


def test_batch_logs_are_not_read_unless_asked_for(tmp_path, monkeypatch):
    from kerastorch.training.metrics_tracker import MetricsTracker

    reads = []
    read = MetricsTracker.read
    monkeypatch.setattr(MetricsTracker, "read", lambda self: reads.append(1) or read(self))
    trained(TensorBoard(tmp_path, write_steps_per_second=True), epochs=3)
    assert len(reads) == 3


def test_evaluate_writes_its_numbers_too(tmp_path):
    board = TensorBoard(tmp_path)
    model = trained(board)
    x, y = regression(20)
    loss = model.evaluate(x, y, verbose=0, callbacks=[board])
    assert curves(tmp_path / "validation") == {"evaluation_loss_vs_iterations": [(8, near(loss))]}


def test_steps_per_second_are_written_for_epochs_and_batches(tmp_path):
    trained(TensorBoard(tmp_path, update_freq=2, write_steps_per_second=True), **validation())
    train = curves(tmp_path / "train")
    assert [step for step, _ in train["epoch_steps_per_second"]] == [0, 1]
    assert [step for step, _ in train["batch_steps_per_second"]] == [2, 4, 6, 8]
    assert all(value > 0 for _, value in train["epoch_steps_per_second"] + train["batch_steps_per_second"])


def test_histograms_count_every_weight_every_so_many_epochs(tmp_path):
    model = trained(TensorBoard(tmp_path, histogram_freq=2, write_images=True), epochs=3)
    found = reader(tmp_path / "train")
    weight = found.Histograms("weight/histogram")
    assert [one.step for one in weight] == [0, 2]
    assert weight[-1].histogram_value.num == 6
    assert weight[-1].histogram_value.min == near(model.module_viewed.weight.min().item())
    assert weight[-1].histogram_value.sum_squares == near(model.module_viewed.weight.square().sum().item())
    assert set(found.Tags()["images"]) == {"weight/image", "bias/image"}
    assert (found.Images("weight/image")[0].height, found.Images("weight/image")[0].width) == (1, 6)


def test_weights_that_are_not_finite_stop_nothing(tmp_path):
    net = nn.Linear(6, 1)
    net.register_buffer("some", torch.tensor([1.0, torch.nan, torch.inf]))
    net.register_buffer("none", torch.tensor([torch.nan]))
    with pytest.warns(UserWarning, match="TensorBoard: some, none: NaN and infinite values are left out"):
        trained(TensorBoard(tmp_path, histogram_freq=1, write_images=True), compiled(kt.Model(net)), epochs=1)
    found = reader(tmp_path / "train")
    assert found.Histograms("some/histogram")[0].histogram_value.num == 1
    assert "none/histogram" not in found.Tags()["histograms"]


def test_images_of_convolutions_are_their_kernels(tmp_path):
    net = nn.Sequential(nn.Conv2d(3, 4, 5), nn.Flatten(), nn.LazyLinear(1))
    model = compiled(kt.Model(net))
    x, y = torch.rand(8, 3, 8, 8), torch.rand(8, 1)
    model.fit(x, y, verbose=0, callbacks=[TensorBoard(tmp_path, histogram_freq=1, write_images=True)])
    assert "0/weight/image" in reader(tmp_path / "train").Tags()["images"]


def graph_of(folder):
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    return {node.name: node for node in GraphDef.FromString(reader(folder).Graph().SerializeToString()).node}


def test_the_graph_shows_each_operation_under_its_module(tmp_path):
    model = kt.Sequential([kt.layers.Dense(4, "relu", name="hidden"), kt.layers.Dense(1)])
    trained(TensorBoard(tmp_path), compiled(model))
    nodes = graph_of(tmp_path / "train")
    assert {"input", "Dense[0]/weight", "Dense[0]/bias", "Dense[0]/relu", "Dense[1]/weight"} <= set(nodes)
    assert list(nodes["Dense[0]/relu"].input) == ["Dense[0]/addmm"]
    made = nodes[nodes["output/0"].input[0]].attr["_output_shapes"].list.shape[0]
    assert [size.size for size in made.dim] == [2, 1]
    assert all(one in nodes for node in nodes.values() for one in node.input)  # no loose ends


def test_a_graph_of_several_inputs_has_their_names(tmp_path):
    a, b = kt.Input((3,), name="a"), kt.Input((2,), name="b")
    model = kt.Model([a, b], kt.layers.Dense(1)(torch.cat([a, b], 1)))
    model.compile("sgd", "mse")
    x = {"a": torch.rand(8, 3), "b": torch.rand(8, 2)}
    model.fit(x, torch.rand(8, 1), verbose=0, callbacks=[TensorBoard(tmp_path)])
    nodes = graph_of(tmp_path / "train")
    joined = next(node for node in nodes.values() if node.op == "cat")
    assert sorted(joined.input) == ["input/a", "input/b"]


def test_a_model_that_cannot_be_called_on_zeros_has_no_graph_and_a_warning(tmp_path):
    class Picky(nn.Linear):
        def forward(self, x):
            if not x.any():
                raise ArithmeticError("only zeros")
            return super().forward(x)

    with pytest.warns(UserWarning, match="there is no graph.*only zeros.*write_graph=False leaves it out"):
        model = trained(TensorBoard(tmp_path), compiled(kt.Model(Picky(6, 1))))
    assert len(model.history.epoch) == 2


def test_training_is_the_same_with_it(tmp_path):
    x, y = classification()

    def run(callbacks):
        torch.manual_seed(0)
        layers = kt.layers
        model = kt.Sequential(
            [layers.Dense(8, "relu"), layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(3, "softmax")]
        )
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(x, y, epochs=3, validation_split=0.2, verbose=0, callbacks=callbacks)
        return model

    board = TensorBoard(tmp_path, histogram_freq=1, write_images=True, update_freq=1, profile_batch=2)
    plain, watched = run([]), run([board])
    assert plain.history.history == watched.history.history
    same_weights(plain, watched)
    assert all(not part._forward_hooks and not part._forward_pre_hooks for part in watched.modules())


def test_the_profiler_writes_a_trace_of_the_batches_asked_for(tmp_path):
    trained(TensorBoard(tmp_path, profile_batch=(2, 3), write_graph=False))
    (trace,) = (tmp_path / "train").glob("*.pt.trace.json")
    events = json.loads(trace.read_text())["traceEvents"]
    assert sum(event.get("name") == "Optimizer.step#SGD.step" and event.get("ph") == "X" for event in events) == 2


def test_a_profile_that_training_ends_in_is_written(tmp_path):
    trained(TensorBoard(tmp_path, profile_batch=(2, 300)), epochs=1)
    assert len(list((tmp_path / "train").glob("*.pt.trace.json"))) == 1


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(5, 3)
        self.head = nn.Linear(3, 1)

    def forward(self, x):
        return self.head(self.words(x).mean(1))


def fit_tokens(board, epochs=2, **options):
    model = compiled(kt.Model(Tokens()))
    model.fit(torch.randint(5, (8, 4)), torch.rand(8, 1), epochs=epochs, verbose=0, callbacks=[board], **options)
    return model


def test_embeddings_are_there_for_the_projector(tmp_path):
    from google.protobuf import text_format
    from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

    labels = tmp_path / "labels.tsv"
    labels.write_text("a\nb\nc\nd\ne\n")
    logs = tmp_path / "logs"
    model = fit_tokens(TensorBoard(logs, embeddings_freq=1, embeddings_metadata={"words": labels}))
    config = text_format.Parse((logs / "train" / "projector_config.pbtxt").read_text(), ProjectorConfig())
    assert [one.tensor_name for one in config.embeddings] == ["words:00000", "words:00001"]
    last = config.embeddings[-1]
    vectors = np.loadtxt(logs / "train" / last.tensor_path, dtype=np.float32)
    assert np.array_equal(vectors, model.module_viewed.words.weight.detach().numpy())
    assert (logs / "train" / last.metadata_path).read_text() == labels.read_text()


def test_a_resumed_training_keeps_the_embeddings_of_before(tmp_path):
    states = {}
    board = TensorBoard(tmp_path, embeddings_freq=1, write_graph=False)
    keep = LambdaCallback(on_epoch_begin=lambda epoch, logs: states.setdefault(epoch, board.state_dict()))
    x, y = torch.randint(5, (8, 4)), torch.rand(8, 1)
    compiled(kt.Model(Tokens())).fit(x, y, epochs=3, verbose=0, callbacks=[keep, board])
    whole = (tmp_path / "train" / "projector_config.pbtxt").read_text()
    fresh = TensorBoard(tmp_path, embeddings_freq=1, write_graph=False)
    load = LambdaCallback(on_epoch_begin=lambda epoch, logs: epoch == 1 and fresh.load_state_dict(states[1]))
    compiled(kt.Model(Tokens())).fit(x, y, epochs=3, initial_epoch=1, verbose=0, callbacks=[load, fresh])
    assert (tmp_path / "train" / "projector_config.pbtxt").read_text() == whole
    assert whole.count("tensor_name") == 3


def test_labels_that_do_not_fit_are_refused_before_training(tmp_path):
    labels = tmp_path / "labels.tsv"
    labels.write_text("a\nb\n")
    with pytest.raises(ValueError, match=r"has 2 labels, the embedding 'words' 5 rows"):
        fit_tokens(TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata=labels))
    with pytest.raises(
        ValueError, match=r"Unknown embedding layer in embeddings_metadata 'word'. Did you mean 'words'"
    ):
        fit_tokens(TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata={"word": str(labels)}))


def test_a_resumed_training_writes_no_step_twice(tmp_path):
    states = {}
    options = {"update_freq": 1, "histogram_freq": 1}
    board = TensorBoard(tmp_path, **options)
    keep = LambdaCallback(on_epoch_begin=lambda epoch, logs: states.setdefault(epoch, board.state_dict()))
    trained(board, epochs=4, before=[keep], **validation())
    for first in (3, 2, 2, 1, 0):  # the second time what the resumed training wrote is taken back
        fresh = TensorBoard(tmp_path, **options)
        load = LambdaCallback(
            on_epoch_begin=lambda epoch, logs, first=first, fresh=fresh: (
                fresh.load_state_dict(states[first]) if epoch == first else None
            )
        )
        trained(fresh, epochs=4, initial_epoch=first, before=[load], **validation())
        train = curves(tmp_path / "train")
        assert [step for step, _ in train["epoch_loss"]] == [0, 1, 2, 3]
        assert [step for step, _ in train["batch_loss"]] == list(range(1, 17))
        assert [step for step, _ in curves(tmp_path / "validation")["epoch_loss"]] == [0, 1, 2, 3]
        assert len(reader(tmp_path / "train").Histograms("weight/histogram")) == 4


def test_files_that_are_gone_at_resume_are_said(tmp_path):
    states = []
    board = TensorBoard(tmp_path)
    trained(board, before=[LambdaCallback(on_epoch_begin=lambda epoch, logs: states.append(board.state_dict()))])
    for path in tmp_path.glob("*/events*"):
        path.unlink()
    with pytest.warns(UserWarning, match="is missing or shorter"):
        TensorBoard(tmp_path).load_state_dict(states[-1])


def test_files_of_another_training_are_left_alone(tmp_path):
    trained(TensorBoard(tmp_path))
    before = {path: path.read_bytes() for path in tmp_path.glob("*/*")}
    board = TensorBoard(tmp_path)
    start = LambdaCallback(on_epoch_begin=lambda epoch, logs: epoch or board.load_state_dict(board.state_dict()))
    trained(board, before=[start])
    assert all(path.read_bytes() == content for path, content in before.items())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"log_dir": ""}, "log_dir must be the path of a folder"),
        ({"histogram_freq": -1}, "histogram_freq must be an integer >= 0, got -1"),
        ({"embeddings_freq": 0.5}, "embeddings_freq must be an integer"),
        ({"update_freq": "step"}, "update_freq must be 'epoch', 'batch' or a number of batches >= 1, got 'step'"),
        ({"update_freq": 0}, "update_freq must be an integer >= 1, got 0"),
        ({"update_freq": True}, "update_freq must be an integer"),
        ({"profile_batch": -2}, "profile_batch must be a number of a batch"),
        ({"profile_batch": (3, 2)}, "profile_batch must be .*got \\(3, 2\\)"),
        ({"profile_batch": "a,b"}, "profile_batch must be"),
        ({"embeddings_metadata": "not there"}, "embeddings_metadata must be the path of a file that is there"),
    ],
)
def test_wrong_arguments_are_refused_at_once(arguments, words):
    with pytest.raises(ValueError, match=words):
        TensorBoard(**arguments)


def test_images_without_histograms_are_warned_of():
    with pytest.warns(UserWarning, match="write_images writes nothing without histogram_freq"):
        TensorBoard(write_images=True)


def test_a_missing_package_is_said_with_its_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tensorboard", None)
    with pytest.raises(ImportError, match=r"TensorBoard needs tensorboard: pip install tensorboard$"):
        TensorBoard()


def test_paths_may_be_pathlib(tmp_path):
    trained(TensorBoard(pathlib.Path(tmp_path) / "a" / "b"), epochs=1)
    assert (tmp_path / "a" / "b" / "train").is_dir()

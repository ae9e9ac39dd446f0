"""A model that already exists: torch's own network, optimizer, loss, metric and loaders."""

import torch
import torchmetrics
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.utils.data import DataLoader, TensorDataset

import kerastorch as kt

torch.manual_seed(0)
images, labels = load_digits(return_X_y=True)
x, x_val, y, y_val = train_test_split(images / 16, labels, test_size=0.2, random_state=0, stratify=labels)
train = TensorDataset(torch.tensor(x, dtype=torch.float32), torch.tensor(y))
val = TensorDataset(torch.tensor(x_val, dtype=torch.float32), torch.tensor(y_val))

net = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
model = kt.Model(net)  # a view: the same weights under the same names
model.compile(
    optimizer=torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9),
    loss=torch.nn.CrossEntropyLoss(),
    metrics=[torchmetrics.classification.MulticlassF1Score(10)],
    regularizers={"0.weight": kt.regularizers.L1(1e-5)},
)
history = model.fit(DataLoader(train, 32, shuffle=True), validation_data=DataLoader(val, 256), epochs=5)

f1 = history.history["val_multiclass_f1_score"][-1]
print(f"F1: {f1:.3f}; the weights are net's own: {list(net.state_dict()) == list(model.state_dict())}")

"""PyTorch: train a model that already exists

A network, an optimizer, a loss and loaders of PyTorch, and a metric of torchmetrics: `kt.Model` takes them as they are.
"""

# %% [markdown]
# Everything in this cell is plain PyTorch.

# %%
import matplotlib.pyplot as plt
import torch
import torchmetrics
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.utils.data import DataLoader, TensorDataset

import kerastorch as kt

torch.manual_seed(0)
images, labels = load_digits(return_X_y=True)
x, x_val, y, y_val = train_test_split(images / 16, labels, stratify=labels, random_state=0)
train = TensorDataset(torch.tensor(x, dtype=torch.float32), torch.tensor(y))
val = TensorDataset(torch.tensor(x_val, dtype=torch.float32), torch.tensor(y_val))

net = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))

# %% [markdown]
# The model is a view of the network: its weights are the same tensors, under the same names. A penalty reaches a
# weight by its name.

# %%
model = kt.Model(net)
model.compile(
    optimizer=torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9),
    loss=torch.nn.CrossEntropyLoss(),
    metrics=[torchmetrics.classification.MulticlassF1Score(10)],
    regularizers={"0.weight": kt.regularizers.L1(1e-5)},
)
loader = DataLoader(train, batch_size=32, shuffle=True)
history = model.fit(loader, validation_data=DataLoader(val, 256), epochs=6, verbose=0)

f1 = history.history["val_multiclass_f1_score"][-1]
print(f"F1: {f1:.3f}")
print("names of the weights:", list(model.state_dict()))
print("the same tensors as in net:", model.get_parameter("0.weight") is net[0].weight)

# %% [markdown]
# What the units of the first layer look at: red pixels raise the output of a unit, blue pixels lower it.

# %% alt="The weights of 16 units of the first layer as images of 8 by 8 pixels, with patterns of red and blue strokes."
kt.utils.plot_weights(model, "image", n=16)
plt.show()

"""Text classification: which manual is it?

Sentences become numbers, embeddings and states of an LSTM. The network tells a manual of Python from one about data.
"""

# %%
import re
from pydoc_data.topics import topics

import matplotlib.pyplot as plt
from sklearn import datasets
from sklearn.model_selection import train_test_split

import kerastorch as kt
from kerastorch import layers

python = " ".join(topics[name] for name in ("assert", "class", "for", "global", "import", "raise", "try", "with"))
loaders = [datasets.load_iris, datasets.load_wine, datasets.load_breast_cancer, datasets.load_diabetes]
data = " ".join(load().DESCR for load in loaders)

texts, labels = [], []
for label, manual in enumerate([data, python]):
    sentences = [one for one in re.split(r"[.:]\s", manual) if len(one.split()) >= 5]
    texts += sentences
    labels += [label] * len(sentences)
texts, texts_test, y, y_test = train_test_split(texts, labels, test_size=0.3, stratify=labels, random_state=0)
print(len(texts), "sentences, for example:", texts[9])

# %% [markdown]
# `adapt` learns the vocabulary from the training sentences alone. Each word becomes its number. Short sentences are
# filled with 0, and `mask_zero` makes the LSTM skip these places.

# %%
kt.utils.set_random_seed(0)
words = layers.TextVectorization(max_tokens=500, output_sequence_length=24)
words.adapt(texts)
x, x_test = words(texts), words(texts_test)  # (sentences, 24)

model = kt.Sequential(
    [
        layers.Embedding(500, 16, mask_zero=True),
        layers.Bidirectional(layers.LSTM(16)),
        layers.Dropout(0.3),
        layers.Dense(1, "sigmoid"),
    ]
)
model.compile(kt.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
model.fit(x, y, epochs=8, verbose=0)
accuracy = model.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"]
print(f"Test accuracy: {accuracy:.3f}")

# %% alt="Confusion matrix of the test sentences. Most counts are on the diagonal."
kt.utils.plot_confusion_matrix(y_test, model.predict(x_test), ["data", "Python"])
plt.show()

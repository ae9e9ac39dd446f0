"""From words to numbers to a recurrent network: which of two manuals does a sentence come from?"""

import re
from pydoc_data.topics import topics

from sklearn import datasets
from sklearn.model_selection import train_test_split

import kerastorch as kt
from kerastorch import layers

manuals = [getattr(datasets, f"load_{name}")().DESCR for name in ("iris", "wine", "breast_cancer", "diabetes")]
about_data = " ".join(manuals)
about_python = " ".join(topics[name] for name in ("assert", "class", "for", "global", "import", "raise", "try", "with"))


def sentences(manual):
    """Its sentences of five words or more."""
    return [one for one in re.split(r"[.:]\s", manual) if len(one.split()) >= 5]


texts = sentences(about_data) + sentences(about_python)
labels = [0] * len(sentences(about_data)) + [1] * len(sentences(about_python))
texts, texts_test, y, y_test = train_test_split(texts, labels, test_size=0.3, stratify=labels, random_state=0)

kt.utils.set_random_seed(0)
words = layers.TextVectorization(max_tokens=500, output_sequence_length=24)
words.adapt(texts)  # learns the vocabulary, from the training texts alone
x, x_test = words(texts), words(texts_test)  # (sentences, 24), 0 where a sentence is shorter

model = kt.Sequential(
    [
        layers.Embedding(500, 16, mask_zero=True),
        layers.Bidirectional(layers.LSTM(16)),
        layers.Dropout(0.3),
        layers.Dense(1, "sigmoid"),
    ]
)
model.compile(kt.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
model.fit(x, y, epochs=10, verbose=0)
accuracy = model.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"]
print(f"{len(texts)} sentences, test accuracy {accuracy:.3f}")

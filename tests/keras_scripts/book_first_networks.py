# Title: classification and regression of small data

import keras
import numpy as np
from keras import layers
from results import store

rng = np.random.default_rng(0)
train_data = [list(rng.integers(1, 60, rng.integers(4, 12))) for _ in range(48)]
train_labels = np.arange(48) % 2

# Multi-hot vectors


def multi_hot_encode(sequences, num_classes):
    results = np.zeros((len(sequences), num_classes))
    for i, sequence in enumerate(sequences):
        results[i][sequence] = 1.0
    return results


x_train = multi_hot_encode(train_data, num_classes=60)
y_train = train_labels.astype("float32")
store("encoded", [list(x_train.shape), x_train[0].sum()])

# A network for two classes

model = keras.Sequential(
    [layers.Dense(16, activation="relu"), layers.Dense(16, activation="relu"), layers.Dense(1, activation="sigmoid")]
)
model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
history = model.fit(x_train, y_train, epochs=2, batch_size=16, validation_split=0.2, verbose=0)
history_dict = history.history
store("keys", sorted(key for key in history_dict.keys() if key != "learning_rate"))
store("epochs", list(range(1, len(history_dict["loss"]) + 1)))

# Evaluate and predict

results = model.evaluate(x_train, y_train, verbose=0)
store("results", len(results))
store("predictions", list(model.predict(x_train[:4], verbose=0).shape))

# Several classes

y_train = keras.utils.to_categorical(np.arange(48) % 6)
model = keras.Sequential([layers.Dense(16, activation="relu"), layers.Dense(6, activation="softmax")])
top_3_accuracy = keras.metrics.TopKCategoricalAccuracy(k=3, name="top_3_accuracy")
model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy", top_3_accuracy])
history = model.fit(
    x_train[8:], y_train[8:], epochs=2, batch_size=16, validation_data=(x_train[:8], y_train[:8]), verbose=0
)
store("classes", sorted(key for key in history.history if key != "learning_rate"))
predictions = model.predict(x_train[:8], verbose=0)
store("sum", [round(float(np.sum(predictions[0])), 4), predictions[0].shape])
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x_train, np.arange(48) % 6, verbose=0)

# Regression with folds by hand


def get_model():
    model = keras.Sequential([layers.Dense(8, activation="relu"), layers.Dense(8, activation="relu"), layers.Dense(1)])
    model.compile(optimizer="adam", loss="mean_squared_error", metrics=["mean_absolute_error"])
    return model


x_train = rng.normal(size=(24, 5))
y_train = rng.normal(size=24)
k = 3
num_val_samples = len(x_train) // k
all_scores, all_mae_histories = [], []
for i in range(k):
    fold_x_val = x_train[i * num_val_samples : (i + 1) * num_val_samples]
    fold_y_val = y_train[i * num_val_samples : (i + 1) * num_val_samples]
    fold_x_train = np.concatenate([x_train[: i * num_val_samples], x_train[(i + 1) * num_val_samples :]], axis=0)
    fold_y_train = np.concatenate([y_train[: i * num_val_samples], y_train[(i + 1) * num_val_samples :]], axis=0)
    model = get_model()
    history = model.fit(
        fold_x_train,
        fold_y_train,
        validation_data=(fold_x_val, fold_y_val),
        epochs=2,
        batch_size=16,
        verbose=0,
    )
    all_mae_histories.append(history.history["val_mean_absolute_error"])
    scores = model.evaluate(fold_x_val, fold_y_val, verbose=0)
    val_loss, val_mae = scores
    all_scores.append(val_mae)
average_mae_history = [np.mean([x[i] for x in all_mae_histories]) for i in range(2)]
store("folds", [len(all_scores), len(average_mae_history)])
store("last is evaluated", abs(all_scores[-1] - all_mae_histories[-1][-1]) < 1e-5)

# Overfitting and its remedies

x = np.linspace(-1, 1, 64, dtype="float32").reshape(16, 4)
y = (x.sum(1) > 0).astype("float32")
model = keras.Sequential(
    [
        layers.Dense(
            4,
            kernel_regularizer=keras.regularizers.l2(0.002),
            activation="relu",
            kernel_initializer=keras.initializers.Constant(0.1),
        ),
        layers.Dense(1, activation="sigmoid", kernel_initializer=keras.initializers.Constant(0.1)),
    ]
)
model.compile(optimizer="rmsprop", loss="binary_crossentropy", metrics=["accuracy"])
history = model.fit(x, y, epochs=3, batch_size=16, verbose=0)
store("regularized", {key: history.history[key] for key in ("loss", "accuracy")})
l1_model = keras.Sequential(
    [
        keras.Input((4,)),
        layers.Dense(2, kernel_regularizer=keras.regularizers.L1L2(l1=0.001, l2=0.001), kernel_initializer="ones"),
    ]
)
l1_model(x)
store("penalty", [float(one) for one in l1_model.losses])

# A sample of all losses by name

y_true = np.array([[0.0, 1.0, 0.0], [0.2, 0.5, 0.3]], dtype="float32")
y_pred = np.array([[0.1, 0.8, 0.1], [0.3, 0.4, 0.3]], dtype="float32")
for name in (
    "mean_squared_error",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "categorical_crossentropy",
    "kl_divergence",
    "huber",
    "hinge",
    "poisson",
    "cosine_similarity",
):
    store(name, getattr(keras.losses, name)(y_true, y_pred))

# Title: convolutional networks, and what they have learned

import keras
import numpy as np
from keras import layers, ops
from results import store

rng = np.random.default_rng(0)
images = rng.random((12, 20, 20, 3)).astype("float32")
labels = np.arange(12) % 2

# Build a model of blocks

inputs = keras.Input(shape=(20, 20, 3))
x = layers.Rescaling(1.0 / 255)(inputs)
x = layers.Conv2D(filters=32, kernel_size=5, use_bias=False)(x)
for size in [8, 16]:
    residual = x
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    x = layers.SeparableConv2D(size, 3, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    x = layers.SeparableConv2D(size, 3, padding="same", use_bias=False)(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    residual = layers.Conv2D(size, 1, strides=2, padding="same", use_bias=False)(residual)
    x = layers.add([x, residual])
x = layers.GlobalAveragePooling2D()(x)
x = layers.Dropout(0.5)(x)
outputs = layers.Dense(1, activation="sigmoid")(x)
model = keras.Model(inputs=inputs, outputs=outputs)
store("count", model.count_params())
store("trainable", sum(int(np.prod(weight.shape)) for weight in model.trainable_weights))

# Train, keep the best

callbacks = [keras.callbacks.ModelCheckpoint("best.keras", save_best_only=True, monitor="val_loss")]
model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
history = model.fit(images, labels, epochs=2, validation_data=(images, labels), callbacks=callbacks, verbose=0)
test_model = keras.models.load_model("best.keras")
test_loss, test_acc = test_model.evaluate(images, labels, verbose=0)
store("best", abs(test_loss - min(history.history["val_loss"])) < 1e-4)

# Outputs of all layers

layer_outputs, layer_names = [], []
model = keras.Sequential(
    [
        keras.Input((20, 20, 3)),
        layers.Conv2D(4, 3, activation="relu", kernel_initializer="ones"),
        layers.MaxPooling2D(2),
        layers.Conv2D(4, 3, activation="relu", kernel_initializer="ones"),
        layers.Flatten(),
        layers.Dense(1),
    ]
)
for layer in model.layers:
    if isinstance(layer, (layers.Conv2D, layers.MaxPooling2D)):
        layer_outputs.append(layer.output)
        layer_names.append(type(layer).__name__)
activation_model = keras.Model(inputs=model.inputs, outputs=layer_outputs)
activations = activation_model.predict(images[:1], verbose=0)
store("activations", [one.shape for one in activations])
store("values", [float(one.mean()) for one in activations])

# Images that activate a filter

feature_extractor = keras.Model(inputs=model.inputs, outputs=model.layers[0].output)


def compute_loss(image, filter_index):
    activation = feature_extractor(image)
    filter_activation = activation[:, 2:-2, 2:-2, filter_index]
    return ops.mean(filter_activation)


def gradient_ascent_step(image, filter_index, learning_rate):
    image = image.clone().detach().requires_grad_(True)
    loss = compute_loss(image, filter_index)
    loss.backward()
    grads = image.grad
    grads = ops.normalize(grads)
    return (image + learning_rate * grads).detach()


image = ops.convert_to_tensor(images[:1])
before = float(compute_loss(image, 1))
for _ in range(3):
    image = gradient_ascent_step(image, 1, 1.0)
store("ascent", float(compute_loss(image, 1)) > before)


def deprocess_image(image):
    image -= ops.mean(image)
    image /= ops.std(image)
    image *= 64
    image += 128
    image = ops.clip(image, 0, 255)
    image = image[2:-2, 2:-2, :]
    return ops.cast(image, dtype="uint8")


store("deprocessed", [list(deprocess_image(image[0]).shape), str(deprocess_image(image[0]).dtype)])

# A heatmap of the class

last_conv_layer_model = keras.Model(model.inputs, model.layers[2].output)
classifier_input = last_conv_layer_model.output
x = classifier_input
for layer in model.layers[3:]:
    x = layer(x)
classifier_model = keras.Model(classifier_input, x)
last_conv_layer_output = last_conv_layer_model(images[:1]).detach().requires_grad_(True)
preds = classifier_model(last_conv_layer_output)
top_pred_index = ops.argmax(preds[0])
top_class_channel = preds[:, top_pred_index]
top_class_channel.sum().backward()
grads = last_conv_layer_output.grad
pooled_grads = ops.mean(grads, axis=(0, 1, 2))
store("heatmap", [list(grads.shape), list(pooled_grads.shape)])

# Segmentation


def get_model(img_size, num_classes):
    inputs = keras.Input(shape=img_size + (3,))
    x = layers.Rescaling(1.0 / 255)(inputs)
    x = layers.Conv2D(8, 3, strides=2, activation="relu", padding="same")(x)
    x = layers.Conv2D(8, 3, activation="relu", padding="same")(x)
    x = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv2D(16, 3, activation="relu", padding="same")(layers.UpSampling2D(2)(x))
    x = layers.Conv2D(8, 3, activation="relu", padding="same")(layers.UpSampling2D(2)(x))
    outputs = layers.Conv2D(num_classes, 3, padding="same")(x)
    return keras.Model(inputs, outputs)


model = get_model(img_size=(20, 20), num_classes=3)
masks = rng.integers(0, 3, (12, 20, 20, 1)).astype("uint8")
foreground_iou = keras.metrics.IoU(
    num_classes=3, target_class_ids=(0,), name="foreground_iou", sparse_y_true=True, sparse_y_pred=False
)
model.compile(
    optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=[foreground_iou]
)
history = model.fit(images, masks, epochs=1, batch_size=4, validation_data=(images, masks), verbose=0)
store("segmentation", [model.count_params(), sorted(key for key in history.history if key != "learning_rate")])
store("mask", np.argmax(model.predict(images[:1], verbose=0)[0], axis=-1).shape)

# The metric by itself

metric = keras.metrics.IoU(num_classes=2, target_class_ids=(1,))
metric.update_state([0, 0, 1, 1], [0, 1, 0, 1])
store("iou", float(metric.result()))

# A pretrained base, by its features

conv_base = keras.Sequential(
    [keras.Input((20, 20, 3)), layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D(4)], name="base"
)


def get_features_and_labels(batches):
    all_features, all_labels = [], []
    for images, labels in batches:
        all_features.append(conv_base.predict(images, verbose=0))
        all_labels.append(labels)
    return np.concatenate(all_features), np.concatenate(all_labels)


train_features, train_labels = get_features_and_labels([(images[:6], labels[:6]), (images[6:], labels[6:])])
store("features", [train_features.shape, train_labels.shape])
conv_base.trainable = False
store("frozen", [len(conv_base.trainable_weights), len(conv_base.weights)])

# Images on the disk

import importlib.util


if importlib.util.find_spec("PIL") is not None:
    picture = rng.integers(0, 256, (6, 8, 3)).astype("float32")
    img = keras.utils.array_to_img(picture, scale=False)
    keras.utils.save_img("picture.png", picture, scale=False)
    loaded = keras.utils.load_img("picture.png", target_size=(6, 8))
    assert np.array_equal(keras.utils.img_to_array(loaded), picture)
    assert img.size == (8, 6)

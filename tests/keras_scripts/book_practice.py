# Title: practice: precision, schedules, randomness, generated images

import keras
import numpy as np
from keras import layers, ops
from results import store

# Mixed precision

keras.mixed_precision.set_global_policy("mixed_bfloat16")
model = keras.Sequential([keras.Input((4,)), layers.Dense(8, activation="relu"), layers.Dense(2)])
model.compile("sgd", "mse")
history = model.fit(np.ones((8, 4)), np.ones((8, 2)), verbose=0)
store("finite", bool(np.isfinite(history.history["loss"][0])))
store("weights", all(str(weight.dtype).endswith("float32") for weight in model.weights))
keras.mixed_precision.set_global_policy("float32")

# Schedules


class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, rate, steps):
        self.rate = rate
        self.steps = steps

    def __call__(self, step):
        step = ops.cast(step, "float32")
        return self.rate * ops.minimum(1.0, (step + 1) / self.steps)

    def get_config(self):
        return {"rate": self.rate, "steps": self.steps}


schedule = WarmUp(0.1, 4)
store("warm-up", [float(schedule(step)) for step in range(6)])
for made in (
    keras.optimizers.schedules.CosineDecay(0.1, 10),
    keras.optimizers.schedules.PiecewiseConstantDecay([3, 6], [0.1, 0.01, 0.001]),
    keras.optimizers.schedules.PolynomialDecay(0.1, 10, 0.01, power=2.0),
    keras.optimizers.schedules.InverseTimeDecay(0.1, 2, 0.5),
    keras.optimizers.schedules.CosineDecayRestarts(0.1, 4),
):
    store(type(made).__name__, [float(made(step)) for step in (0, 3, 5, 9)])
model = keras.Sequential([keras.Input((4,)), layers.Dense(1, kernel_initializer="ones")])
model.compile(keras.optimizers.SGD(schedule), "mse")
history = model.fit(np.ones((12, 4)), np.ones((12, 1)), batch_size=4, epochs=2, shuffle=False, verbose=0)
store("with a schedule", history.history["loss"])

# Random numbers

seed_generator = keras.random.SeedGenerator(seed=42)
first = keras.random.normal((3,), seed=seed_generator)
second = keras.random.normal((3,), seed=seed_generator)
store("differ", bool(ops.all(first == second)))
store("again", bool(ops.all(keras.random.uniform((3,), seed=7) == keras.random.uniform((3,), seed=7))))
store(
    "kinds",
    [
        list(keras.random.randint((2, 3), 0, 5).shape),
        list(keras.random.categorical(np.log([[0.5, 0.5]]), 4).shape),
        list(keras.random.shuffle(ops.arange(5)).shape),
        list(keras.random.truncated_normal((2,)).shape),
    ],
)
keras.utils.set_random_seed(3)
one = keras.layers.Dense(4)
one.build((None, 3))
keras.utils.set_random_seed(3)
other = keras.layers.Dense(4)
other.build((None, 3))
store("same initial weights", bool(np.array_equal(one.get_weights()[0], other.get_weights()[0])))

# The backend and its settings

store(
    "backend",
    [keras.backend.backend(), keras.config.floatx(), keras.backend.epsilon(), keras.backend.image_data_format()],
)
keras.backend.clear_session()
store("version", keras.__version__.count(".") >= 1)

# A schedule of diffusion


def diffusion_schedule(diffusion_times, min_signal_rate=0.02, max_signal_rate=0.95):
    start_angle = ops.cast(ops.arccos(max_signal_rate), "float32")
    end_angle = ops.cast(ops.arccos(min_signal_rate), "float32")
    diffusion_angles = start_angle + diffusion_times * (end_angle - start_angle)
    signal_rates = ops.cos(diffusion_angles)
    noise_rates = ops.sin(diffusion_angles)
    return noise_rates, signal_rates


store("rates", diffusion_schedule(ops.convert_to_tensor([0.0, 0.5, 1.0])))


class SinusoidalEmbedding(keras.Layer):
    def __init__(self, output_dim, max_freq=1000, **kwargs):
        super().__init__(**kwargs)
        self.output_dim = output_dim
        self.max_freq = max_freq
        frequencies = np.linspace(0.0, np.log(max_freq), output_dim // 2)
        self.angular_speeds = 2.0 * np.pi * np.exp(frequencies)

    def call(self, inputs):
        inputs = ops.cast(inputs, "float32")
        speeds = ops.cast(self.angular_speeds, "float32")
        angles = speeds * inputs
        return ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)


store("sinusoids", SinusoidalEmbedding(4, 10)(np.array([[0.1], [0.5]])))

# A network for images and noise

image_input = keras.Input(shape=(16, 16, 3))
noise_input = keras.Input(shape=(1, 1, 1))
x = layers.Conv2D(8, 1)(image_input)
n = SinusoidalEmbedding(8)(noise_input)
n = layers.UpSampling2D(16, interpolation="nearest")(n)
x = layers.Concatenate()([x, n])
skips = []
for width in (8, 16):
    x = layers.BatchNormalization(center=False, scale=False)(x)
    x = layers.Conv2D(width, 3, padding="same", activation="swish")(x)
    skips.append(x)
    x = layers.AveragePooling2D(2)(x)
for width in (16, 8):
    x = layers.UpSampling2D(size=2, interpolation="bilinear")(x)
    x = layers.Concatenate()([x, skips.pop()])
    x = layers.Conv2D(width, 3, padding="same", activation="swish")(x)
x = layers.Conv2D(3, 1, kernel_initializer="zeros")(x)
unet = keras.Model([image_input, noise_input], x, name="unet")
store("unet", [unet.count_params(), list(unet.output_shape)])

# A model that trains it


class DiffusionModel(keras.Model):
    def __init__(self, network, **kwargs):
        super().__init__(**kwargs)
        self.denoising_model = network
        self.seed_generator = keras.random.SeedGenerator()
        self.loss = keras.losses.MeanAbsoluteError()
        self.normalizer = keras.layers.Normalization()

    def denoise(self, noisy_images, noise_rates, signal_rates):
        pred_noise_masks = self.denoising_model([noisy_images, noise_rates])
        pred_images = signal_rates * noisy_images - noise_rates * pred_noise_masks
        pred_noises = noise_rates * noisy_images + signal_rates * pred_noise_masks
        return pred_images, pred_noises

    def call(self, images):
        images = self.normalizer(images)
        noises = keras.random.normal(shape=(images.shape[0], 16, 16, 3), seed=self.seed_generator)
        diffusion_times = keras.random.uniform(shape=(images.shape[0], 1, 1, 1), seed=self.seed_generator)
        noise_rates, signal_rates = diffusion_schedule(diffusion_times)
        noisy_images = signal_rates * images + noise_rates * noises
        pred_images, pred_noises = self.denoise(noisy_images, noise_rates, signal_rates)
        return pred_images, pred_noises, noises

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        _, pred_noises, noises = y_pred
        return self.loss(noises, pred_noises)


images = np.random.random((6, 16, 16, 3)).astype("float32")
model = DiffusionModel(unet)
model.normalizer.adapt(images)
model.compile(optimizer=keras.optimizers.AdamW(learning_rate=1e-3, weight_decay=1e-4))
history = model.fit(images, epochs=1, batch_size=3, verbose=0)
store("diffusion", sorted(key for key in history.history if key != "learning_rate"))

# Spectra

signal = np.sin(np.linspace(0, 20, 256)).astype("float32")
spectrum = ops.stft(signal, sequence_length=64, sequence_stride=32, fft_length=64)
store("spectrum", [list(part.shape) for part in spectrum])
mel = layers.MelSpectrogram(num_mel_bins=8, fft_length=64, sequence_stride=32, sampling_rate=1000, max_freq=500)
store("mel", list(mel(signal[None]).shape))
store("norm of rows", layers.SpectralNormalization(layers.Dense(2)) is not None)

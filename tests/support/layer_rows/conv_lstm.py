"""ConvLSTM1D, ConvLSTM2D and ConvLSTM3D."""

import torch
from torch.nn import functional as F

from kerastorch.layers import ConvLSTM1D, ConvLSTM2D, ConvLSTM3D
from support.layer_rows.row import Row, numbers

CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def _pad_same(x, sizes):
    """Zeros for a stride of 1; the odd one is at the end."""
    amounts = [amount for size in reversed(sizes) for amount in ((size - 1) // 2, size // 2)]
    return F.pad(x, amounts)


def _by_steps(layer, x, initial_state=None, mask=None, sequences=False):
    """The equations, image by image and gate by gate."""
    rank = layer.spatial_rank
    last = layer.data_format == "channels_last"
    convolve = CONVOLUTIONS[rank]
    x = x.movedim(-1, 2) if last else x
    kernels, states = layer.weight_ih.chunk(4), layer.weight_hh.chunk(4)
    biases = [None] * 4 if layer.bias_ih is None else layer.bias_ih.chunk(4)
    outputs, h, c = [], None, None
    for t in range(x.shape[1]):
        image = x[:, t]
        if layer.padding == "same":
            image = _pad_same(image, layer.kernel_size)
        z = [convolve(image, k, b, layer.strides, 0, layer.dilation_rate) for k, b in zip(kernels, biases, strict=True)]
        if h is None:
            h = c = torch.zeros_like(z[0])
            if initial_state is not None:
                h, c = (state.movedim(-1, 1) if last else state for state in initial_state)
        i, f, g, o = (a + convolve(_pad_same(h, layer.kernel_size), w) for a, w in zip(z, states, strict=True))
        new_c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        new_h = torch.sigmoid(o) * torch.tanh(new_c)
        if mask is not None:
            keep = mask[:, t].view(-1, *[1] * (rank + 1))
            output = torch.where(keep, new_h, outputs[-1] if outputs else torch.zeros_like(new_h))
            h, c = torch.where(keep, new_h, h), torch.where(keep, new_c, c)
        else:
            h, c, output = new_h, new_c, new_h
        outputs.append(output)
    y = torch.stack(outputs, 1) if sequences else outputs[-1]
    return y.movedim(-1 - rank, -1) if last else y


def _sequences(layer, *inputs):
    return _by_steps(layer, *inputs, sequences=True)


def _backwards(layer, x):
    return _by_steps(layer, x.flip(1))


def _images():
    return (numbers(3, 3, 2, 5, 6),)


def _masked():
    return (*_images(), None, torch.tensor([[1, 1, 0], [0, 1, 1], [0, 0, 0]]).bool())


ROWS = {
    "ConvLSTM1D": Row(
        lambda: ConvLSTM1D(2, 3, bias_initializer="random_normal"), lambda: (numbers(3, 3, 6, 2),), _by_steps
    ),
    "ConvLSTM1D-channels_first": Row(
        lambda: ConvLSTM1D(2, 2, padding="same", data_format="channels_first", return_sequences=True),
        lambda: (numbers(3, 3, 2, 6),),
        _sequences,
    ),
    "ConvLSTM2D": Row(lambda: ConvLSTM2D(2, 3, padding="same"), _images, _by_steps),
    "ConvLSTM2D-sequence": Row(lambda: ConvLSTM2D(2, (3, 2), return_sequences=True), _images, _sequences),
    "ConvLSTM2D-channels_last": Row(
        lambda: ConvLSTM2D(2, 2, 2, data_format="channels_last", unit_forget_bias=False),
        lambda: (numbers(3, 3, 5, 6, 2),),
        _by_steps,
    ),
    "ConvLSTM2D-dilation": Row(lambda: ConvLSTM2D(2, 2, dilation_rate=2, use_bias=False), _images, _by_steps),
    "ConvLSTM2D-masked": Row(lambda: ConvLSTM2D(2, 3, return_sequences=True), _masked, _sequences),
    "ConvLSTM2D-initial_state": Row(
        lambda: ConvLSTM2D(2, 3),
        lambda: (*_images(), [numbers(3, 2, 3, 4, seed=2), numbers(3, 2, 3, 4, seed=3)]),
        _by_steps,
    ),
    "ConvLSTM2D-backwards": Row(lambda: ConvLSTM2D(2, 3, go_backwards=True), _images, _backwards),
    "ConvLSTM2D-dropout": Row(
        lambda: ConvLSTM2D(2, 3, dropout=0.4, recurrent_dropout=0.2), _images, _by_steps, training="random"
    ),
    "ConvLSTM3D": Row(lambda: ConvLSTM3D(2, 2, padding="same"), lambda: (numbers(2, 2, 2, 3, 4, 3),), _by_steps),
}

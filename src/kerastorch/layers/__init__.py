"""Layers under their Keras names; any `torch.nn.Module` can stand where a layer can."""

from kerastorch.layers.activation import ELU, LeakyReLU, PReLU, ReLU, Softmax
from kerastorch.layers.attention import AdditiveAttention, Attention
from kerastorch.layers.base import Layer
from kerastorch.layers.bidirectional import Bidirectional
from kerastorch.layers.cells import GRUCell, LSTMCell, SimpleRNNCell, StackedRNNCells
from kerastorch.layers.core import Activation, Dense, Flatten, Maxout
from kerastorch.layers.input import Input
from kerastorch.layers.multi_head import GroupQueryAttention, MultiHeadAttention
from kerastorch.layers.recurrent import GRU, LSTM, SimpleRNN
from kerastorch.layers.regularization import Dropout
from kerastorch.layers.rnn import RNN
from kerastorch.layers.time_distributed import TimeDistributed

__all__ = [
    "ELU",
    "GRU",
    "LSTM",
    "RNN",
    "Activation",
    "AdditiveAttention",
    "Attention",
    "Bidirectional",
    "Dense",
    "Dropout",
    "Flatten",
    "GRUCell",
    "GroupQueryAttention",
    "Input",
    "LSTMCell",
    "Layer",
    "LeakyReLU",
    "Maxout",
    "MultiHeadAttention",
    "PReLU",
    "ReLU",
    "SimpleRNN",
    "SimpleRNNCell",
    "Softmax",
    "StackedRNNCells",
    "TimeDistributed",
]

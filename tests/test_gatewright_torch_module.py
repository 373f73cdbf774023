"""Live modules: what is followed, what is refused, and that the numbers are compared."""

import re

import numpy as np
import pytest
import torch_standin

import gatewright as gw
from gatewright import door_torch_module
from gatewright.errors import GatewrightError, ImportRefused
from gatewright.onnx_check import float_outputs
from golden.reference import Batch


@pytest.fixture
def torch(monkeypatch):
    return torch_standin.install(monkeypatch)


def net(torch, use, cell="LSTM", layers=1, **options):
    """A recurrent module, a head, and what is done with them."""
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = getattr(torch.nn, cell)(5, 4, layers, **{"batch_first": True} | options)
            self.fc = torch.nn.Linear(4 * (1 + self.rnn.bidirectional), 3)
            self.drop = torch.nn.Dropout()

        def forward(self, x):
            return use(self, x)
    return Net()


# What is done with the layers, and the layers that must come out.
SPELLINGS = {
    "every step": (lambda m, x: m.fc(m.drop(m.rnn(x)[0])), {}, ["rnn", "fc"], False),
    "last step": (lambda m, x: m.fc(m.rnn(x)[0][:, -1]), {}, ["rnn", "fc"], True),
    "last step, counted": (lambda m, x: m.fc(m.rnn(x)[0][:, x.shape[1] - 1, :]), {}, ["rnn", "fc"],
                           True),
    "last state": (lambda m, x: m.fc(m.rnn(x)[1][0][-1]), {"layers": 2}, ["rnn_0", "rnn_1", "fc"],
                   True),
    "last state of a GRU": (lambda m, x: m.fc(m.rnn(x)[1].squeeze(0)), {"cell": "GRU"},
                            ["rnn", "fc"], True),
    "time first": (lambda m, x: m.fc(m.rnn(x)[0][-1]), {"batch_first": False}, ["rnn", "fc"], True),
    "turned": (lambda m, x: m.fc(m.rnn(x.transpose(0, 1))[0].transpose(0, 1)),
               {"batch_first": False}, ["rnn", "fc"], False),
    "flat": (lambda m, x: m.fc(m.rnn(x)[0].contiguous().reshape(-1, 4)), {"cell": "RNN"},
             ["rnn", "fc"], False),
    "relu": (lambda m, x: m.fc(m.rnn(x)[0]).relu(), {"cell": "RNN", "nonlinearity": "relu"},
             ["rnn", "fc"], False),
    "time first, turned": (lambda m, x: m.fc(m.rnn(x.transpose(0, 1))[0]), {}, ["rnn", "fc"],
                           False),
    "softmax": (lambda m, x: m.fc(m.rnn(x)[0]).softmax(dim=-1), {}, ["rnn", "fc"], False),
    "argmax": (lambda m, x: m.fc(m.rnn(x)[0]).argmax(-1), {}, ["rnn", "fc"], False),
    "zero state": (lambda m, x: m.fc(m.rnn(x, x.new_zeros(1, 1, 4))[0]), {"cell": "GRU"},
                   ["rnn", "fc"], False),
    "tuple": (lambda m, x: ((m.fc(m.rnn(x)[0]), 3), None), {}, ["rnn", "fc"], False),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_spelling(torch, name):
    """Every way of writing it gives the same layers, and the module's own numbers."""
    use, options, layers, last = SPELLINGS[name]
    network = gw.from_torch(net(torch, use, **options))
    assert [one.name for one in network.layers] == layers and network.last_step_only is last
    worst = float(re.match(r"Largest difference from the module itself (\S+), over 4 random "
                           r"sequences\.$", network.notes[0])[1])
    assert worst < 1e-12                   # the module ran in float64
    assert network.name == "net" and network.source == "module, PyTorch stand-in module"
    told = any("time on its first axis" in note for note in network.notes)
    assert told == name.startswith("time first")


def test_sequential(torch):
    nn = torch.nn
    network = gw.from_torch(nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.GRU(4, 3)), name="Mine")
    assert [one.name for one in network.layers] == ["layer_0", "layer_2"]
    assert network.layers[0].activation == "tanh" and network.name == "mine"


def test_tokens(torch):
    class Tagger(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.rnn = torch.nn.Embedding(11, 6), torch.nn.GRU(6, 4, batch_first=True)

        def forward(self, ids):
            return self.rnn(self.table(ids))[0]
    assert gw.from_torch(Tagger()).embedding.shape == (11, 6)


def test_states(torch):
    """Last states come back in, and a stream in two pieces gives what it gives in one."""
    network = gw.from_torch(torch.nn.LSTM(5, 4, 2), states=True)
    assert [b.name for b in (*network.state_inputs, *network.outputs)] == \
        ["h0", "c0", "output", "hn", "cn"]
    x = np.random.default_rng(1).normal(size=(2, 6, 5))
    whole, first = (float_outputs(network, Batch(x=part)) for part in (x, x[:, :2]))
    h, c = ({k: first[key][:, k, 0] for k in range(2)} for key in ("hn", "cn"))
    rest = float_outputs(network, Batch(x=x[:, 2:], h0=h, c0=c))
    assert np.abs(rest["output"] - whole["output"][:, :, 2:]).max() < 1e-12


def test_module_is_not_changed(torch):
    module = net(torch, SPELLINGS["last step"][0])
    before = {key: value.values.copy() for key, value in module.state_dict().items()}
    gw.from_torch(module)
    assert all(np.array_equal(before[key], value.values) and value.dtype == np.float32
               for key, value in module.state_dict().items())
    assert not any(part.before or part.after for part in module.modules())


@pytest.mark.parametrize("use, options, words", [
    (lambda m, x: m.fc(m.rnn(x)[0][:, 0]), {}, "module 'fc' .nn.Linear.: reads something else"),
    (lambda m, x: m.fc(m.rnn(x)[0][:, 4]), {}, "reads something else"),
    (lambda m, x: m.fc(m.rnn(x)[0][:, :3]), {}, "reads something else"),
    (lambda m, x: m.fc(m.rnn(x)[1][1][-1]), {}, "reads something else"),
    (lambda m, x: m.fc(m.rnn(x)[1][0][0]), {"layers": 2}, "reads something else"),
    (lambda m, x: m.fc(m.rnn(x)[0] + m.rnn(x)[0]), {}, "function '__add__': is applied to data"),
    (lambda m, x: m.fc(m.rnn(x)[0]).softmax(dim=1), {}, "'softmax': is over axis 1.*dim=-1"),
    (lambda m, x: m.fc(m.rnn(x)[0]).mean(dim=2), {}, "'mean'.*reads something else"),
    (lambda m, x: m.rnn(x, m.rnn(x)[1])[0], {}, "module 'rnn' .nn.LSTM.: reads several tensors"),
    (lambda m, x: m.rnn(x, torch_standin.Tensor(np.ones((1, 1, 4))))[0], {"cell": "GRU"},
     "starts from a state that is not zero"),
    (lambda m, x: 3, {}, "does not return a tensor made of its input"),
    (lambda m, x: m.fc.weight, {}, "does not return a tensor made of its input"),
    (lambda m, x: m.missing(x), {}, "does not run on a short sequence .AttributeError"),
    (lambda m, x: m.fc(m.rnn(x)[0])[:, -1] if x.shape[1] == 7 else m.fc(m.rnn(x)[0]), {},
     "something else at other sequence lengths")])
def test_refusals(torch, use, options, words):
    with pytest.raises(ImportRefused, match=words):
        gw.from_torch(net(torch, use, **options))


def test_modules_wrong(torch):
    nn = torch.nn
    for module, words in (
            (nn.Sequential(nn.LayerNorm(), nn.GRU(5, 3)), "module '0' .nn.LayerNorm.: is not"),
            (nn.Sequential(nn.LSTMCell()), "module '0' .nn.LSTMCell.: is not supported.*same"),
            (nn.Tanh(), "the module: has no recurrent layer"),
            (nn.Linear(5, 3), "no weights of nn.RNN"),
            (nn.Sequential(nn.Embedding(9, 5, max_norm=1.0), nn.GRU(5, 3)), "has max_norm")):
        with pytest.raises(ImportRefused, match=words):
            gw.from_torch(module)


def test_two_nonlinearities(torch):
    class Two(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a = torch.nn.RNN(5, 4, nonlinearity="relu")
            self.b = torch.nn.RNN(4, 4)

        def forward(self, x):
            return self.b(self.a(x)[0])[0]
    with pytest.raises(ImportRefused, match="nn.RNNs of different nonlinearity"):
        gw.from_torch(Two())


def test_cannot_be_copied(torch):
    module = torch.nn.LSTM(5, 4)
    module.cpu = lambda: 1 / 0
    with pytest.raises(ImportRefused, match="module 'LSTM': cannot be copied .division"):
        gw.from_torch(module)


def test_wrong_numbers_are_caught(torch, monkeypatch):
    """A network that is not the module's is no result."""
    right = door_torch_module.import_lowered

    def wrong(made, *rest):
        network = right(made, *rest)
        network.layers[0].w[:] *= 1.1
        return network
    monkeypatch.setattr(door_torch_module, "import_lowered", wrong)
    with pytest.raises(GatewrightError, match="the import differs from the module by .*report"):
        gw.from_torch(torch.nn.GRU(5, 4))

"""Writes small files as Keras 1 wrote them, and what networks of these weights say of one picture.

    python3 -m venv /tmp/keras && /tmp/keras/bin/pip install h5py==3.16.0 numpy==2.4.6
    /tmp/keras/bin/python train/tests/keras/make_keras.py

`cnn.h5` and `crnn.h5` have the layers of K. Choi's taggers and of the authors' network with a few filters each;
train/tests/parity.rs reads them. `scores.json` is computed here layer by layer, as Keras 1.1 with theano did,
in double precision and without any of the steps by which the product gets there: kernels are flipped where they are
applied, batch norms are layers of their own, and ELU comes before the pool.
"""

import json
import pathlib

import h5py
import numpy as np

HERE = pathlib.Path(__file__).parent
COLUMNS, BANDS = 1366, 96
EPSILON = 1e-5


def picture():
    """Decibels [band, column] that the test makes again."""
    band, column = np.arange(BANDS)[:, None], np.arange(COLUMNS)[None, :]
    return -40.0 + 25.0 * np.sin(0.37 * band + 0.011 * column) * np.cos(0.05 * column)


def norm_weights(rng, size, mean=0.0, std=1.0):
    return {
        "gamma": rng.uniform(0.5, 1.5, size),
        "beta": rng.normal(0.0, 0.2, size),
        "running_mean": mean + rng.normal(0.0, 0.1, size),
        "running_std": std * rng.uniform(0.5, 2.0, size),
    }


def weights(seed, filters, units, labels, output, first):
    """All layers: {layer: {part: array}}."""
    rng = np.random.default_rng(seed)
    layers = {"bn_0_freq": first(rng)}
    before = 1
    for index, n in enumerate(filters, 1):
        layers[f"conv{index}"] = {
            "W": rng.normal(0.0, 1.2 / np.sqrt(9 * before), (n, before, 3, 3)),
            "b": rng.normal(0.0, 0.2, n),
        }
        layers[f"bn{index}"] = norm_weights(rng, n)
        before = n
    for index, n in enumerate(units, 1):
        layer = layers[f"gru{index}"] = {}
        for gate in "zrh":
            layer[f"W_{gate}"] = rng.normal(0.0, 1.0, (before, n))
            layer[f"U_{gate}"] = rng.normal(0.0, 0.7, (n, n))
            layer[f"b_{gate}"] = rng.normal(0.0, 0.3, n)
        before = n
    layers[output] = {"W": rng.normal(0.0, 1.0, (before, labels)), "b": rng.normal(0.0, 0.3, labels)}
    # What is computed with is what the file holds.
    return {
        name: {part: values.astype("<f4").astype(float) for part, values in layer.items()}
        for name, layer in layers.items()
    }


def write(path, layers):
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in layers]
        for name, layer in layers.items():
            group = file.create_group(name)
            for part, values in layer.items():
                group.create_dataset(f"{name}_{part}", data=values.astype("<f4"))


def batch_norm(x, layer, shape, divisor):
    """`x` normalised along the axis that `shape` spreads the statistics over."""
    gamma, beta, mean, std = (
        layer[part].reshape(shape) for part in ("gamma", "beta", "running_mean", "running_std")
    )
    return gamma * (x - mean) / divisor(std) + beta


def convolution(x, layer):
    """True convolution of [channel, row, column] with a border of zeros."""
    kernel, bias = layer["W"], layer["b"]
    rows, columns = x.shape[1:]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    y = np.zeros((kernel.shape[0], rows, columns))
    for row in range(3):
        for column in range(3):
            part = padded[:, row : row + rows, column : column + columns]
            y += np.tensordot(kernel[:, :, 2 - row, 2 - column], part, axes=1)
    return y + bias[:, None, None]


def elu(x):
    return np.where(x > 0.0, x, np.expm1(np.minimum(x, 0.0)))


def max_pool(x, rows, columns):
    channels, height, width = x.shape[0], x.shape[1] // rows, x.shape[2] // columns
    x = x[:, : height * rows, : width * columns]
    return x.reshape(channels, height, rows, width, columns).max(axis=(2, 4))


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def hard_sigmoid(x):
    return np.clip(0.2 * x + 0.5, 0.0, 1.0)


def gru(steps, layer):
    """Every state of a GRU of Keras 1 that begins with zeros."""
    state, states = np.zeros(layer["b_z"].size), []
    for x in steps:
        gate = lambda g: x @ layer[f"W_{g}"] + layer[f"b_{g}"]
        update = hard_sigmoid(gate("z") + state @ layer["U_z"])
        reset = hard_sigmoid(gate("r") + state @ layer["U_r"])
        proposed = np.tanh(gate("h") + (reset * state) @ layer["U_h"])
        state = update * state + (1.0 - update) * proposed
        states.append(state)
    return states


def trunk(x, layers, pools, divisor):
    x = batch_norm(x[None], layers["bn_0_freq"], (1, 1, -1), divisor)
    for index, pool in enumerate(pools, 1):
        x = convolution(x, layers[f"conv{index}"])
        x = batch_norm(x, layers[f"bn{index}"], (-1, 1, 1), divisor)
        x = max_pool(elu(x), *pool)
    return x


def dense(x, layer):
    return sigmoid(x @ layer["W"] + layer["b"])


def cnn():
    """Choi's CNN as it was trained: normalised decibels, deviations as divisors."""
    layers = weights(1, (2, 3, 3, 4, 5), (), 50, "output", lambda rng: norm_weights(rng, COLUMNS))
    write(HERE / "cnn.h5", layers)
    pools = ((2, 4), (2, 4), (2, 4), (3, 5), (4, 4))
    x = trunk((picture() + 30.6) / 18.0, layers, pools, lambda std: std + EPSILON)
    return dense(x.reshape(-1), layers["output"])


def crnn():
    """The authors' CRNN as their code runs it: decibels, deviations taken for variances, 37 columns of zeros each side."""
    first = lambda rng: norm_weights(rng, COLUMNS + 74, mean=-35.0, std=300.0)
    layers = weights(2, (2, 3, 3, 4), (4, 3), 10, "preds", first)
    write(HERE / "crnn.h5", layers)
    pools = ((2, 2), (3, 3), (4, 4), (4, 4))
    x = np.pad(picture(), ((0, 0), (37, 37)))
    x = trunk(x, layers, pools, lambda std: np.sqrt(std + EPSILON))
    # [channel, row, column] to steps of [channel, row].
    steps = x.transpose(2, 0, 1).reshape(x.shape[2], -1)
    states = gru(gru(steps, layers["gru1"]), layers["gru2"])
    return dense(states[-1], layers["preds"])


if __name__ == "__main__":
    scores = {"cnn": cnn().tolist(), "crnn": crnn().tolist()}
    text = json.dumps({name: [round(s, 7) for s in values] for name, values in scores.items()})
    (HERE / "scores.json").write_text(text.replace("], ", "],\n ") + "\n")

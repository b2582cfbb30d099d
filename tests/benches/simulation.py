"""A round of EF21 in NumPy, for comparison with the simulation: see simulation.rs.

    simulation.py DATA WORKERS K GAMMA ROUNDS RUNS

DATA is a file in the format of LIBSVM. All workers are computed at once where NumPy can do that. A round does the work
of a simulated one: losses and gradients with the nonconvex regulariser, the differences from g_i, TopK, the updates of
g_i and of their sum, and the step. Prints the least processor time of a round in milliseconds, for each way to store
the rows.
"""

import json
import sys
import time

import numpy as np

LAMBDA = 0.1


def read(path):
    """Returns the rows as a list of columns and values, and the labels as -1 and 1."""
    rows, labels = [], []
    with open(path) as file:
        for line in file:
            label, *entries = line.split()
            pairs = [entry.split(":") for entry in entries]
            columns = np.array([int(k) - 1 for k, _ in pairs], int)
            rows.append((columns, np.array([float(v) for _, v in pairs])))
            labels.append(float(label))
    labels = np.array(labels)
    return rows, np.where(labels == labels.max(), 1.0, -1.0)


class Dense:
    """Rows as a matrix, and the rows of a worker as a part of it."""

    def __init__(self, rows, d, bounds, dtype):
        self.matrix = np.zeros((len(rows), d), dtype)
        for row, (columns, values) in zip(self.matrix, rows):
            row[columns] = values
        self.parts = [self.matrix[first:last] for first, last in zip(bounds, bounds[1:])]
        self.pieces = list(zip(bounds, bounds[1:]))
        self.sums = np.zeros((len(self.parts), d), dtype)

    def margins(self, x):
        return self.matrix @ x

    def gradients(self, residuals):
        for out, part, (first, last) in zip(self.sums, self.parts, self.pieces):
            np.dot(residuals[first:last], part, out=out)
        return self.sums


class Batched(Dense):
    """The same with one product for all workers, whose rows are padded to equal numbers."""

    def __init__(self, rows, d, bounds, dtype):
        super().__init__(rows, d, bounds, dtype)
        n, most = len(self.parts), max(map(len, self.parts))
        padded = np.zeros((n, most, d), dtype)
        for place, part in zip(padded, self.parts):
            place[: len(part)] = part
        self.matrix, self.n, self.most, self.d = padded.reshape(n * most, d), n, most, d
        self.place = np.concatenate([np.arange(len(part)) + i * most for i, part in enumerate(self.parts)])
        self.padded = np.zeros(n * most, dtype)

    def margins(self, x):
        return (self.matrix @ x)[self.place]

    def gradients(self, residuals):
        self.padded[self.place] = residuals
        rows = self.padded.reshape(self.n, 1, self.most)
        return np.matmul(rows, self.matrix.reshape(self.n, self.most, self.d))[:, 0]


class Listed:
    """Rows as lists of columns and values."""

    def __init__(self, rows, d, bounds, dtype):
        self.columns = np.concatenate([columns for columns, _ in rows])
        self.values = np.concatenate([values for _, values in rows]).astype(dtype)
        self.ones = bool((self.values == 1).all())
        lengths = self.lengths = np.array([len(columns) for columns, _ in rows])
        # A row without entries would get the term of the next one.
        self.filled = np.flatnonzero(lengths)
        self.starts = (np.cumsum(lengths) - lengths)[self.filled]
        self.row = np.repeat(np.arange(len(rows)), lengths)
        worker = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
        self.shape = (len(bounds) - 1, d)
        # The place of an entry in the gradients of all workers.
        self.flat = worker[self.row] * d + self.columns

    def margins(self, x):
        terms = x[self.columns] if self.ones else x[self.columns] * self.values
        margins = np.zeros(len(self.lengths), x.dtype)
        margins[self.filled] = np.add.reduceat(terms, self.starts)
        return margins

    def gradients(self, residuals):
        terms = residuals[self.row] if self.ones else residuals[self.row] * self.values
        sums = np.bincount(self.flat, weights=terms, minlength=self.shape[0] * self.shape[1])
        return sums.reshape(self.shape)


def largest(differences, k):
    """Returns the columns of the K largest coordinates of each row."""
    magnitudes = np.abs(differences)
    if k == 1:
        return magnitudes.argmax(axis=1)[:, None]
    return np.argpartition(magnitudes, -k, axis=1)[:, -k:]


def rounds(data, y, bounds, d, k, gamma, count, dtype):
    """Runs rounds; returns their mean time in milliseconds."""
    n = len(bounds) - 1
    y = y.astype(dtype)
    sizes = np.diff(bounds).astype(dtype)
    weights = np.repeat(1 / sizes, np.diff(bounds)).astype(dtype)
    x, g, total = np.zeros(d, dtype), np.zeros((n, d), dtype), np.zeros(d, dtype)
    lines = np.arange(n)[:, None]
    start = time.process_time()
    for _ in range(count):
        signed = y * data.margins(x)
        power = np.exp(-np.abs(signed))
        losses = np.log1p(power) - np.minimum(signed, 0)
        mean = np.add.reduceat(losses * weights, bounds[:-1])
        sigma = np.where(signed > 0, power, 1) / (1 + power)
        gradients = data.gradients(-y * sigma * weights)
        square = x * x
        share = 1 / (1 + square)
        loss = mean + LAMBDA * (square * share).sum()
        differences = gradients + 2 * LAMBDA * x * share * share - g
        columns = largest(differences, k)
        values = differences[lines, columns]
        g[lines, columns] += values
        total += np.bincount(columns.ravel(), weights=values.ravel(), minlength=d).astype(dtype)
        x -= gamma / n * total
    assert np.isfinite(loss).all()
    return (time.process_time() - start) / count * 1e3


def main():
    path, workers, k, gamma, count, runs = sys.argv[1:]
    rows, y = read(path)
    d = 1 + max(int(columns.max()) for columns, _ in rows if len(columns))
    bounds = np.linspace(0, len(rows), int(workers) + 1).astype(int)
    times = {}
    for kind in (Dense, Batched, Listed):
        for dtype in (np.float32, np.float64):
            data = kind(rows, d, bounds, dtype)
            setting = (data, y, bounds, d, int(k), float(gamma), int(count), dtype)
            found = [rounds(*setting) for _ in range(int(runs))]
            times[f"{kind.__name__.lower()} {np.dtype(dtype).name}"] = min(found)
    print(json.dumps(times))


main()

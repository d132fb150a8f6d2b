"""Writes flower.json: what Flower's own strategies make of the same updates.

    python -m venv venv && venv/bin/pip install flwr==1.42.0 scipy==1.17.1
    venv/bin/python coordinator/aggregation/goldens/generate.py

Three rounds of six institutions, in double precision. Flower has no geometric median and bounds
norms as part of differential privacy: the first is minimised here by SciPy, the second uses
Flower's clipping followed by its mean.
"""

import json
import logging
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from flwr.common import ndarrays_to_parameters, parameters_to_ndarrays
from flwr.supercore.differential_privacy import compute_clip_model_update
from flwr.server import strategy as flower
from flwr.server.strategy.aggregate import aggregate
from scipy.optimize import minimize

ROUNDS, INSTITUTIONS = 3, 6
SHAPES = {"a": (3, 4), "b": (5,)}
BOUND = 1.5

logging.disable(logging.CRITICAL)
random = np.random.default_rng(20261124)


def draw(scale):
    """Weights that a 32-bit file holds exactly."""
    return [np.float32(scale * random.standard_normal(shape)).astype(float) for shape in SHAPES.values()]


initial = draw(1.0)
steps = [[draw(0.1 + 0.3 * institution) for institution in range(INSTITUTIONS)] for _ in range(ROUNDS)]
samples = [[int(random.integers(5, 200)) for _ in range(INSTITUTIONS)] for _ in range(ROUNDS)]


def fit(ndarrays, number):
    """One institution's answer, as Flower's server sees it."""
    result = SimpleNamespace(parameters=ndarrays_to_parameters(ndarrays), num_examples=number, metrics={})
    return (SimpleNamespace(cid="x"), result)


def flat(ndarrays):
    return np.concatenate([array.ravel() for array in ndarrays])


def unflat(vector):
    parts, start = [], 0
    for shape in SHAPES.values():
        length = int(np.prod(shape))
        parts.append(vector[start : start + length].reshape(shape))
        start += length
    return parts


def geometric_median(updates, weights):
    points = np.array([flat(update) for update in updates])

    def cost(z):
        lengths = np.linalg.norm(points - z, axis=1)
        return np.dot(weights, lengths), -(weights / lengths) @ (points - z)

    options = {"ftol": 1e-15, "gtol": 1e-13, "maxiter": 10000}
    start = np.average(points, axis=0, weights=weights)
    return unflat(minimize(cost, start, jac=True, method="L-BFGS-B", options=options).x)


def clipped(updates, weights, now):
    updates = [[array.copy() for array in update] for update in updates]
    for update in updates:
        compute_clip_model_update(update, now, BOUND)
    return aggregate(list(zip(updates, weights)))


def own(rule):
    """Rounds with a rule that is not a strategy of Flower's."""
    now, results = initial, []
    for number in range(ROUNDS):
        updates = [[n + d for n, d in zip(now, step)] for step in steps[number]]
        now = rule(updates, samples[number], now)
        results.append(now)
    return results


def flowers(make):
    """Rounds with a strategy of Flower's."""
    now, results = initial, []
    strategy = make(ndarrays_to_parameters(initial))
    strategy.initialize_parameters(None)
    for number in range(ROUNDS):
        updates = [[n + d for n, d in zip(now, step)] for step in steps[number]]
        fits = [fit(update, count) for update, count in zip(updates, samples[number])]
        aggregated, _ = strategy.aggregate_fit(number + 1, fits, [])
        now = parameters_to_ndarrays(aggregated)
        results.append(now)
    return results


strategies = {
    '{"name":"fed-avg"}': flowers(lambda p: flower.FedAvg(initial_parameters=p, inplace=False)),
    '{"name":"fed-prox","mu":0.1}': flowers(
        lambda p: flower.FedProx(initial_parameters=p, proximal_mu=0.1)
    ),
    '{"name":"fed-avg-m","momentum":0.7}': flowers(
        lambda p: flower.FedAvgM(initial_parameters=p, server_momentum=0.7)
    ),
    '{"name":"fed-adam","learning_rate":0.1,"tau":0.001}': flowers(
        lambda p: flower.FedAdam(initial_parameters=p, eta=0.1, tau=0.001)
    ),
    '{"name":"fed-yogi"}': flowers(lambda p: flower.FedYogi(initial_parameters=p)),
    '{"name":"fed-adagrad","tau":0.001}': flowers(
        lambda p: flower.FedAdagrad(initial_parameters=p, tau=0.001)
    ),
    '{"name":"median"}': flowers(lambda p: flower.FedMedian(initial_parameters=p)),
    '{"name":"trimmed-mean","trim":0.2}': flowers(
        lambda p: flower.FedTrimmedAvg(initial_parameters=p, beta=0.2)
    ),
    '{"name":"krum","byzantine":1}': flowers(
        lambda p: flower.Krum(initial_parameters=p, num_malicious_clients=1)
    ),
    '{"name":"multi-krum","byzantine":1,"keep":4}': flowers(
        lambda p: flower.Krum(initial_parameters=p, num_malicious_clients=1, num_clients_to_keep=4)
    ),
    '{"name":"geometric-median"}': own(lambda u, s, _: geometric_median(u, np.array(s, float))),
    '{"name":"norm-bounded-mean","bound":%s}' % BOUND: own(clipped),
}

names = list(SHAPES)


def named(ndarrays):
    return {name: array.ravel().tolist() for name, array in zip(names, ndarrays)}


document = {
    "made_with": "flwr 1.42.0",
    "initial": named(initial),
    "steps": [[named(step) for step in round_] for round_ in steps],
    "samples": samples,
    "strategies": {key: [named(result) for result in results] for key, results in strategies.items()},
}
path = Path(__file__).with_name("flower.json")
path.write_text(json.dumps(document, indent=1) + "\n")
print(path, path.stat().st_size, "bytes")

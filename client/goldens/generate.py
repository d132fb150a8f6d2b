"""Writes accountant.json: the privacy that Opacus and Google's dp-accounting find for Gaussian updates.

    python -m venv venv && venv/bin/pip install opacus==1.6.0 dp-accounting==0.6.0
    venv/bin/python client/goldens/generate.py

Every update takes part with all of its data, so the sampling rate is 1. `updates` lists pairs of a
noise multiplier and a number of updates with it. Opacus converts by Balle et al. 2020, theorem 21,
over its default orders; dp-accounting has its own orders and the conversion of Canonne et al. 2020.
"""

import json
import logging
import warnings
from pathlib import Path

from dp_accounting import GaussianDpEvent
from dp_accounting.rdp import RdpAccountant
from opacus.accountants import RDPAccountant

logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")

SAME = [
    [(noise, count)]
    for noise in (0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 4.0, 10.0, 30.0)
    for count in (1, 2, 5, 20, 100, 1000)
]
# The policy's noise multiplier was changed between updates.
MIXED = [
    [(0.8, 1), (1.6, 3)],
    [(2.0, 10), (4.0, 40), (8.0, 100)],
    [(30.0, 1), (1.0, 1), (30.0, 1)],
]


def opacus(updates, delta):
    accountant = RDPAccountant()
    for noise, count in updates:
        for _ in range(count):
            accountant.step(noise_multiplier=noise, sample_rate=1.0)
    return accountant.get_epsilon(delta)


def google(updates, delta):
    accountant = RdpAccountant()
    for noise, count in updates:
        accountant.compose(GaussianDpEvent(noise), count)
    return accountant.get_epsilon(delta)


rows = [
    {
        "updates": updates,
        "delta": delta,
        "opacus": float(opacus(updates, delta)),
        "dp_accounting": float(google(updates, delta)),
    }
    for updates in SAME + MIXED
    for delta in (1e-2, 1e-5, 1e-8)
]
text = "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n"
(Path(__file__).parent / "accountant.json").write_text(text)

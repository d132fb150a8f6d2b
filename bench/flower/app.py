"""The Flower app of `make bench-rounds`: FedAvg over clients that change one number.

`bench/rounds.py` makes a project of it. After each round, the ServerApp writes the time and what the processes of the
SuperLink have used of the processor until then, its own among them.
"""

import json
import pathlib
import time

import numpy
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from .processes import processor_seconds

server = ServerApp()
client = ClientApp()


@client.train()
def train(message: Message, context: Context) -> Message:
    arrays = [numpy.array(array) for array in message.content["arrays"].to_numpy_ndarrays()]
    arrays[0].reshape(-1)[0] += 1
    reply = {"arrays": ArrayRecord(arrays), "metrics": MetricRecord({"num-examples": 100})}
    return Message(RecordDict(reply), reply_to=message)


@server.main()
def main(grid: Grid, context: Context) -> None:
    config = context.run_config
    generator = numpy.random.default_rng(0)
    shapes = json.loads(pathlib.Path(config["shapes"]).read_text())
    arrays = [generator.standard_normal(shape, dtype="float32") * 0.02 for shape in shapes]
    while len(list(grid.get_node_ids())) < config["clients"]:
        time.sleep(0.1)

    def mark(number: int, _: ArrayRecord) -> None:
        mark = {"round": number, "at": time.monotonic(), "processor": processor_seconds(config["superlink"])}
        with pathlib.Path(config["marks"]).open("a") as file:
            file.write(json.dumps(mark) + "\n")

    strategy = FedAvg(
        fraction_evaluate=0.0, min_train_nodes=config["clients"], min_available_nodes=config["clients"]
    )
    strategy.start(grid, ArrayRecord(arrays), num_rounds=config["rounds"], evaluate_fn=mark)

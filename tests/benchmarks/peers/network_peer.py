"""PyTorch and onnxruntime score a network over a Parquet file: PEER DATA NETWORK OUT BATCH THREADS.

NETWORK is a folder with ``network.npz``, the weights, and ``network.onnx``. Rows are read group by group and computed
BATCH rows at a time. ``id`` and ``probability`` are written to OUT as Parquet with snappy.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

SEQUENCE, WIDTH = "s", 8


def inputs(batch):
    """Return the inputs of some rows: shape (rows, steps, inputs) of lists, else (rows, columns)."""
    import numpy as np

    if SEQUENCE in batch.schema.names:
        return batch[SEQUENCE].flatten().to_numpy().reshape(batch.num_rows, -1, WIDTH)
    names = [name for name in batch.schema.names if name != "id"]
    matrix = np.empty((batch.num_rows, len(names)), dtype=np.float32)
    for position, name in enumerate(names):
        matrix[:, position] = batch[name].to_numpy()
    return matrix


def torch(network: Path, threads: int):
    """Return what scores a batch with PyTorch."""
    import numpy as np
    import torch as module

    module.set_num_threads(threads)
    weights = {name: module.from_numpy(value) for name, value in np.load(network / "network.npz").items()}
    linear = module.nn.functional.linear
    cell = next((name for name in ("lstm", "gru") if f"{name}.weight_ih_l0" in weights), None)
    layer = None
    if cell is not None:
        own = {name.partition(".")[2]: value for name, value in weights.items() if name.startswith(cell)}
        units = own["weight_hh_l0"].shape[1]
        layer = {"lstm": module.nn.LSTM, "gru": module.nn.GRU}[cell](WIDTH, units, batch_first=True)
        layer.load_state_dict(own)
    dense = sorted({name.partition(".")[0] for name in weights} - {"lstm", "gru"})

    def score(rows):
        with module.inference_mode():
            values = module.from_numpy(rows)
            if layer is not None:
                values = layer(values)[0][:, -1]
            for name in dense[:-1]:
                values = module.relu(linear(values, weights[f"{name}.weight"], weights[f"{name}.bias"]))
            name = dense[-1]
            return module.sigmoid(linear(values, weights[f"{name}.weight"], weights[f"{name}.bias"]))[:, 0].numpy()

    return score


def onnxruntime(network: Path, threads: int):
    """Return what scores a batch with onnxruntime."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime as module

    options = module.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    path = str(network / "network.onnx")
    session = module.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda rows: session.run(None, {"x": rows})[0][:, 0]


PEERS = {"torch": torch, "onnxruntime": onnxruntime}


def main(peer: str, data: str, network: str, out: str, size: str, threads: str) -> None:
    """Score, and write the probabilities."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    pa.set_cpu_count(int(threads))
    score = PEERS[peer](Path(network), int(threads))
    file = pq.ParquetFile(data)
    schema = pa.schema([pa.field("id", pa.int64()), pa.field("probability", pa.float32())])
    with pq.ParquetWriter(out, schema, compression="snappy") as writer:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, use_threads=int(threads) > 1).combine_chunks()
            (batch,) = table.to_batches()
            rows = inputs(batch)
            parts = [score(rows[start : start + int(size)]) for start in range(0, len(rows), int(size))]
            writer.write_table(pa.table([batch["id"], np.concatenate(parts)], schema=schema))


if __name__ == "__main__":
    main(*sys.argv[1:])

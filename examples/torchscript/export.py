#!/usr/bin/env python3
"""Writes a TorchScript module for `model.architecture: torchscript`.

    pip install torch==2.11.0
    python3 export.py --numbers 27 --categories 5 --embedding-rows 1024 --out flights.pt

What Freshet asks of a module:

  forward(numbers, categories)  numbers: [B, numbers] float32, categories: [B, categories] int64, each below
                                model.embedding_rows; or forward(numbers) where no feature is a category
  returns                       float32: a logit a row, [B] or [B, 1], for `task: binary`; a value a row for
                                `task: regression`; logits [B, classes] for `task: multiclass`
  loss(outputs, targets)        optional, [B] float32: a loss for each row. outputs is what forward returned, targets is
                                [B] float32, int64 for `task: multiclass`. Without it, learning.loss is the loss.
  metrics(outputs, targets)     optional: names and numbers, of all held-out events at once; shown in /status, a
                                backtest's JSON and as freshet_own_measure

All trained parameters are float32. In training the module is in train mode, when it serves in eval mode; a row's
prediction must then not depend on the other rows. State belongs into parameters and buffers: nothing else is kept.
"""

import argparse
import json
from typing import Dict

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Clicks(nn.Module):
    """Embeddings and numbers through two layers; the loss counts easy rows less (focal loss, Lin et al., 2017)."""

    def __init__(self, numbers: int, categories: int, rows: int, width: int, hidden: int, gamma: float):
        super().__init__()
        self.embedding = nn.Embedding(rows, width)
        nn.init.normal_(self.embedding.weight, std=0.05)
        self.norm = nn.BatchNorm1d(numbers)
        self.first = nn.Linear(numbers + categories * width, hidden)
        self.dropout = nn.Dropout(0.1)
        self.last = nn.Linear(hidden, 1)
        self.gamma = gamma

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        x = torch.cat([self.norm(numbers), self.embedding(categories).flatten(1)], 1)
        x = self.dropout(torch.relu(self.first(x)))
        return self.last(x).squeeze(1)

    @torch.jit.export
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        plain = F.binary_cross_entropy_with_logits(outputs, targets, reduction="none")
        return plain * (1.0 - torch.exp(-plain)) ** self.gamma

    @torch.jit.export
    def metrics(self, outputs: Tensor, targets: Tensor) -> Dict[str, Tensor]:
        said = outputs > 0
        return {"right": (said == (targets > 0.5)).float().mean(), "said_yes": said.float().mean()}


def main() -> None:
    arguments = argparse.ArgumentParser(description="Writes a TorchScript module for Freshet.")
    arguments.add_argument("--numbers", type=int, required=True, help="columns of numbers that the features give")
    arguments.add_argument("--categories", type=int, required=True, help="columns of categories")
    arguments.add_argument("--embedding-rows", type=int, default=1024, help="model.embedding_rows")
    arguments.add_argument("--width", type=int, default=4, help="floats of an embedding")
    arguments.add_argument("--hidden", type=int, default=32, help="units of the hidden layer")
    arguments.add_argument("--gamma", type=float, default=0.5, help="how much less easy rows count")
    arguments.add_argument("--seed", type=int, default=1, help="of the initial weights")
    arguments.add_argument("--out", required=True, help="file to write")
    given = arguments.parse_args()
    torch.manual_seed(given.seed)
    model = Clicks(given.numbers, given.categories, given.embedding_rows, given.width, given.hidden, given.gamma)
    # Extra files stay with the module: `freshet export` writes them again.
    note = json.dumps({"made_by": "examples/torchscript/export.py", "seed": given.seed})
    torch.jit.save(torch.jit.script(model), given.out, _extra_files={"note.json": note})


if __name__ == "__main__":
    main()

"""Train a module of one's own on the shipped digits with the eigenvalue penalty, and measure it.

python examples/promote_clusterability.py [weight]
"""

import sys

import torch
from torch import nn

from clusterability import EigenvaluePenalty, measure
from clusterability.datasets import load_dataset

weight = float(sys.argv[1]) if len(sys.argv) > 1 else 0.1
torch.manual_seed(0)
torch.set_num_threads(1)  # more round differently
digits = load_dataset("digits")
x, test_x = (torch.from_numpy(part.x).flatten(1) / 255 for part in (digits.train, digits.test))
y, test_y = (torch.from_numpy(part.y) for part in (digits.train, digits.test))
model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
penalty = EigenvaluePenalty(model, eigenvalues=range(2, 5))
optimizer = torch.optim.Adam(model.parameters(), 3e-3)
for _ in range(40):
    for batch in torch.randperm(len(x)).split(64):
        loss = nn.functional.cross_entropy(model(x[batch]), y[batch]) + weight * penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
accuracy = (model(test_x).argmax(1) == test_y).double().mean()
found = measure(model, n_clusters=4, n_shuffles=0)
print(f"n-cut {found.ncut:.3f} of {found.effective_clusters:.1f} clusters, accuracy {accuracy:.3f}")

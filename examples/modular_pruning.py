"""Fine-tune a trained network into clusters that work alone, in five epochs; what is lost?

python examples/modular_pruning.py [number of clusters]
"""

import sys

import torch
from torch import nn

from clusterability import ModularPruning, cluster_tags, measure, validate_clusters
from clusterability.datasets import load_dataset

n_clusters = int(sys.argv[1]) if len(sys.argv) > 1 else 4
torch.manual_seed(0)
torch.set_num_threads(1)  # more round differently
digits = load_dataset("digits")
x, test_x = (torch.from_numpy(part.x).flatten(1) / 255 for part in (digits.train, digits.test))
y, test_y = (torch.from_numpy(part.y).long() for part in (digits.train, digits.test))
model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def train(n_epochs, pruning=None):
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    steps = [batch for _ in range(n_epochs) for batch in torch.randperm(len(x)).split(16)]
    for step, batch in enumerate(steps):
        if pruning is not None and step % 5 == 0:
            pruning.step(min(1.0, step / (0.8 * len(steps))))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
        optimizer.step()
        if pruning is not None:
            pruning.apply_()


def report(title):
    ncut = measure(model, n_clusters=n_clusters, n_shuffles=0, layers="hidden").ncut
    worth = validate_clusters(model, tags, test_x, test_y, n_permutations=19)
    print(f"{title}, n-cut {ncut:.3f}\n{worth}\n")
    return worth.accuracy


train(20)
tags = cluster_tags(model, n_clusters, layers="hidden")
before = report("trained")
pruning = ModularPruning(model, tags, final_sparsity=0.8)
for note in pruning.notes:
    print(note)
train(5, pruning)
lost = 100 * (before - report("five epochs later"))
print(f"lost for {n_clusters} clusters that work alone: {lost:.1f} points of accuracy")

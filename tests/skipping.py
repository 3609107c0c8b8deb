"""Small networks of which each repeats hidden neurons in another way."""

import torch
from torch import nn

X = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))

FORMS = {
    "chain": lambda net, _, g: net.c(g.relu()),
    "skip": lambda net, h, g: net.c((g + h).relu()),
    "skip of a part": lambda net, h, g: net.c(torch.cat([g[:, :3] + h[:, :3], g[:, 3:]], 1).relu()),
    "skip, padded": lambda net, h, g: net.c((g + nn.functional.pad(h[:, :3], (0, 5))).relu()),
    "skip, rolled": lambda net, h, g: net.c((g + h.roll(1, 1)).relu()),
    "two branches": lambda net, h, g: net.c((g + net.d(h)).relu()),
    "concatenated": lambda net, h, g: net.c(torch.cat([h, g.relu()], 1)[:, 4:12]),
    "a part of a part": lambda net, h, g: net.c(
        torch.cat([net.d(torch.cat([h[:, :5], g[:, :3]], 1)), h[:, 2:4]], 1)[:, 2:]
    ),
    "returned": lambda net, h, g: (net.c(g.relu()), h),
    "a part returned": lambda net, h, g: (net.c(g.relu()), h[:, :3]),
    "added to the output": lambda net, h, g: net.c(g.relu()) + h[:, :4],
    "its mean added to the output": lambda net, h, g: net.c(g.relu()) + h.mean(1, keepdim=True),
}


class Network(nn.Module):
    def __init__(self, form):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.form = FORMS[form]
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 8)
        self.c, self.d = nn.Linear(8, 4), nn.Linear(8, 8)
        with torch.no_grad():
            for parameter in self.parameters():
                size = (len(parameter), *[1] * (parameter.ndim - 1))
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
                parameter.mul_(3 * torch.rand(size, generator=generator) + 0.2)

    def forward(self, x):
        h = self.a(x).relu()
        return self.form(self, h, self.b(h))

"""Sums over the pairs of clusters that a matrix joins, and values of these pairs spread over it."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

from clusterability.compiling import can_compile
from clusterability.penalties.pair_loops import add_products, add_up


class Pairs:
    """A matrix whose rows and columns have tags; index c, c' is cluster c's rows, c's columns.

    Args:
        rows: (n_runs, n_rows) int64, the cluster of each row, -1 for none.
        columns: (n_runs, n_columns), of each column.
        n_clusters: number of clusters k.

    >>> pairs = Pairs(torch.tensor([[0, 1]]), torch.tensor([[1, 0, -1]]), 2)
    >>> pairs.sums(torch.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]))
    tensor([[[2., 1.],
             [5., 4.]]])
    >>> pairs.spread(torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]))
    tensor([[[0., 1., 0.],
             [1., 0., 0.]]])
    """

    def __init__(self, rows: Tensor, columns: Tensor, n_clusters: int) -> None:
        self._of_rows = _members(rows, n_clusters)
        self._of_columns = _members(columns, n_clusters)
        # Products are faster than picking rows.
        self._rows_of = self._of_rows.mT.contiguous()
        self._columns_of = self._of_columns.mT.contiguous()
        self._rows = (rows % (n_clusters + 1)).cpu().numpy()
        self._columns = (columns % (n_clusters + 1)).cpu().numpy()

    @property
    def sizes(self) -> tuple[Tensor, Tensor]:
        """Number of rows and of columns of each cluster, (n_runs, k) each."""
        return self._of_rows.sum(1), self._of_columns.sum(1)

    def sums(self, matrix: Tensor) -> Tensor:
        """Add (n_runs, n_rows, n_columns) up to (n_runs, k, k)."""
        return self._rows_of.to(matrix) @ matrix @ self._of_columns.to(matrix)

    def spread(self, values: Tensor) -> Tensor:
        """Return the value (n_runs, k, k) of each entry's pair, 0 where an end has no tag."""
        return self._of_rows.to(values) @ (values @ self._columns_of.to(values))

    def add_sums_(self, table: Tensor, kernels: Tensor, *, squared: bool) -> None:
        """Add the sums of squares or of absolute values to a table.

        Args:
            table: (n_runs, k + 1, k + 1); its last row and column are of neurons without a tag, and
                hold anything.
            kernels: (n_runs, n_rows, n_columns, ...).
            squared: which.
        """
        if not _can_loop(kernels):
            values = kernels.square() if squared else kernels.abs()
            table[:, :-1, :-1] += self.sums(values.flatten(3).sum(3) if values.ndim > 3 else values)
            return
        sums = table.numpy()
        for run, matrix in enumerate(kernels.numpy()):
            add_up(matrix, self._rows[run], self._columns[run], squared, sums[run])

    def add_products_(self, total: Tensor, kernels: Tensor, table: Tensor, *, signs: bool) -> None:
        """Add to ``total`` each entry of kernels, or its sign, times its pair's value.

        Args:
            total: (n_runs, n_rows, n_columns, ...).
            kernels: of the same shape.
            table: (n_runs, k + 1, k + 1), the values; 0 in the last row and column.
            signs: whether the sign of an entry is multiplied.
        """
        if not (_can_loop(kernels) and _can_loop(total)):
            window = [1] * (kernels.ndim - 3)
            spread = self.spread(table[:, :-1, :-1])
            factor = spread.view(*spread.shape, *window)
            total.addcmul_(kernels.sign() if signs else kernels, factor)
            return
        totals, values = total.numpy(), table.numpy()
        for run, matrix in enumerate(kernels.numpy()):
            ends = self._rows[run], self._columns[run]
            add_products(totals[run], matrix, *ends, values[run], signs)


def widened(values: Tensor) -> Tensor:
    """Return a table of values (..., k, k), with a row and a column of zeros more."""
    return pad(values, (0, 1, 0, 1))


def _can_loop(kernels: Tensor) -> bool:
    return kernels.ndim == 3 and can_compile(kernels)


def _members(tags: Tensor, n_clusters: int) -> Tensor:
    """Return (n_runs, n, k), 1 for each one's cluster."""
    return torch.nn.functional.one_hot(tags % (n_clusters + 1), n_clusters + 1)[..., :-1].float()


def group_norms(squares: Tensor, factors: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weighted sum of Frobenius norms of blocks, and its slope.

    Args:
        squares: (..., k, k), sum of the squares in each block.
        factors: (..., k, k), of each norm.

    Returns:
        The sum of ``factors * squares.sqrt()`` over the blocks, (...,), and its derivative with
        respect to a weight divided by this weight, (..., k, k); 0 in a block of zeros.
    """
    norms = squares.sqrt()
    slope = torch.where(norms > 0, factors / norms, 0)
    return (factors * norms).sum((-2, -1)), slope


def partition_cut(strengths: Tensor) -> tuple[Tensor, Tensor]:
    """Return the n-cut of clusters between which the strengths are known, and its gradient.

    Args:
        strengths: (..., k, k), the sum of those from one cluster's neurons to another's.

    Returns:
        The n-cut, (...,), and its derivative with respect to one strength between two clusters,
        (..., k, k). A cluster without strength adds nothing to either.
    """
    volumes = strengths.sum(-1) + strengths.sum(-2)
    inside = 2 * strengths.diagonal(dim1=-2, dim2=-1)
    per_volume = volumes.reciprocal().nan_to_num_(nan=math.nan, posinf=0.0)
    share = inside * per_volume
    ratio = share * per_volume
    slope = ratio[..., :, None] + ratio[..., None, :]
    slope.diagonal(dim1=-2, dim2=-1).sub_(per_volume, alpha=2)
    return ((volumes != 0).to(share) - share).sum(-1), slope


def cross_share(squares: Tensor) -> tuple[Tensor, Tensor]:
    """Return the share of squares between clusters, summed over matrices, and its gradient.

    Args:
        squares: (n_matrices, k, k), sum of the squares in each block.

    Returns:
        The sum of ``1 - inside / all``, a scalar, and its derivative with respect to a square.
    """
    total = squares.sum((-2, -1), keepdim=True)
    per_total = torch.where(total > 0, total.reciprocal(), 0)
    inside = squares.diagonal(dim1=-2, dim2=-1).sum(-1)[:, None, None] * per_total
    slope = (inside * per_total).expand_as(squares).clone()
    slope.diagonal(dim1=-2, dim2=-1).sub_(per_total[..., 0])
    return ((total > 0) * (1 - inside)).sum(), slope

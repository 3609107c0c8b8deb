"""LAPACK's symmetric eigensolver for a few eigenpairs, callable from several threads at once.

``scipy.linalg.eigh`` calls the same routine but holds the interpreter's lock meanwhile, so that two
shuffles could not be solved on two cores. This module calls the routine that SciPy exports for
Cython through ctypes, which releases the lock.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numba.extending import get_cython_function_address
from numpy.typing import NDArray

Matrix = NDArray[np.float32] | NDArray[np.float64]


def _routine(name: str) -> Any:
    """Return the LAPACK routine ``name`` as a ctypes function of pointers."""
    n_arguments = 21
    signature = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * n_arguments)
    return signature(get_cython_function_address("scipy.linalg.cython_lapack", name))


# Looked up on import, which loads SciPy's LAPACK: libraries loaded later keep all their threads.
_SYEVR = {np.dtype(np.float32): _routine("ssyevr"), np.dtype(np.float64): _routine("dsyevr")}


def largest_eigenpairs(matrix: Matrix, n_wanted: int) -> tuple[Matrix, Matrix]:
    """Compute the largest eigenvalues of a symmetric matrix, descending, and their eigenvectors.

    Args:
        matrix: (n, n), C-contiguous, float32 or float64; its lower triangle is read.
        n_wanted: between 1 and n.

    Returns:
        Eigenvalues (n_wanted,) and eigenvectors (n, n_wanted).

    Raises:
        numpy.linalg.LinAlgError: if no solver converges.
    """
    n = matrix.shape[0]
    scratch = matrix.copy()  # the routine destroys it
    dtype = matrix.dtype
    evr = _SYEVR[dtype]
    values, vectors = np.empty(n, dtype), np.empty((n_wanted, n), dtype)
    support, zero = np.empty(2 * n_wanted, np.intc), np.zeros(1, dtype)
    n_found, info = ctypes.c_int(), ctypes.c_int()

    def call(work: Matrix, work_size: int, iwork: NDArray[np.intc], iwork_size: int) -> None:
        arguments = [
            ctypes.create_string_buffer(b"V"),
            ctypes.create_string_buffer(b"I"),
            # A row of the lower triangle in C is a column of the upper triangle in Fortran, which
            # LAPACK makes tridiagonal in a tenth less time than the lower one.
            ctypes.create_string_buffer(b"U"),
            ctypes.c_int(n),
            scratch,
            ctypes.c_int(n),
            zero,
            zero,
            ctypes.c_int(n - n_wanted + 1),
            ctypes.c_int(n),
            zero,
            n_found,
            values,
            vectors,
            ctypes.c_int(n),
            support,
            work,
            ctypes.c_int(work_size),
            iwork,
            ctypes.c_int(iwork_size),
            info,
        ]
        evr(
            *[
                a.ctypes.data if isinstance(a, np.ndarray) else ctypes.addressof(a)
                for a in arguments
            ]
        )

    work, iwork = np.empty(1, dtype), np.empty(1, np.intc)
    call(work, -1, iwork, -1)
    work, iwork = np.empty(int(work[0]), dtype), np.empty(int(iwork[0]), np.intc)
    call(work, work.size, iwork, iwork.size)
    if info.value or n_found.value != n_wanted:
        # With very many equal eigenvalues the routine can miscount them.
        every_value, every_vector = np.linalg.eigh(matrix, UPLO="L")
        return every_value[::-1][:n_wanted], every_vector[:, ::-1][:, :n_wanted]
    return values[:n_wanted][::-1].copy(), vectors[::-1].T

"""The figures of the package's structure: counted rightly, shown, and below their limits."""

from statistics import median

import pytest

from structure import PACKAGE, PAGE, Function, count, table, with_table

LARGEST_FILE = 400
MEDIAN_FILE = 120
LARGEST_WING = 0.25


@pytest.fixture(scope="module")
def figures():
    return count(PACKAGE)


@pytest.mark.slow
def test_the_table_is_current(figures):
    page = PAGE.read_text("utf-8")
    assert page == with_table(page, figures), "run make generate"


@pytest.mark.slow
def test_files_and_wings_are_small(figures):
    lines = figures.file_lines
    assert {path: n for path, n in lines.items() if n > LARGEST_FILE} == {}
    assert median(lines.values()) <= MEDIAN_FILE
    shares = figures.wing_shares
    assert {wing: share for wing, share in shares.items() if share > LARGEST_WING} == {}


MODULE = '''\
"""A module."""  # with a comment


def public(a, /, b, *c, d, **e):
    """Return a number.

    >>> 1 + 1
    2
    """
    # Another comment.
    def inside():
        return "# none"
    return a


class Shape:
    def area(self):
        return 1

    async def _hidden(self, one): pass


class _Private:
    @classmethod
    def method(cls):
        pass
'''


def test_counts_of_a_module(tmp_path):
    (tmp_path / "wing" / "room").mkdir(parents=True)
    (tmp_path / "wing" / "room" / "module.py").write_text(MODULE)
    (tmp_path / "top.py").write_text("x = 1\n" * 8)
    figures = count(tmp_path)
    assert figures.n_lines == 26 + 8
    assert figures.n_comments == 2
    assert figures.wing_shares == {"wing": 26 / 34}
    assert figures.functions == [
        Function(n_lines=5, n_parameters=5, is_public=True, has_doctest=True),
        Function(n_lines=2, n_parameters=0, is_public=False, has_doctest=False),
        Function(n_lines=2, n_parameters=0, is_public=True, has_doctest=False),
        Function(n_lines=1, n_parameters=1, is_public=False, has_doctest=False),
        Function(n_lines=2, n_parameters=0, is_public=False, has_doctest=False),
    ]
    assert "| lines of a function: median, longest, over 40 | 2, 5, 0 |" in table(figures)

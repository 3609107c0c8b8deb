import csv
import io
import re

import pytest

from clusterability.errors import InputError
from clusterability.report.frames import numbers
from clusterability.report.labels import labels_csv
from clusterability.report.table_files import (
    check_table_path,
    table_csv,
    table_file,
    table_latex,
    table_markdown,
)
from clusterability.report.text import comparison_rows
from results import small_result

ODD = r"=1|a_b\c$x$ #%&{}~^<i>[y](z)`"


def test_csv_has_all_numbers():
    results = [small_result(null=[0.5, 0.6]), small_result(network="other")]
    rows = list(csv.DictReader(io.StringIO(table_csv(results))))
    assert [row["network"] for row in rows] == ["mlp.pt", "other"]
    for row, result in zip(rows, results, strict=True):
        for name, value in numbers(result).items():
            if isinstance(value, float):
                assert float(row[name]) == value
            elif value is None:
                assert row[name] == ""


def test_spreadsheets_run_no_name():
    for name in ("=1+1", "+1", "-1", "@x", "\uff1d1"):
        (row,) = csv.DictReader(io.StringIO(table_csv([small_result(network=name)])))
        assert row["network"] == f"'{name}"
        labels = csv.DictReader(io.StringIO(labels_csv([small_result(network=name)] * 2)))
        assert {row["network"] for row in labels} == {f"'{name}"}


def test_markdown_has_the_cells_of_the_terminal():
    results = [small_result(null=[0.5, 0.6], network=ODD), small_result()]
    lines = table_markdown(results).splitlines()
    assert lines[1].count("---") == len(comparison_rows(results)[0])
    for line, row in zip([lines[0], *lines[2:]], comparison_rows(results), strict=True):
        cells = re.split(r"(?<!\\)\|", line)[1:-1]
        plain = [re.sub(r"\\(.)", r"\1", cell.strip()) for cell in cells]
        assert plain == [cell.replace("+-", "±") for cell in row]
    assert r"=1\|a\_b\\c\$x\$ \#%\&\{\}\~^\<i\>\[y\]\(z\)\`" in lines[2]


def test_latex_takes_names_for_text():
    results = [small_result(null=[0.5, 0.6], network=ODD), small_result()]
    lines = table_latex(results).splitlines()
    assert lines[0] == r"\begin{tabular}{lrrrrrrrrr}"
    assert lines[4].startswith(
        r"=1|a\_b\textbackslash{}c\$x\$ \#\%\&\{\}\textasciitilde{}\textasciicircum{}"
        r"\textless{}i\textgreater{}[y](z)` & 0.075 &"
    )
    assert r"0.550 $\pm$ 0.050" in lines[4]
    assert "$-$" in lines[4]
    for line in (lines[2], *lines[4:6]):
        assert len(re.findall(r"(?<!\\)&", line)) == 9
        assert line.endswith(r" \\")


def test_other_suffixes_are_refused_before_the_work(tmp_path):
    with pytest.raises(InputError, match=r"suffix is '.xlsx'; use one of .csv, .md, .tex"):
        check_table_path(tmp_path / "a.xlsx")
    with pytest.raises(InputError, match="no folder"):
        check_table_path(tmp_path / "none" / "a.md")
    assert table_file([small_result()], "a.MD").decode() == table_markdown([small_result()])

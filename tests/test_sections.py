"""Tables below titles in one file: every row belongs to the title above it, and no curve is averaged over two."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from analysis.arguments import InputError
from analysis.estimator.rows.files.sniff import read_any

HEADER = ["model", "n", "error"]
SCRATCH = [["vit_s", "100", ".5"], ["vit_s", "200", ".4"], ["resnet18", "100", ".45"], ["resnet18", "200", ".38"]]
TUNED = [["vit_s", "100", ".3"], ["vit_s", "200", ".2"], ["resnet18", "100", ".25"], ["resnet18", "200", ".18"]]


def lines(rows: list[list[str]], separator: str = ",", end: str = "") -> str:
    return "".join(separator.join(row) + end + "\n" for row in rows)


def bars(rows: list[list[str]]) -> str:
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def table(path: Path, text: str) -> pd.DataFrame:
    path.write_text(text)
    return read_any(path).table


def stacked_csv(path: Path) -> pd.DataFrame:
    text = "From scratch\n" + lines([HEADER, *SCRATCH]) + "\nFine-tuned\n" + lines([HEADER, *TUNED])
    return table(path / "stacked.csv", text)


def grouped_csv(path: Path) -> pd.DataFrame:
    text = lines([HEADER, ["From scratch", "", ""], *SCRATCH, ["Fine-tuned", "", ""], *TUNED])
    return table(path / "grouped.csv", text)


def stacked_markdown(path: Path) -> pd.DataFrame:
    rule = ["---"] * 3
    text = f"## From scratch\n\n{bars([HEADER, rule, *SCRATCH])}\n**Fine-tuned**\n\n{bars([HEADER, rule, *TUNED])}"
    return table(path / "stacked.md", text)


def grouped_markdown(path: Path) -> pd.DataFrame:
    rows = [HEADER, ["---"] * 3, ["**From scratch**", "", ""], *SCRATCH, ["**Fine-tuned**", "", ""], *TUNED]
    return table(path / "grouped.md", bars(rows))


def grouped_latex(path: Path) -> pd.DataFrame:
    def part(title: str, rows: list[list[str]]) -> str:
        head = r"\midrule \multicolumn{3}{c}{\emph{" + title + r"}} \\" + "\n"
        return head + lines(rows, " & ", r" \\").replace("_", r"\_")

    start = "\\begin{tabular}{lrr}\n\\toprule " + lines([HEADER], " & ", r" \\")
    text = start + part("From scratch", SCRATCH) + part("Fine-tuned", TUNED) + "\\bottomrule\n\\end{tabular}\n"
    return table(path / "grouped.tex", text)


def sheets(path: Path) -> pd.DataFrame:
    with pd.ExcelWriter(path / "sheets.xlsx") as book:
        pd.DataFrame({"about": ["made by hand"]}).to_excel(book, sheet_name="About", index=False)
        for name, rows in (("From scratch", SCRATCH), ("Fine-tuned", TUNED)):
            pd.DataFrame(rows, columns=HEADER).to_excel(book, sheet_name=name, index=False)
    return read_any(path / "sheets.xlsx").table


def one_sheet(path: Path) -> pd.DataFrame:
    gap = ["", "", ""]
    rows = [["From scratch", "", ""], HEADER, *SCRATCH, gap, ["Fine-tuned", "", ""], HEADER, *TUNED]
    pd.DataFrame(rows).replace("", None).to_excel(path / "one.xlsx", index=False, header=False)
    return read_any(path / "one.xlsx").table


FORMS = [stacked_csv, grouped_csv, stacked_markdown, grouped_markdown, grouped_latex, sheets, one_sheet]


@pytest.mark.parametrize("form", FORMS)
def test_every_row_belongs_to_the_title_above_it(form: Callable[[Path], pd.DataFrame], tmp_path: Path) -> None:
    found = form(tmp_path)
    wanted = [["From scratch", *row] for row in SCRATCH] + [["Fine-tuned", *row] for row in TUNED]
    rows = [[t, m, int(n), float(e)] for t, m, n, e in found[["table_title", *HEADER]].itertuples(index=False)]
    assert rows == [[t, m, int(n), float(e)] for t, m, n, e in wanted]
    assert pd.api.types.is_numeric_dtype(found["error"])


def test_sizes_in_columns_below_titles(tmp_path: Path) -> None:
    text = "model,100,200\nScratch,,\nvit_s,.5,.4\nresnet18,.45,.38\nPretrained,,\nvit_s,.3,.2\nresnet18,.25,.18\n"
    found = table(tmp_path / "wide.csv", text)
    assert list(found["table_title"]) == ["Scratch", "Scratch", "Pretrained", "Pretrained"]
    assert list(found["100"]) == [0.5, 0.45, 0.3, 0.25]


def test_a_first_part_without_a_title_stays_apart_where_the_table_is_written_and_read(tmp_path: Path) -> None:
    found = table(tmp_path / "one.csv", lines([HEADER, *SCRATCH, ["Fine-tuned", "", ""], HEADER, *TUNED]))
    found.to_csv(tmp_path / "again.csv", index=False)
    again = read_any(tmp_path / "again.csv").table
    assert list(again["table_title"]) == ["untitled"] * len(SCRATCH) + ["Fine-tuned"] * len(TUNED)


def test_models_without_results_are_no_titles(tmp_path: Path) -> None:
    for missing in (["vit_l", "", ""], ["mixer_b16", "", ""]):
        found = table(tmp_path / "gaps.csv", lines([HEADER, *SCRATCH, missing, ["mlp", "100", ".6"]]))
        assert "table_title" not in found
        assert len(found) == 6


def test_one_title_above_all_and_joined_files_have_no_parts(tmp_path: Path) -> None:
    assert list(table(tmp_path / "one.csv", "Results\n" + lines([HEADER, *SCRATCH])).columns) == HEADER
    joined = table(tmp_path / "joined.csv", lines([HEADER, *SCRATCH, HEADER, *TUNED]))
    assert list(joined.columns) == HEADER
    assert list(joined["error"]) == [float(row[2]) for row in SCRATCH + TUNED]


def test_tables_with_another_header_are_left_out_and_said_so(tmp_path: Path) -> None:
    rule = ["---"] * 3
    (tmp_path / "two.md").write_text(bars([HEADER, rule, *SCRATCH]) + "\n" + bars([["a", "b", "c"], rule, ["1"] * 3]))
    found = read_any(tmp_path / "two.md")
    assert len(found.table) == len(SCRATCH)
    assert found.notes == ("two.md: 2 tables in it; those with the first one's header were read",)


def test_a_web_page_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<table><tr><td>model</td></tr></table>")
    with pytest.raises(InputError, match=r"page\.html: a web page; copy its table into a sheet, or save it as \.csv"):
        read_any(tmp_path / "page.html")

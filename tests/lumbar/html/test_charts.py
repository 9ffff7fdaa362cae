import re
import xml.etree.ElementTree as ET

from lumbar.html.charts import COLOURS, draw, steps


def make(name: str, alt: str = "a line") -> str:
    with draw(name, alt, "title") as chart:
        chart.axes.plot([0, 1], [0, 1], "o-")
        chart.axes.set(xlabel="x")
    return str(chart.svg)


def test_a_figure_takes_the_colour_of_the_page_and_reaches_no_further_than_itself() -> None:
    svg = make("one", 'rises "steeply" & <far>')
    assert "currentColor" in svg
    assert "#010203" not in svg
    assert "<style" not in svg
    assert "<metadata" not in svg
    assert COLOURS[0] in svg
    assert ">title</text>" in svg
    assert 'aria-label="rises &#34;steeply&#34; &amp; &lt;far&gt;"' in svg
    ET.fromstring(svg.replace("xlink:href", "href"))  # well-formed


def test_names_inside_differ_between_figures_and_not_between_runs() -> None:
    first, second = (re.findall(r'id="([^"]*)"', make(name)) for name in ("one", "two"))
    assert first
    assert not set(first) & set(second)
    assert make("one") == make("one")


def test_a_distribution_in_steps() -> None:
    assert steps([3.0, 1.0, 2.0, 4.0]) == ([1.0, 2.0, 3.0, 4.0], [0.25, 0.5, 0.75, 1.0])
    x, share = steps(range(1000), points=10)
    assert len(x) == 10
    assert (x[4], share[4]) == (499.0, 0.5)

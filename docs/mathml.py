"""Formulas: LaTeX to MathML, which browsers draw by themselves."""

import re
import xml.etree.ElementTree as ElementTree

from latex2mathml.converter import convert

from refimpl.errors import DataError

REPLACEMENTS = (
    (r"\\begin\{aligned\}", r"\\begin{align*}"),
    (r"\\end\{aligned\}", r"\\end{align*}"),
    (r"\\(?:operatorname\*?|mathrm)\{([a-zA-Z]{2,})\}", r"\\text{\1}"),
    (r"\\arg\s*\\(min|max)|\\operatorname\*?\{arg\s*\\,\s*(min|max)\}", r"\\arg\1\2"),
)
"""What the converter lacks, or sets letter by letter."""

LIMITS = re.compile(r"\\(argmin|argmax|min|max|sup|inf|lim)(?=\s*_)")
"""Operators whose subscript goes below in a displayed formula."""

NORM = re.compile(r"<mo(?: fence=\"false\")? stretchy=\"false\">(&#x02016;|&#x0007C;)</mo>")
"""Bars, which are set as if they were relations."""


def mathml(latex: str, display: bool = False) -> str:
    """The formula as a `math` element, with its source as the text that is copied.

    Raises `DataError` for a formula that cannot be converted whole.
    """
    text = latex.strip()
    braces = re.sub(r"\\.", "", text)
    if braces.count("{") != braces.count("}"):
        raise DataError(f"the formula ${latex}$ cannot be converted to MathML: its braces do not match")
    for pattern, replacement in REPLACEMENTS:
        text = re.sub(pattern, replacement, text)
    if display:
        text = LIMITS.sub(r"\\\1\\limits", text)
    try:
        math = convert(text, display="block" if display else "inline")
        ElementTree.fromstring(math)
    except Exception as error:  # the converter raises many kinds, ElementTree one more
        raise DataError(f"the formula ${latex}$ cannot be converted to MathML: {error!r}") from error
    if command := re.search(r"\\[a-zA-Z]+", math):
        raise DataError(f"the formula ${latex}$ cannot be converted to MathML: {command[0]} is not known")
    math = NORM.sub(r'<mo stretchy="false" lspace="0" rspace="0">\1</mo>', math)
    return math.replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "").replace(' display="inline"', "")

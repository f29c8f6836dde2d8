"""What all figures share: the course's colours and style, saving a figure, showing it with its caption.

Colours are Okabe and Ito's, safe for colour blindness, and always come with a label, a marker or a
dash. A figure brings its own light paper, so it reads the same in the light and in the dark theme.
A gate has one colour in the whole course: COLOR["f"].
"""

import io

from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

PAPER, INK, FAINT = "#fdfdfb", "#1f2328", "#c9cdd2"
COLOR = {"i": "#0072b2", "f": "#c25200", "g": "#007d5a", "o": "#a0558a", "c": "#1f2328", "h": "#4c78a8",
         "r": "#0072b2", "z": "#c25200", "n": "#007d5a", "encoder": "#0072b2", "decoder": "#c25200",
          "d": "#b3261e", "yours": "#0072b2"}                       # d: a gradient; yours: a part of the learner's
SERIES = ("#0072b2", "#c25200", "#007d5a", "#a0558a", "#8a6d00", "#4d4d4d")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1)), (0, (1, 1)))
STYLE = {
    "figure.facecolor": PAPER, "axes.facecolor": PAPER, "savefig.facecolor": PAPER, "figure.dpi": 96,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": "#7d848b", "xtick.color": INK, "ytick.color": INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#e6e8eb",
    "font.size": 10, "axes.titlesize": 11, "axes.titlelocation": "left", "lines.linewidth": 1.8,
    "svg.hashsalt": "lstmcourse", "figure.constrained_layout.use": True,
}


def show(fig, caption="", vector=False, alt=""):
    """Display fig in the notebook, with its caption below.

    caption  one or two sentences: what the figure shows, in words
    vector   True for drawings: sharp at any zoom (SVG); where SVG is not shown, a PNG
    alt      in place of a caption, where that stands in the Markdown cell below: a few words for who sees no picture
    """
    from IPython.display import Markdown, display
    if bool(caption.strip()) == bool(alt.strip()):
        raise ValueError(f"caption is {'empty' if not caption.strip() else 'given'} and so is alt; wanted one of them: "
                         "a caption that says what the figure shows, or alt where a Markdown cell below says it")
    words = caption if caption.strip() else alt
    bundle = {"text/plain": words, "image/png": save(fig, "png", dpi=96 if vector else 160)}
    if vector:
        bundle["image/svg+xml"] = save(fig, "svg").decode()
    display(bundle, raw=True, metadata=png_size(fig))
    if caption.strip():
        display(Markdown(f"*{caption}*"))


def png_size(fig):
    """Output metadata that shows a PNG of any resolution at the figure's own width."""
    return {"image/png": {"width": int(fig.get_size_inches()[0] * 96)}}


def save(fig, kind, dpi=96, letters="path"):
    """The figure as bytes of a PNG or SVG file; the same figure gives the same bytes.

    letters  of an SVG: "path" draws them, "none" writes them as text (smaller, in the reader's font)
    """
    buffer = io.BytesIO()
    with rc_context(STYLE | {"svg.fonttype": letters, "font.sans-serif": ["DejaVu Sans", "sans-serif"]}):
        fig.savefig(buffer, format=kind, dpi=dpi, metadata={"Date": None} if kind == "svg" else None)
    if kind == "png":                                      # 64 colours are enough: a third of the size
        image = Image.open(buffer).convert("RGB").quantize(64, dither=Image.Dither.NONE)
        buffer = io.BytesIO()
        image.save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def new_figure(width=6.6, height=3.0, columns=1, rows=1, **subplots):
    """A Figure in the course's style and its axes (an array of them where there is more than one)."""
    with rc_context(STYLE):
        fig = Figure(figsize=(width, height))
        axes = fig.subplots(rows, columns, **subplots)
    return fig, axes

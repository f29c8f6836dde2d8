"""A notebook with each explorer once, as the lessons use them, on which the browser tests move things."""

import nbformat

CELLS = {
    "gates": """\
import numpy as np

from lstmcourse.data.pizza import WORDS
from lstmcourse.lab.models import init_network
from lstmcourse.widgets import gate_explorer
from lstmcourse.widgets.by_hand import gru_by_hand, lstm_by_hand, rnn_by_hand

SENTENCE = "nishchal likes pizza but his friend likes burger so friend orders"
whole = init_network("lstm", len(WORDS), 6, len(WORDS), np.random.default_rng(0))
gate_explorer(SENTENCE, answer_at=[4, 10], LSTM=lstm_by_hand(), GRU=gru_by_hand(), RNN=rnn_by_hand(),
              whole=(whole, {5: "the fifth", 1: "the first"}))""",
    "gradient": """\
from lstmcourse.widgets import gradient_explorer

lags = range(51)
gradient_explorer({"quiet": {0.5: [0.5**k for k in lags], 0.9: [0.9**k for k in lags], 1.1: [1.1**k for k in lags]},
                   "loud": {0.5: [0.2**k for k in lags], 0.9: [0.4**k for k in lags]}}, "spectral radius")""",
    "attention": """\
import numpy as np

from lstmcourse.data import hindi
from lstmcourse.widgets import attention_explorer


def translate(sentence):
    hindi.vocabularies()[0].encode(sentence)
    pair = hindi.pair_of(sentence)
    alpha = np.full((len(pair.english.split()), len(sentence.split())), 0.1)
    for t, s in pair.sure:
        alpha[t, s] += 1
    return pair.english.split(), alpha / alpha.sum(axis=1, keepdims=True)


attention_explorer(translate, ["mai ghar jaa raha hu", "vah abhi nayi kitaab padh rahi hai"], hindi.pair_of)""",
}


def notebook():
    """The stage, with headings between: JupyterLab would collapse them if an arrow key reached it."""
    cells = []
    for name, source in CELLS.items():
        cells += [nbformat.v4.new_markdown_cell(f"# {name}"), nbformat.v4.new_code_cell(source)]
    cells.append(nbformat.v4.new_markdown_cell("# the end"))
    return nbformat.v4.new_notebook(cells=cells, metadata={
        "kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}})


def still():
    """A notebook as it is saved: the pictures, and no widget."""
    import base64
    import os

    import IPython.display

    from lstmcourse.widgets import gate_explorer
    from lstmcourse.widgets.by_hand import lstm_by_hand
    os.environ["LSTMCOURSE_STILL"] = "1"
    shown, real = [], IPython.display.display
    IPython.display.display = lambda what, raw=False, **_: shown.append(what if raw else {"text/markdown": what.data})
    try:
        gate_explorer("nishchal likes pizza", LSTM=lstm_by_hand())._ipython_display_()
    finally:
        IPython.display.display = real
        del os.environ["LSTMCOURSE_STILL"]
    shown[0]["image/png"] = base64.b64encode(shown[0]["image/png"]).decode()
    cell = nbformat.v4.new_code_cell("explorer", execution_count=1)
    cell.outputs = [nbformat.v4.new_output("display_data", data=data) for data in shown]
    return nbformat.v4.new_notebook(cells=[cell], metadata=notebook().metadata)

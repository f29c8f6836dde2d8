"""What people ask: each question once, a short answer, and the cell that shows it."""

import json
import pathlib
import re

import pytest
import torch

ROOT = pathlib.Path(__file__).parent.parent
PAGE = ROOT / "docs" / "questions.md"
LINK = re.compile(r"\]\(\.\./notebooks/(\w+\.ipynb)(?:#cell-id=([\w-]+))?\)")


def entries():
    """(question, answer, line of links) of every entry of the page."""
    found = []
    for part in re.split(r"^### ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        question, _, rest = re.sub(r"^## .*", "", part, flags=re.MULTILINE).partition("\n")
        paragraphs = [paragraph.strip() for paragraph in rest.split("\n\n") if paragraph.strip()]
        shown = [paragraph for paragraph in paragraphs if paragraph.startswith("→ ")]
        answer = [paragraph for paragraph in paragraphs if paragraph not in shown]
        found.append((question, "\n\n".join(answer), "".join(shown)))
    return found


ENTRIES = entries()


def sentences(text):
    """How many sentences a text has."""
    return len(re.findall(r"[.?!](?=\s|$)", text))


def test_no_question_is_asked_twice():
    questions = [re.sub(r"\W+", " ", question).lower() for question, _, _ in ENTRIES]
    assert len(set(questions)) == len(questions) > 50


@pytest.mark.parametrize(("question", "answer", "shown"), ENTRIES, ids=[question for question, _, _ in ENTRIES])
def test_question_has_a_short_answer_and_the_cell_that_shows_it(question, answer, shown):
    assert question.endswith("?")
    assert 1 <= sentences(answer) <= 3
    assert "\n\n" not in answer, "the answer is one paragraph"
    links = LINK.findall(shown)
    assert len(links) == shown.count("](")
    for notebook, cell in links:
        cells = json.loads((ROOT / "notebooks" / notebook).read_text(encoding="utf-8"))["cells"]
        assert not cell or cell in {one["id"] for one in cells}, f"{notebook} has no cell {cell}"
    assert any(cell for _, cell in links)


def test_numbers_in_the_answers_are_right():
    text = PAGE.read_text(encoding="utf-8")
    keras, theirs = 10 * 1 + 10 * 10 + 10, sum(p.numel() for p in torch.nn.RNN(1, 10).parameters())
    assert f"make {keras} (PyTorch has a second bias vector, which makes {theirs})" in text
    w = torch.tensor(0.6, requires_grad=True)
    (w**3 * 0.1).backward()
    assert f"is {w.grad:.3f} for $w = 0.6$ and $h_0 = 0.1$" in text
    floor = torch.nn.functional.cross_entropy(torch.tensor([[1.0, 0.0]]), torch.tensor([0]))
    assert f"a floor, {floor:.2f} for two classes" in text
    assert f"−{-torch.nn.CrossEntropyLoss().ignore_index} by default" in text

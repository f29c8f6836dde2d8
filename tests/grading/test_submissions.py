"""What is handed in is read within bounds: notebooks of any form, folders, archives. Never a stack trace."""

import io
import json
import os
import struct
import warnings
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lstmcourse.grading import notebook, submissions
from lstmcourse.grading.magics import plain
from lstmcourse.grading.notebook import code_cells
from lstmcourse.grading.submissions import WrongUse, entries
from tests.grading.corpus.parts import RIGHT, text, zipped

FEW = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["cells", "source", "cell_type", "worksheets", "input", "metadata", "nbformat", "outputs"])
        | st.text(max_size=5), inner, max_size=5), max_leaves=20)
cells = st.lists(json_values | st.fixed_dictionaries({
    "cell_type": st.sampled_from(["code", "markdown", "raw", 3, None]), "source": json_values}), max_size=5)


def read(data):
    """The cells, or why the file is refused."""
    try:
        return code_cells(data)
    except notebook.Refused as reason:
        return str(reason)


@FEW
@given(json_values | st.fixed_dictionaries({"cells": cells}) | st.fixed_dictionaries(
    {"nbformat": st.sampled_from([3, 4, "4", None]), "worksheets": st.lists(st.fixed_dictionaries({"cells": cells}))}))
def test_any_json_gives_cells_or_a_reason(value):
    found = read(json.dumps(value).encode())
    assert isinstance(found, str) or all(isinstance(cell, str) for cell in found)


@FEW
@given(st.binary(max_size=400))
def test_any_bytes_give_cells_or_a_reason(data):
    read(data)
    read(b'{"cells": [' + data + b"]}")


@FEW
@given(st.data())
def test_a_damaged_notebook_gives_cells_or_a_reason(data):
    whole = bytearray(text(RIGHT).encode())
    for _ in range(data.draw(st.integers(1, 5))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    read(bytes(whole))
    read(bytes(whole[:data.draw(st.integers(0, len(whole)))]))


CELL = {"cell_type": "code", "source": ["x = 1\n", "y = 2"]}


@pytest.mark.parametrize(("whole", "sources"), [
    ({"nbformat": 4, "nbformat_minor": 5, "cells": [CELL]}, ["x = 1\ny = 2"]),
    ({"nbformat": 4, "nbformat_minor": 0, "cells": [CELL | {"source": "x"}]}, ["x"]),
    ({"nbformat": 3, "worksheets": [{"cells": [{"cell_type": "code", "input": ["a"]}]}, {"cells": [CELL]}]},
     ["a", "x = 1\ny = 2"]),
    ({"cells": [CELL | {"source": [1, "x", None]}, 7, None, {"cell_type": "code"}, {"cell_type": ["code"]}]}, ["x"]),
    ({"cells": []}, []),
], ids=["4.5", "4.0", "3", "wrong types", "no cells"])
def test_every_format_of_notebooks_is_read(whole, sources):
    assert code_cells(json.dumps(whole).encode()) == sources


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_every_usual_encoding_is_read(encoding):
    whole = json.dumps({"cells": [CELL | {"source": "# déjà vu"}]}, ensure_ascii=False)
    assert code_cells(whole.encode(encoding)) == ["# déjà vu"]


@pytest.mark.parametrize(("data", "says"), [
    (b"", "empty"), (b" \n", "empty"), (b"{", "not complete JSON"), (b"[]", "no list of cells"),
    (b"\xff\xfe\xff", "text"),
    (b"[" * 200_000, "nested|JSON"), (b'{"a":' * 200_000, "nested|JSON"), (b'{"cells": 3}', "no list of cells")])
def test_what_is_no_notebook_is_refused_with_a_reason(data, says):
    with pytest.raises(notebook.Refused, match=says):
        code_cells(data)


def test_of_duplicate_keys_the_last_counts():
    assert code_cells(b'{"cells": [], "cells": [{"cell_type": "code", "source": "x", "source": "y"}]}') == ["y"]


@FEW
@given(st.text(st.sampled_from(list("%!?\n \t()='\"\\abx:#,.")), max_size=60))
def test_any_cell_survives_the_search_for_magics(source):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert isinstance(plain(source), str)


def test_a_line_that_continues_with_percent_is_no_magic():
    source = "rest = (17\n    % 5)"
    assert plain(source) == source


# Archives and folders.

def all_loaded(path):
    found, _ = entries(path)
    return [entry.load() for entry in found]


@FEW
@given(st.data())
def test_a_damaged_archive_is_refused_or_read(tmp_path, data):
    whole = bytearray(zipped(**{"ada.ipynb": text(RIGHT), "bo/04.ipynb": text(RIGHT)}))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "class.zip"
    path.write_bytes(bytes(whole[:data.draw(st.integers(0, len(whole)))]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            submissions = all_loaded(path)
        except WrongUse:
            return
    for submission in submissions:
        assert submission.refused or submission.notebooks


def test_an_archive_that_lies_about_sizes_is_read_no_further_than_the_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(submissions, "FILE", 1 << 20)
    whole = bytearray(zipped(**{"ada.ipynb": bytes(50_000_000)}))
    for sign, place in ((b"PK\1\2", 24), (b"PK\3\4", 22)):
        at = whole.find(sign)
        whole[at + place:at + place + 4] = struct.pack("<I", 1000)
    path = tmp_path / "class.zip"
    path.write_bytes(bytes(whole))
    submission, = all_loaded(path)
    assert submission.refused


@pytest.mark.parametrize("name", ["../up.ipynb", "/root.ipynb", "a/../../up.ipynb", "..\\up.ipynb", "C:/up.ipynb"])
def test_a_path_that_leads_outside_is_refused_and_nothing_is_written(tmp_path, name):
    folder = tmp_path / "class"
    folder.mkdir()
    (folder / "ada.zip").write_bytes(zipped(**{name: text(RIGHT)}))
    submission, = all_loaded(folder)
    assert "outside" in submission.refused
    assert [path.name for path in tmp_path.rglob("*")] == ["class", "ada.zip"]


def test_a_link_in_an_archive_is_refused(tmp_path):
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        info = zipfile.ZipInfo("ada.ipynb")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    (tmp_path / "class.zip").write_bytes(memory.getvalue())
    submission, = all_loaded(tmp_path / "class.zip")
    assert "link" in submission.refused


def test_an_encrypted_archive_is_refused(tmp_path):
    whole = bytearray(zipped(**{"ada.ipynb": text(RIGHT)}))
    for sign, place in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        whole[whole.find(sign) + place] |= 1
    (tmp_path / "class.zip").write_bytes(bytes(whole))
    submission, = all_loaded(tmp_path / "class.zip")
    assert "cannot be unpacked" in submission.refused


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_links_pipes_and_folders_in_place_of_a_notebook_are_refused(tmp_path):
    folder = tmp_path / "class"
    folder.mkdir()
    os.mkfifo(folder / "pipe.ipynb")
    (folder / "folder.ipynb").mkdir()
    (folder / "link.ipynb").symlink_to("/etc/passwd")
    (folder / "linked").symlink_to("/etc")
    (folder / "dangling.ipynb").symlink_to(tmp_path / "nowhere")
    assert all(submission.refused for submission in all_loaded(folder))


def test_a_folder_of_students_is_read_in_every_layout(tmp_path):
    folder = tmp_path / "class"
    (folder / "ada" / "hw").mkdir(parents=True)
    (folder / "ada" / "hw" / "04.ipynb").write_text(text(RIGHT))
    (folder / "ada" / "hw" / ".ipynb_checkpoints").mkdir()
    (folder / "ada" / "hw" / ".ipynb_checkpoints" / "04.ipynb").write_text(text(RIGHT))
    (folder / "bo.ipynb").write_text(text(RIGHT))
    (folder / "BO.zip").write_bytes(zipped(**{"04.ipynb": text(RIGHT), "05.ipynb": text(RIGHT)}))
    (folder / "notes.txt").write_text("not a submission")
    found, ignored = entries(folder)
    names = {entry.student: entry.load().file for entry in found}
    assert names == {"ada": "hw/04.ipynb", "bo": "bo.ipynb", "BO (2)": ["04.ipynb", "05.ipynb"]} or names == {
        "ada": "hw/04.ipynb", "bo (2)": "bo.ipynb", "BO": ["04.ipynb", "05.ipynb"]}
    assert ignored == ["notes.txt"]


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_text("x")],
                         ids=["nothing", "empty folder", "no notebook"])
def test_what_holds_no_submission_is_wrong_use(tmp_path, make):
    make(tmp_path / "given")
    with pytest.raises(WrongUse):
        entries(tmp_path / "given")

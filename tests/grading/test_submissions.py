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
from lstmcourse.grading.names import from_canvas, owner
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


@pytest.mark.parametrize(("source", "wanted"), [
    ("%%time\nx = 1", "x = 1"), ("%%time\n%%capture out\nx = 1", "x = 1"), ("%%timeit\nx = 1", ""),
    ("%%script false --no-raise-error\nx = 1", ""), ("%%python3\nx = 1", ""), ("%%bash\nls", ""),
    ("!pip install a \\\n  b\nx = 1", "None\n\nx = 1"), ("pip install a\nx = 1", "None\nx = 1"),
    ("matplotlib inline", "None"), ("files = !ls", "files = None"), ("%time y = f(1)", "y = f(1)"),
    ("z = %time f(1)", "z = f(1)"), ("np.dot?", "None"), ("?np.dot", "None"), ("  x = 1\n  y = 2", "x = 1\ny = 2"),
    ("if x:\n    %cd ..\n    y = 1", "if x:\n    None\n    y = 1"), ("rm = 5\ncat = rm", "rm = 5\ncat = rm")])
def test_a_cell_is_what_jupyter_makes_of_it(source, wanted):
    assert plain(source) == wanted


@pytest.mark.parametrize(("magic", "before", "after"), [("%%writefile a.py", "old", "x = 1\n"),
                                                        ("%%file a.py", "old", "x = 1\n"),
                                                        ("%%writefile -a a.py", "old", "oldx = 1\n")])
def test_a_cell_that_is_written_to_a_file_is_there(tmp_path, monkeypatch, magic, before, after):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.py").write_text(before)
    exec(plain(f"{magic}\nx = 1\n"), {})
    assert (tmp_path / "a.py").read_text() == after


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
    assert "protected by a password" in submission.refused


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_links_pipes_and_folders_in_place_of_a_notebook_are_refused(tmp_path):
    folder = tmp_path / "class"
    folder.mkdir()
    os.mkfifo(folder / "pipe.ipynb")
    (folder / "folder.ipynb").mkdir()
    (folder / "link.ipynb").symlink_to("/etc/passwd")
    (folder / "linked").symlink_to("/etc")
    (folder / "dangling.ipynb").symlink_to(tmp_path / "nowhere")
    assert [submission for submission in all_loaded(folder) if not submission.refused] == []


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


@pytest.mark.parametrize(("bound", "value", "says"), [
    ("NOTEBOOKS", 2, "more than 2 notebooks"), ("FILE", 1000, "larger than 0 MB"), ("ENTRIES", 2, "more than 2 files")])
@pytest.mark.parametrize("form", ["folder", "zip"])
def test_each_bound_on_one_students_work_is_kept(tmp_path, monkeypatch, bound, value, says, form):
    """Three notebooks of 700 bytes: one more than allowed, or 100 bytes more together than twice the size of one."""
    place, files = tmp_path / "class", {f"{n}.ipynb": text(()).ljust(700) for n in range(3)}
    (place / "ada").mkdir(parents=True)
    if form == "zip":
        (place / "ada").rmdir()
        (place / "ada.zip").write_bytes(zipped(**files))
    else:
        for name, content in files.items():
            (place / "ada" / name).write_text(content)
    submission, = all_loaded(place)
    assert len(submission.notebooks) == 3
    with monkeypatch.context() as smaller:
        smaller.setattr(submissions, bound, value)
        submission, = all_loaded(place)
        assert says in submission.refused
    monkeypatch.setattr(submissions, bound, {"NOTEBOOKS": 3, "FILE": 1050, "ENTRIES": 3}[bound])
    submission, = all_loaded(place)
    assert len(submission.notebooks) == 3


def test_one_notebook_of_the_largest_size_is_read_and_one_byte_more_is_not(tmp_path, monkeypatch):
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "ada.ipynb").write_bytes(bytes(1000))
    monkeypatch.setattr(submissions, "FILE", 1000)
    assert not all_loaded(tmp_path / "class")[0].refused
    monkeypatch.setattr(submissions, "FILE", 999)
    assert "larger than" in all_loaded(tmp_path / "class")[0].refused


def test_a_changed_notebook_among_several_is_another_submission(tmp_path):
    def digest(**files):
        (tmp_path / "ada.zip").write_bytes(zipped(**files))
        (tmp_path / "class").mkdir(exist_ok=True)
        (tmp_path / "ada.zip").replace(tmp_path / "class" / "ada.zip")
        return all_loaded(tmp_path / "class")[0].sha256
    a, b = text(RIGHT), text(RIGHT[:3])
    both = {"1.ipynb": a, "2.ipynb": b}
    different = [digest(**both), digest(**both | {"2.ipynb": a}), digest(**both | {"3.ipynb": b}),
                 digest(**{"1.ipynb": a}),
                 digest(**{"1.ipynb": b, "2.ipynb": a}), digest(**{"1.ipynb": a, "3.ipynb": b})]
    assert len(set(different)) == len(different)
    assert digest(**both) == different[0]


def test_a_zip_of_windows_has_folders_and_students_not_file_names_with_backslashes(tmp_path):
    (tmp_path / "class.zip").write_bytes(zipped(**{
        "class\\": b"", "class\\ada\\04_lstm.ipynb": text(RIGHT), "class\\bo\\04_lstm.ipynb": text(RIGHT),
        "class\\bo\\more\\05.ipynb": text(RIGHT), "class\\Thumbs.db": b"x"}))
    found = {submission.student: submission.file for submission in all_loaded(tmp_path / "class.zip")}
    assert found == {"ada": "04_lstm.ipynb", "bo": ["04_lstm.ipynb", "more/05.ipynb"]}


def test_a_zip_of_zips_is_one_student_each(tmp_path):
    (tmp_path / "class.zip").write_bytes(zipped(**{
        "ada.zip": zipped(**{"04.ipynb": text(RIGHT)}),
        "bo.zip": zipped(**{"hw.zip": zipped(**{"a.ipynb": text(RIGHT)})}),
        "cy.zip": zipped(**{"a.zip": zipped(**{"b.zip": zipped(**{"c.ipynb": text(RIGHT)})})}), "dee.zip": b"damaged"}))
    found = {submission.student: submission.file if not submission.refused else submission.refused
             for submission in all_loaded(tmp_path / "class.zip")}
    assert found["ada"] == "ada.zip/04.ipynb"
    assert found["bo"] == "bo.zip/hw.zip/a.ipynb"
    assert "no notebook" in found["cy"]                            # deeper than anybody packs
    assert "cannot be read" in found["dee"]


def test_a_damaged_archive_beside_a_notebook_is_no_reason_to_refuse_it(tmp_path):
    (tmp_path / "class" / "ada").mkdir(parents=True)
    (tmp_path / "class" / "ada" / "04.ipynb").write_text(text(RIGHT))
    (tmp_path / "class" / "ada" / "backup.zip").write_bytes(b"damaged")
    submission, = all_loaded(tmp_path / "class")
    assert submission.file == "04.ipynb"


@pytest.mark.parametrize(("name", "student", "key", "id"), [
    ("Jane Doe_101_assignsubmission_file_", "Jane Doe", "Jane Doe_101_assignsubmission", "101"),
    ("Jane Doe_101_assignsubmission_file", "Jane Doe", "Jane Doe_101_assignsubmission", "101"),
    ("Jane Doe_101_assignsubmission_onlinetext", "Jane Doe", "Jane Doe_101_assignsubmission", "101"),
    ("Jane_Doe_9_101_assignsubmission_file_04_05_a.ipynb", "Jane_Doe_9", "Jane_Doe_9_101_assignsubmission", "101"),
    ("hw_04_05_lstm.ipynb", "hw_04_05_lstm", "hw_04_05_lstm.ipynb", None), ("a.b.c", "a.b.c", "a.b.c", None),
    ("04.ipynb.txt", "04", "04.ipynb.txt", None), ("04_lstm.ipynb (1)", "04_lstm", "04_lstm.ipynb (1)", None),
    ("Ada.IPYNB", "Ada", "Ada.IPYNB", None), ("Jos\udce9.ipynb", "José", "Jos\\udce9.ipynb", None)])
def test_whose_a_file_is_follows_from_its_name(name, student, key, id):
    assert owner(name)[:3] == (student, key, id)


def test_names_have_canvas_form_only_where_all_have_it():
    canvas = ["doejane_1234_5678_04_lstm.ipynb", "poebo_LATE_1235_5679_04_lstm.ipynb", "anon_12_13_x.ipynb"]
    assert from_canvas(canvas)
    assert [owner(name, True)[:3] for name in canvas] == [
        ("doejane", "doejane_1234", "1234"), ("poebo", "poebo_1235", "1235"), ("anon", "anon_12", "12")]
    assert not from_canvas([*canvas, "ada.ipynb"])
    assert not from_canvas(["HW_04_05_lstm.ipynb"])
    assert not from_canvas([])

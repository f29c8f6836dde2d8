"""Grades back into Moodle and Canvas: the file that was exported there, with the grades filled in.

Moodle   the offline grading worksheet: Identifier ("Participant 101"), Grade, and after it the maximum grade,
         Feedback comments; the headings are in the site's language
Canvas   the gradebook's CSV: Student, ID, …, one column "Assignment (id)" each, and a row with the points possible

Everybody is found by the number that Moodle and Canvas put into the names of the files that they hand out, else by
name. Nothing but the grade and the feedback changes; the copy has the name of the file, and lies in OUT.
"""

import csv
import io
import re
from html import escape

from lstmcourse.grading.names import canvas_id, moodle_id, readable
from lstmcourse.grading.report import no_formula, words, write
from lstmcourse.grading.submissions import WrongUse


class Gradebook:
    """path, column, feedback: as on the command line; kind: "moodle" or "canvas"."""

    def __init__(self, path, kind, column=None, feedback=None):
        self.path, self.kind = path, kind
        try:
            data = path.read_bytes()
            self.mark, text = data[:3] == b"\xef\xbb\xbf", data.decode("utf-8-sig")
        except OSError as error:
            raise WrongUse(f"{readable(str(path))} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise WrongUse(f"{readable(path.name)} is not UTF-8: take the file as it was exported") from None
        head = text.partition("\n")[0]
        self.form = {"delimiter": max(",;\t", key=head.count),
                     "lineterminator": "\r\n" if head.endswith("\r") else "\n"}
        self.rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=self.form["delimiter"]))
        self.head = self.rows[0] if self.rows else []
        self.id = 0 if kind == "moodle" else self.place("ID", "")
        self.grade = self.place(column or ("Grade" if kind == "moodle" else self.only_assignment()), "--column")
        self.feedback = self.place(feedback or "Feedback comments", "--feedback-column") if kind == "moodle" else None

    def place(self, heading, option):
        if heading not in self.head:
            told = f"; name the right one by {option}" if option else ""
            raise WrongUse(f"{readable(self.path.name)} has no column {heading!r}{told}. It has "
                           f"{', '.join(map(readable, self.head)) or 'none'}")
        return self.head.index(heading)

    def only_assignment(self):
        found = [heading for heading in self.head if re.search(r" \(\d+\)$", heading)]
        if len(found) != 1:
            raise WrongUse(f"{readable(self.path.name)} has {len(found)} assignments: name the one that was graded by "
                           f"--column ({', '.join(map(readable, found)) or 'there is none'})")
        return found[0]

    def students(self):
        """[(number in Moodle or Canvas, row)]"""
        numbers = [(re.search(r"(\d+)\s*$", row[self.id]) if len(row) > max(self.id, self.grade) else None, row)
                   for row in self.rows[1:]]
        return [(number[1], row) for number, row in numbers if number]

    def rows_named(self, student):
        """The rows in which a cell is this name."""
        name = bare(student)
        return [row for _, row in self.students() if name and name in map(bare, row)]

    def most(self, row):
        """The points that this row's grade is out of; None where the file does not say."""
        if self.kind == "moodle":
            return number(row[self.grade + 1]) if len(row) > self.grade + 1 else None
        possible = [number(other[self.grade]) for other in self.rows[1:]
                    if len(other) > self.grade and not other[self.id].strip()]
        return next((most for most in possible if most is not None), None)

    def fill(self, graded, titles):
        """graded: [(key, entry of grades.json)]. Returns the students that are not in the file."""
        students, strangers = self.students(), []
        for key, entry in graded:
            id = (moodle_id if self.kind == "moodle" else canvas_id)(key)
            rows = [row for number, row in students if number == id] or self.rows_named(entry["student"])
            if len(rows) != 1:
                strangers.append(entry["student"])
                continue
            row, = rows
            if entry["status"] == "graded":
                row[self.grade] = points(entry, self.most(row))
            if self.feedback is not None and entry["status"] != "error" and len(row) > self.feedback:
                row[self.feedback] = no_formula("<br>".join(map(escape, words(entry, titles).split("\n"))))
        return strangers

    def save(self, out):
        text = io.StringIO()
        csv.writer(text, **self.form).writerows(self.rows)
        write(out / self.path.name, "\ufeff" * self.mark + text.getvalue())
        return out / self.path.name


def number(text):
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        return None


def bare(text):
    """"Doe, Jane" and the "doejane" of Canvas are one name."""
    return re.sub(r"[\W_]", "", text).casefold()


def points(entry, most):
    """The score, scaled where the gradebook counts otherwise; as few digits as say it."""
    score = entry["score"] if most is None else entry["score"] * most / entry["max_score"]
    return f"{score:.2f}".rstrip("0").rstrip(".")

"""The results on disk: grades.json, grades.csv, a feedback page for each student, Gradescope's results.json.

Every file is written beside its place and then moved there, so that a full disk or a crash leaves
the last good one. Whatever comes from a student is escaped; the pages hold no script.
"""

import contextlib
import csv
import io
import json
import os
import re
import string
from html import escape

PAGE = string.Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>$student: feedback</title>
<style>
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 48em; margin: 2em auto; padding: 0 1em }
section { border-left: 4px solid; margin: 1.2em 0; padding: .1em 1em }
h2 { font-size: 1.05em; margin: .3em 0 }
p { margin: .3em 0; white-space: pre-wrap; overflow-wrap: anywhere }
.passed { border-color: #007d5a } .not { border-color: #d55e00 }
footer { font-size: .85em; opacity: .75; margin-top: 3em }
</style>
</head>
<body>
<h1>$student</h1>
<p><strong>$total</strong></p>
$body
<footer>$files<br>Graded with: $isolation</footer>
</body>
</html>
""")


def write_reports(out, entries, isolation, seed, titles, gradescope=False):
    """Write everything below the folder `out`; OSError if it cannot be written.

    entries  of grades.json, in order
    titles   exercise id -> its title
    """
    (out / "feedback").mkdir(parents=True, exist_ok=True)
    for entry, name in zip(entries, page_names(entries), strict=True):
        write(out / "feedback" / f"{name}.html", page(entry, isolation, titles))
    write(out / "grades.csv", table(entries, list(titles)))
    if gradescope:
        result = gradescope_results(entries[0], titles)
        if result is None:                   # without a file Gradescope reports a failed autograder, not a zero
            (out / "results.json").unlink(missing_ok=True)
        else:
            write(out / "results.json", json.dumps(result, indent=2))
    grades = {"schema": 1, "isolation": isolation, "seed": seed, "submissions": entries}
    write(out / "grades.json", json.dumps(grades, indent=2))


def write(path, text):
    """All of the new content, or the old."""
    data = text.encode("utf-8", "replace")
    with contextlib.suppress(OSError):
        if path.read_bytes() == data:
            return
    beside = path.with_name(path.name + ".part")
    try:
        with open(beside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise


def page(entry, isolation, titles):
    """One student's feedback as HTML."""
    parts = []
    if entry["reason"]:
        parts.append(f"<p>{escape(entry['reason'])}</p>")
    for exercise in entry["exercises"]:
        state = "passed" if exercise["passed"] else "not passed"
        points = f"{exercise['score']} of {exercise['max_score']}"
        head = f"{exercise['id']} {titles.get(exercise['id'], '')}: {state}, {points}"
        parts.append(f'<section class="{state.split()[0]}"><h2>{escape(head)}</h2>'
                     f"<p>{escape(exercise['message'])}</p></section>")
    text = PAGE.substitute(student=escape(entry["student"]), total=escape(total(entry)), body="\n".join(parts),
                           files=escape(files(entry)), isolation=escape(isolation))
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


def words(entry, titles):
    """The same in plain text."""
    return "\n".join([total(entry), *filter(None, [entry["reason"]]), *(
        f"{e['id']} {titles.get(e['id'], '')}: {'passed' if e['passed'] else 'not passed'}, {e['score']} of "
        f"{e['max_score']}\n{e['message']}" for e in entry["exercises"])])


def total(entry):
    """The line that says what came of it."""
    if entry["status"] == "graded":
        return f"{entry['score']} of {entry['max_score']} points"
    if entry["status"] == "refused":
        return "Not graded: the file was refused. It can be handed in again."
    return "Not graded: the grader failed. This is not your fault, and no score was given."


def files(entry):
    return entry["file"] if isinstance(entry["file"], str) else ", ".join(entry["file"])


def table(entries, ids):
    """grades.csv: student, each exercise, total. Empty where there is no score."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["student", *ids, "total"])
    for entry in entries:
        scores = {exercise["id"]: exercise["score"] for exercise in entry["exercises"]}
        rows.writerow([no_formula(entry["student"]), *(scores.get(id, "") for id in ids),
                       "" if entry["score"] is None else entry["score"]])
    return text.getvalue()


FORMULA = re.compile(r"(^|(?<=.)[;,|\t\r\n])(?=[\s\"']*[=+\-@"
                     r"\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b])|^(?=[\t\r])")


def no_formula(text):
    """Text that a spreadsheet would compute stays text, also where the program splits it at another character."""
    return FORMULA.sub(r"\1'", text)


def page_names(entries):
    """A file name for each student, no two the same on any file system."""
    taken, names = set(), []
    for entry in entries:
        base = re.sub(r"[^\w .,()+-]", "_", entry["student"])[:60].strip(" .") or "student"
        name, n = base, 1
        while name.casefold() in taken:
            n += 1
            name = f"{base} {n}"
        taken.add(name.casefold())
        names.append(name)
    return names


def gradescope_results(entry, titles):
    """Gradescope's results.json (https://gradescope-autograders.readthedocs.io/en/latest/specs/).

    It knows no missing score: what was refused is a 0 that says why and may be handed in again;
    for the grader's own fault there is no file (None).
    """
    if entry["status"] == "error":
        return None
    return {
        "score": entry["score"] or 0,
        "execution_time": entry["seconds"],
        "output": "\n".join(filter(None, [total(entry), entry["reason"]])),
        "output_format": "text",
        "test_output_format": "text",
        "test_name_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": [{"name": titles.get(e["id"], e["id"]), "number": e["id"], "score": e["score"],
                   "max_score": e["max_score"], "status": "passed" if e["passed"] else "failed",
                   "output": e["message"], "visibility": "visible"} for e in entry["exercises"]],
    }


def changes(rows, before, older, again):
    """Sentences that name each student whose grade is, or could have been, another than before.

    rows    [(key, entry)] of this run
    before  {key: entry} of those that counted until now
    older   keys of those whose file here came before the one that is graded
    again   keys of those that were graded once more
    """
    def named(sentence, chosen, with_before=True):
        names = [f"{entry['student']} {score_of(entry)}" + (f", before {score_of(before[key])}" if with_before else "")
                 for key, entry in rows if key in before and chosen(key, entry["sha256"] == before[key]["sha256"])]
        return [sentence.format("; ".join(names))] if names else []

    return [*named("a newer file than the one here is graded, and that grade stays: {} (--older NAME: the file here is "
                   "to count)", lambda key, same: key in older, False),
            *named("another file than before: {} (what was before stays in journal.sqlite)",
                   lambda key, same: key not in older and not same),
            *named("graded again: {}", lambda key, same: key in again and same)]


def score_of(entry):
    return entry["status"] if entry["score"] is None else f"{entry['score']} of {entry['max_score']}"


def summary(entries):
    """The table at the end of a run."""
    width = min(40, max([len("student"), *(len(entry["student"]) for entry in entries)]))
    lines = [f"{'student':{width}}  {'score':>9}  status"]
    for entry in entries:
        score = "" if entry["score"] is None else f"{entry['score']} / {entry['max_score']}"
        reason = "" if entry["status"] == "graded" else f": {next(iter((entry['reason'] or '').splitlines()), '')}"
        lines.append(f"{entry['student'][:width]:{width}}  {score:>9}  {entry['status']}{reason}")
    counts = {status: sum(entry["status"] == status for entry in entries) for status in ("graded", "refused", "error")}
    return "\n".join([*lines, ", ".join(f"{n} {status}" for status, n in counts.items())])

"""The `lstmcourse` command: what it prints, and with which exit status."""

import subprocess
import sys
from dataclasses import replace

import pytest

from lstmcourse import cli
from lstmcourse.practice import EXERCISES, progress, table
from lstmcourse.practice.exercise import Mistake


def run(*argv):
    return subprocess.run([sys.executable, "-m", "lstmcourse", *argv], capture_output=True, text=True)


def test_without_a_command_the_usage_is_shown_and_the_status_is_2():
    done = run()
    assert done.returncode == 2
    assert [name for name in cli.COMMANDS if name not in done.stdout] == []
    assert run("--help").returncode == 0


def test_an_unknown_command_is_named():
    done = run("mistake")
    assert done.returncode == 2
    assert "there is no command 'mistake'" in done.stderr


def test_mistakes_lists_what_an_exercise_knows(capsys):
    assert cli.main(["mistakes", "4.2", "--hints"]) == 0
    told = capsys.readouterr().out
    for mistake in EXERCISES["4.2"].mistakes:
        assert f"  named   {mistake.name}" in told
    names = len({mistake.name for mistake in EXERCISES["4.2"].mistakes})
    assert told.endswith(f"{names} known mistakes ({names} different ones) in 1 exercise: {names} rejected and named, "
                         "0 not.\n")


def test_mistakes_has_status_1_where_one_is_missed(monkeypatch, capsys):
    right = Mistake("no mistake at all", "There is none.", EXERCISES["8.3"].reference)
    monkeypatch.setattr(table, "EXERCISES", {"8.3": replace(EXERCISES["8.3"], mistakes=(right,))})
    assert cli.main(["mistakes"]) == 1
    assert "MISSED  no mistake at all" in capsys.readouterr().out


def test_one_form_of_a_mistake_that_is_missed_makes_it_missed(monkeypatch, capsys):
    exercise = EXERCISES["8.3"]
    known = next(mistake for mistake in exercise.mistakes if mistake.name == "the weights are not used")
    missed = Mistake(known.name, known.hint, *known.functions, exercise.reference)
    monkeypatch.setattr(table, "EXERCISES", {"8.3": replace(exercise, mistakes=(missed,))})
    assert cli.main(["mistakes"]) == 1
    assert "MISSED  the weights are not used, in 2 forms" in capsys.readouterr().out


def test_mistakes_draws_the_same_cases_unless_told_otherwise(monkeypatch, capsys):
    seeds = []
    monkeypatch.setattr(table, "named", lambda exercise, mistake, seed: not seeds.append(seed))
    cli.main(["mistakes", "4.2"])
    cli.main(["mistakes", "4.2", "--seed", "3"])
    assert sorted(set(seeds)) == [0, 3]


def test_the_number_of_forms_is_told_where_there_are_several(capsys):
    cli.main(["mistakes", "4.1"])
    told = capsys.readouterr().out
    assert "the rows of another gate, in 3 forms" in told
    assert "no sigmoid\n" in told


def test_mistakes_of_an_unknown_exercise_have_status_2(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["mistakes", "4.9"])
    assert ended.value.code == 2
    assert "there is no exercise 4.9; there are: 1.1" in capsys.readouterr().err


def test_progress_is_printed_with_its_folder(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("LSTMCOURSE_PROGRESS", str(tmp_path))
    progress.save("1.1", True)
    assert cli.main(["progress"]) == 0
    told = capsys.readouterr().out
    assert "[x] 1.1  one step of a leaky RNN" in told
    assert f"kept in {tmp_path}" in told


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_a_help_of_its_own(name):
    done = run(name, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: lstmcourse {name}")


def test_progress_loads_neither_torch_nor_grading():
    code = ("import sys; from lstmcourse import cli; cli.main(['progress']); "
            "print([m for m in ('torch', 'matplotlib', 'lstmcourse.grading') if m in sys.modules])")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.endswith("[]\n")

"""What the learner does: predictions before a result (`compare`), exercises with a verdict (`check`)."""

from lstmcourse.practice.check import check
from lstmcourse.practice.exercise import Exercise, Mistake, Outcome, Verdict
from lstmcourse.practice.judging import judge
from lstmcourse.practice.kept import mine
from lstmcourse.practice.predictions import compare
from lstmcourse.practice.progress import show_progress
from lstmcourse.practice.registry import EXERCISES

__all__ = ["EXERCISES", "Exercise", "Mistake", "Outcome", "Verdict", "check", "compare", "judge", "mine",
           "show_progress"]

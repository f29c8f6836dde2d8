"""All exercises, in order of id. Each lesson's module holds its own, with their known mistakes."""

from lstmcourse.practice import (
    lesson_01,
    lesson_02,
    lesson_03,
    lesson_04,
    lesson_05,
    lesson_06,
    lesson_07,
    lesson_08,
    lesson_09,
    lesson_11,
    lesson_12,
)

LESSONS = (lesson_01, lesson_02, lesson_03, lesson_04, lesson_05, lesson_06, lesson_07, lesson_08, lesson_09,
           lesson_11, lesson_12)
EXERCISES = {exercise.id: exercise for lesson in LESSONS for exercise in lesson.EXERCISES}
